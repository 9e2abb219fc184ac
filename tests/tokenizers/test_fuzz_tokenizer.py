"""tokenizer.json and vocab.txt, damaged and altered: a tokenizer that splits texts, or an error that names the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import LONG, SHORT, altered, damaged, survives
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

TEXT = "the cat sat on the mat, and 3 dogs saw it.\n" * 5
ALGORITHMS = ["wordpiece", "bpe", "byte-bpe", "unigram", "word", "char"]


@pytest.fixture(scope="module")
def trees():
    found = []
    for algorithm in ALGORITHMS:
        size = {} if algorithm == "char" else {"vocab_size": 300 if algorithm == "byte-bpe" else 40}
        found.append(json.loads(train_tokenizer([TEXT], algorithm=algorithm, **size)[0].backend.to_str()))
    return found


def check(folder, trees, data):
    tree = data.draw(st.sampled_from(trees))
    raw = data.draw(
        st.one_of(altered(tree).map(lambda t: json.dumps(t).encode()), damaged([json.dumps(tree).encode()]))
    )
    (folder / "tokenizer.json").write_bytes(raw)
    tokenizer = survives(lambda: Tokenizer.load(folder), folder)
    if tokenizer is None:
        return
    try:
        pieces = tokenizer.encode("the cat, naïve 你好 [MASK]")
        assert all(0 <= number < tokenizer.vocab.size for number in pieces.ids_P)
    except ValueError:
        pass


@SHORT
@given(data=st.data())
def test_fuzz_tokenizer(tmp_path_factory, trees, data):
    folder = tmp_path_factory.getbasetemp() / "tokenizer"
    folder.mkdir(exist_ok=True)
    check(folder, trees, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_fuzz_tokenizer_long(tmp_path_factory, trees, data):
    folder = tmp_path_factory.getbasetemp() / "tokenizer"
    folder.mkdir(exist_ok=True)
    check(folder, trees, data)


@SHORT
@given(raw=damaged([b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\n"]))
def test_fuzz_vocab_txt(tmp_path_factory, raw):
    folder = tmp_path_factory.getbasetemp() / "vocab"
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_bytes(raw)
    survives(lambda: Tokenizer.load(folder).encode("the cats"), folder)
