"""The word cache gives what `encode` gives, for every kind and any text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from pretune.core.errors import InputError
from pretune.tokenizers.cache import WordCache
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

ODD = [" ", "  ", "\n", "\t", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\u00a0", "\u2003", "\u2028", "\u200b"]
SIGNS = [
    *"abtTéßİΣς0.,'-_—日한😀",
    "\ufeff",
    "\x00",
    "\ufffd",
    "\u0301",
    "\u0345",
    "[MASK]",
    "'s",
    "the ",
    "▁",
    "Ġ",
    "##",
]
TEXTS = st.lists(st.sampled_from(ODD + SIGNS) | st.characters(exclude_categories=["Cs"]), max_size=20).map("".join)


def assert_same(cache, tokenizer, text):
    ids_P, marks_P = cache.encode(text)
    pieces = tokenizer.encode(text)
    assert ids_P.tolist() == pieces.ids_P.tolist()
    assert marks_P.tolist() == pieces.marks_P.tolist()
    assert (ids_P.dtype, marks_P.dtype) == (np.int32, np.uint8)


@pytest.fixture(scope="module")
def lowered(prose):
    """The kinds whose normaliser is switched on by case alone."""
    sizes = {"byte-bpe": 300, "bpe": 150}
    return {
        kind: train_tokenizer(prose, algorithm=kind, vocab_size=sizes.get(kind), lowercase=True)[0]
        for kind in ("bpe", "byte-bpe", "char", "byte")
    }


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_equal_to_encode(kinds, hard, prose, kind):
    cache = WordCache(kinds[kind], max_words=20)
    assert cache.by_word

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def check(text):
        assert_same(cache, kinds[kind], text)

    check()
    for text in [*hard, *prose]:
        assert_same(cache, kinds[kind], text)


@pytest.mark.parametrize("kind", ["bpe", "byte-bpe", "char", "byte"])
def test_equal_to_encode_lower_case(lowered, hard, kind):
    cache = WordCache(lowered[kind])

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def check(text):
        assert_same(cache, lowered[kind], text)

    check()
    for text in hard:
        assert_same(cache, lowered[kind], text)


def test_the_fast_way_is_taken(kinds, prose, monkeypatch):
    """Prose never needs the library twice for a word."""
    cache = WordCache(kinds["wordpiece"])
    first = cache.encode_sentences(prose)
    monkeypatch.setattr(cache._packed, "_backend", None)
    monkeypatch.setattr(cache, "tokenizer", None)
    for (ids_P, marks_P), (again_P, marks_again_P) in zip(first, cache.encode_sentences(prose), strict=True):
        assert np.array_equal(ids_P, again_P)
        assert np.array_equal(marks_P, marks_again_P)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_sentences_keep_their_order(kinds, hard, prose, kind):
    """Some take the slow way (special tokens), the others do not."""
    mixed = [text for pair in zip(hard * 3, prose, strict=False) for text in pair]
    found = WordCache(kinds[kind]).encode_sentences(mixed)
    assert len(found) == len(mixed)
    for (ids_P, marks_P), text in zip(found, mixed, strict=True):
        pieces = kinds[kind].encode(text)
        assert ids_P.tolist() == pieces.ids_P.tolist()
        assert marks_P.tolist() == pieces.marks_P.tolist()


def test_kinds_whose_words_interact_take_the_slow_way(kinds, hard):
    backend = Backend.from_str(kinds["unigram"].backend.to_str())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer = Tokenizer(backend)
    cache = WordCache(tokenizer)
    assert not cache.by_word
    for text in hard:
        assert_same(cache, tokenizer, text)


def test_added_tokens_matched_after_the_normaliser_take_the_slow_way(kinds):
    backend = Backend.from_str(kinds["wordpiece"].backend.to_str())
    backend.add_tokens(["new york"])
    tokenizer = Tokenizer(backend)
    cache = WordCache(tokenizer)
    assert not cache.by_word
    assert_same(cache, tokenizer, "It is NEW YORK")


def test_dropout_takes_the_slow_way():
    backend = Backend(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.5))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert not WordCache(Tokenizer(backend)).by_word


def test_wrong_text_is_explained(kinds):
    with pytest.raises(InputError, match="half a surrogate pair"):
        WordCache(kinds["bpe"]).encode("a\ud800b")
