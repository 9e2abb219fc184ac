"""Infilling: Poisson lengths, an exact share, one mask a span, whole words, never a longer text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from pretune.core.marks import WORD_START
from pretune.core.stream import bidirectional
from pretune.core.vocab import Vocab
from pretune.objectives.text_infilling import spans, text_infilling

MASK = 3


def text_of(num_tokens, word_length=1):
    marks_T = np.where(np.arange(num_tokens) % word_length == 0, WORD_START, 0).astype(np.uint8)
    return bidirectional(np.arange(5, 5 + num_tokens), marks_T=marks_T)


def infilled(objective, text, seed):
    vocab = Vocab(int(text.ids_T.max()) + 1, np.arange(int(text.ids_T.max()) + 1) < 5, mask_id=MASK)
    return objective.corruption(text, vocab, np.random.default_rng(seed), 0.0)[0]


def gaps(source, num_tokens):
    """How many tokens each mask of a text of ids 5, 6, 7 ... stands for."""
    kept = np.concatenate([[4], source[source != MASK], [5 + num_tokens]])
    between = np.diff(kept) - 1
    masks = np.bincount(np.cumsum(source != MASK)[source == MASK], minlength=len(between))
    assert masks.max(initial=0) <= 1  # no two side by side
    assert not between[masks == 0].any()  # nothing is missing where no mask says so
    return between[masks == 1]


@pytest.fixture(scope="module")
def drawn():
    """Spans of 150 texts of 1,000 words, and how often each word is gone."""
    lengths, gone = [], np.zeros(1000)
    for seed in range(150):
        source = infilled(text_infilling(), text_of(1000), seed)
        lengths.append(gaps(source, 1000))
        gone += ~np.isin(np.arange(5, 1005), source)
    return lengths, gone / 150


def test_the_share_is_exact(drawn):
    assert {int(each.sum()) for each in drawn[0]} == {300}


def test_lengths_are_poisson_s_empty_ones_too(drawn):
    """The last span drawn for a text, one in a hundred, is cut to fit: that much is allowed for."""
    lengths = np.concatenate(drawn[0])
    assert len(lengths) > 14_000
    share = np.bincount(lengths, minlength=13)[:13] / len(lengths)
    assert abs(share - poisson(3).pmf(np.arange(13))).max() < 0.012
    assert abs(share[0] - np.exp(-3)) < 0.006 and 2.9 < lengths.mean() < 3.05


def test_every_word_is_as_likely_to_go(drawn):
    """But for those at the ends, which only a span that ends there takes out: of 701 places 100 have one."""
    gone = drawn[1]
    assert abs(gone.mean() - 0.3) < 1e-9
    for part in np.array_split(gone[20:-20], 16):
        assert abs(part.mean() - 0.3) < 0.04
    assert 0.06 < gone[0] < 0.22 and 0.06 < gone[-1] < 0.22


def test_whole_words_go(drawn):
    """Words of three tokens: what stays are whole words, 30 % of the words are gone."""
    for seed in range(20):
        source = infilled(text_infilling(), text_of(300, word_length=3), seed)
        lengths = gaps(source, 300)
        assert not (lengths % 3).any() and lengths.sum() == 90
        kept = source[source != MASK] - 5
        assert np.array_equal(np.bincount(kept // 3)[np.unique(kept // 3)], np.full(70, 3))


def test_a_mask_may_be_a_random_token_instead():
    with_random = [infilled(text_infilling(random=0.5), text_of(100), seed) for seed in range(40)]
    plain = [infilled(text_infilling(), text_of(100), seed) for seed in range(40)]
    assert [len(each) for each in with_random] == [len(each) for each in plain]
    masks = sum(int((each == MASK).sum()) for each in with_random) / sum(int((each == MASK).sum()) for each in plain)
    assert 0.4 < masks < 0.6


@given(st.integers(1, 60), st.floats(0.01, 1), st.floats(0.05, 12), st.integers(1, 5), st.integers(0, 99))
def test_a_text_never_grows_and_the_share_is_kept(num_tokens, rate, mean_length, word_length, seed):
    text = text_of(num_tokens, word_length)
    source = infilled(text_infilling(rate, mean_length), text, seed)
    num_words = -(-num_tokens // word_length)
    words_left = np.unique((source[source != MASK] - 5) // word_length)
    assert len(source) <= num_tokens and MASK in source
    assert num_words - len(words_left) == min(num_words, max(1, round(rate * num_words)))
    gaps(source, num_tokens)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(0, 30), st.integers(0, 99))
def test_spans_keep_their_lengths_where_there_is_room(lengths, more, seed):
    total = sum(lengths)
    if not total:
        lengths, total = [*lengths, 1], 1
    first, end = spans(np.array(lengths), total + more, np.random.default_rng(seed))
    assert (end - first).sum() == total and (first >= 0).all() and (end <= total + more).all()
    assert (first[1:] > end[:-1]).all()
    if len(lengths) <= min(more + 1, total):
        assert (end - first).tolist() == lengths
