"""The encoder gives what `Tokenizer.encode` gives, for every kind of tokenizer and hard text; sentence marks."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from pretune.core.marks import SENTENCE_START
from pretune.corpus.encode import Encoder, Unit, is_local
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

TEXT = "The cat, the dog's den & Zoë's naïve 3.14 — 中文字 and\ttabs. Ünïted states of 12 e\u0301lite cats\u00a0here! "


@cache
def tokenizer(name: str) -> Tokenizer:
    kind, _, case = name.partition("+")
    trained, _ = train_tokenizer([TEXT * 20], algorithm=kind, vocab_size=320, lowercase=case == "lower")
    return trained


NAMES = [*ALGORITHMS, "wordpiece+lower", "byte-bpe+lower", "char+lower"]
ALPHABET = "aAbcé中1.,!'\n\n   \t\u00a0\u2028\r\u0301\u200b\x1c\x85字"
SENTENCES = st.text(st.sampled_from(ALPHABET), max_size=25)
LINES = st.lists(
    st.sampled_from(["the cat", " Zoë's ", "[MASK]", "\n", " a", "\t", "dogs\u00a0", "x[SEP]y", ". "]), max_size=8
)


def check(encoder: Encoder, texts: list[str]) -> None:
    texts = [text.lstrip("\n") for text in texts]  # no document begins with a line feed
    found = encoder.encode([Unit(text) for text in texts])
    expected = [encoder.tokenizer.encode(text) for text in texts]
    assert found.ids_T.tolist() == [n for pieces in expected for n in pieces.ids_P.tolist()]
    marks = [n for pieces in expected for n in pieces.marks_P.tolist()]
    assert (found.marks_T & ~np.uint8(SENTENCE_START)).tolist() == marks
    assert found.tokens_per_unit.tolist() == [len(pieces) for pieces in expected]


@pytest.mark.parametrize("name", NAMES)
def test_equals_encode(name: str) -> None:
    encoder = Encoder(tokenizer(name))
    assert encoder.cuttable

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(SENTENCES, LINES.map("".join)), max_size=4))
    def holds(texts: list[str]) -> None:
        check(encoder, texts)

    holds()
    check(encoder, ["", "\n", TEXT, TEXT + "\n" + TEXT, " ", "the\n\n  cat", "中\n b", "a \u0301\n b"])


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_spelled_out_are_text(name: str) -> None:
    trained = tokenizer(name)
    text = "the [MASK] cat[SEP] [CLS] \n[PAD]"
    found = Encoder(trained).encode([Unit(text)]).ids_T
    structure = {number for role, number in trained.special_ids.items() if role != "unk"}
    assert structure & set(trained.encode(text).ids_P.tolist())
    assert not structure & set(found.tolist())


@pytest.mark.parametrize("limit", ["MAX_CACHE_CHARS", "MAX_CACHE_PIECES"])
def test_cache_that_overflows_changes_nothing(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    encoder = Encoder(tokenizer("byte-bpe"))
    whole = [encoder.encode([Unit(f"{word} {TEXT}")]).ids_T.tolist() for word in "abcd"]
    monkeypatch.setattr(f"pretune.corpus.encode.{limit}", 5)
    small = Encoder(tokenizer("byte-bpe"))
    assert [small.encode([Unit(f"{word} {TEXT}")]).ids_T.tolist() for word in "abcd"] == whole
    assert len(small.slots) < len(encoder.slots) + 10


@pytest.mark.parametrize("name", ["wordpiece", "byte-bpe", "byte", "char"])
def test_parts_of_a_document_join(name: str) -> None:
    encoder = Encoder(tokenizer(name))
    whole = encoder.encode([Unit("the cat\n\nthe dog here")])
    parts = encoder.encode([Unit("the cat"), Unit("\n\nthe dog", False), Unit(" here", False)])
    assert whole.ids_T.tolist() == parts.ids_T.tolist()


@pytest.mark.parametrize("name", ["wordpiece", "byte-bpe", "unigram", "char"])
def test_sentence_marks(name: str) -> None:
    encoder = Encoder(tokenizer(name), "en")
    texts = ["The cat. The dog!\nhere  ", "“Mr. A.” \u200b\n\n\u200b\nA"]
    found = encoder.encode([Unit(text) for text in texts])
    starts = np.flatnonzero(found.marks_T & SENTENCE_START).tolist()
    first = int(found.tokens_per_unit[0])
    pieces = [encoder.tokenizer.encode(text) for text in texts]
    begin = [
        [text.index(word) for word in words]
        for text, words in zip(texts, (["The", "The dog", "here"], ["“"]), strict=True)
    ]
    expected = [int(np.searchsorted(pieces[0].offsets_P2[:, 1], at, side="right")) for at in begin[0]] + [first]
    assert starts[:4] == expected
    # a zero-width space is a sentence of no tokens for kinds that drop it: the mark falls on the next one, once
    assert len(starts) == (5 if name in ("wordpiece", "unigram") else 7)
    last = int(np.searchsorted(pieces[1].offsets_P2[:, 1], texts[1].rindex("A"), side="right"))
    assert starts[-1] == first + last


def test_other_pipelines_are_encoded_whole() -> None:
    backend = Backend(models.BPE({"a": 0, "b": 1, " ": 2, "a ": 3, "[UNK]": 4}, [("a", " ")], unk_token="[UNK]"))
    assert not Encoder(Tokenizer(backend)).cuttable
    check(Encoder(Tokenizer(backend)), ["a b a ", "b", ""])
    for pre in (
        pre_tokenizers.Metaspace(),
        pre_tokenizers.ByteLevel(use_regex=False),
        pre_tokenizers.Split(r"\s*[\r\n]+", "isolated"),
    ):
        backend.pre_tokenizer = pre
        assert not Encoder(Tokenizer(backend)).cuttable
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.normalizer = normalizers.Replace("a b", "c")
    assert not Encoder(Tokenizer(backend)).cuttable


def test_greedy_added_tokens_are_seen_in_their_context() -> None:
    from tokenizers import AddedToken

    backend = Backend(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    encoder = Encoder(Tokenizer(backend))
    check(encoder, ["a  <mask> a", "a a"])
    assert is_local({"normalizer": None, "pre_tokenizer": {"type": "BertPreTokenizer"}, "added_tokens": []})
