"""A corpus's manifest.json, damaged, and altered with its own sha256 put right: opened, or an error that names it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import LONG, SHORT, altered, damaged, survives
from pretune.corpus.build import build_corpus
from pretune.corpus.manifest import manifest_text
from pretune.corpus.store import Corpus


@pytest.fixture(scope="module")
def corpus(tokenizer_dir, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "corpus"
    build_corpus([text_file], tokenizer_dir, folder, valid_fraction=0.1)
    return folder, (folder / "manifest.json").read_bytes()


def check(corpus, data):
    folder, whole = corpus
    tree = json.loads(whole)
    signed = altered(tree, ["../../x", "tokens-train.bin"]).map(
        lambda t: manifest_text(t).encode() if isinstance(t, dict) else json.dumps(t).encode()
    )
    (folder / "manifest.json").write_bytes(data.draw(st.one_of(signed, damaged([whole]))))
    opened = survives(lambda: Corpus.open(folder), folder)
    if opened is not None:
        survives(lambda: (opened.tokenizer, opened.ids(0, min(opened.num_tokens, 3))), folder)


@SHORT
@given(data=st.data())
def test_fuzz_manifest(corpus, data):
    check(corpus, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_fuzz_manifest_long(corpus, data):
    check(corpus, data)
