"""Which text is held out: equal documents together, about the wanted share, a function of the documents alone."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.corpus.holdout import hold_out


def no_sentences(start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(0, np.int64)


no_words = no_sentences


def every(step: int) -> Callable[[int, int], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return lambda start, end: np.arange(-(-start // step) * step, end, step)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), min_size=60, max_size=120),
    st.sampled_from([0.05, 0.1, 0.25, 0.5]),
)
def test_equal_documents_stay_together(documents: list[tuple[int, int]], fraction: float) -> None:
    lengths = np.array([1 + 3 * kind for kind, _ in documents])
    hashes = np.array([kind * 2**60 + 5 for kind, _ in documents], np.uint64)
    if len(set(lengths.tolist())) == 1:
        with pytest.raises(InputError, match="nothing can be held out"):
            hold_out(np.cumsum(lengths), hashes, fraction, no_sentences, no_words)
        return
    held = hold_out(np.cumsum(lengths), hashes, fraction, no_sentences, no_words)
    assert held.rule == "documents"
    sizes = [set((ranges[:, 1] - ranges[:, 0]).tolist()) for ranges in (held.train, held.valid)]
    assert not sizes[0] & sizes[1] and len(held.train) + len(held.valid) == len(documents)
    share = (held.valid[:, 1] - held.valid[:, 0]).sum() / lengths.sum()
    of_kinds = [lengths[lengths == length].sum() / lengths.sum() for length in set(lengths.tolist())]
    assert 0.5 * fraction <= share <= 1.5 * fraction or share == min(of_kinds)


def test_a_document_goes_where_it_went_before_when_others_are_added() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 2000).astype(np.uint64)
    lengths = np.full(2000, 10)
    half = hold_out(np.cumsum(lengths[:1000]), hashes[:1000], 0.1, no_sentences, no_words)
    whole = hold_out(np.cumsum(lengths), hashes, 0.1, no_sentences, no_words)
    before, after = (set((held.valid[:, 0] // 10).tolist()) for held in (half, whole))
    assert len(before) == 100 and len(before & after) > 75  # the threshold moves a little, the order does not


def test_tails_are_cut_at_the_nearest_sentence() -> None:
    starts = np.array([0, 40, 88, 96, 100, 150])

    def sentences_in(start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return starts[(starts >= start) & (starts < end)]

    held = hold_out(np.array([100, 200, 210]), np.array([1, 2, 3], np.uint64), 0.05, sentences_in, no_words)
    assert held.rule == "documents" and held.valid.tolist() == [[200, 210]]
    held = hold_out(np.array([100, 200]), np.array([1, 2], np.uint64), 0.1, sentences_in, no_words)
    assert held.rule == "tails"
    assert held.train.tolist() == [[0, 88], [100, 200]] and held.valid.tolist() == [[88, 100]]
    held = hold_out(np.array([100, 200]), np.array([1, 2], np.uint64), 0.3, sentences_in, no_words)
    assert held.train.tolist() == [[0, 88], [100, 150]] and held.valid.tolist() == [[88, 100], [150, 200]]
    with pytest.raises(InputError, match="nothing can be held out"):
        hold_out(np.array([100]), np.array([1], np.uint64), 0.1, no_sentences, no_words)


@pytest.mark.parametrize(("num_documents", "held_out"), [(2, 0.25), (30, 1 / 60), (60, 1 / 60), (90, 1 / 90)])
def test_documents_of_two_sentences_do_not_lose_half_of_the_text(num_documents: int, held_out: float) -> None:
    """1 % of thirty documents is less than a sentence: one end is held out, or one document, not thirty ends."""
    starts = np.arange(0, 20 * num_documents, 10)

    def sentences_in(start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return starts[(starts >= start) & (starts < end)]

    hashes = np.random.default_rng(0).permutation(num_documents).astype(np.uint64)
    held = hold_out(np.arange(20, 20 * num_documents + 1, 20), hashes, 0.01, sentences_in, no_words)
    share = (held.valid[:, 1] - held.valid[:, 0]).sum() / (20 * num_documents)
    assert share <= held_out
    assert (held.valid[:, 1] - held.valid[:, 0]).sum() + (held.train[:, 1] - held.train[:, 0]).sum() == (
        20 * num_documents
    )


def test_ends_of_equal_documents_are_held_out_together() -> None:
    starts = np.array([0, 50, 100, 150, 200, 700])

    def sentences_in(start: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return starts[(starts >= start) & (starts < end)]

    held = hold_out(np.array([100, 200, 1200]), np.array([7, 7, 9], np.uint64), 0.01, sentences_in, no_words)
    assert held.rule == "tails"
    assert held.valid.tolist() == [[50, 100], [150, 200]]
    assert held.train.tolist() == [[0, 50], [100, 150], [200, 1200]]


def test_without_sentences_the_shortest_document_is_held_out() -> None:
    held = hold_out(np.array([100, 130, 230]), np.array([3, 2, 1], np.uint64), 0.01, no_sentences, no_words)
    assert held.rule == "documents" and held.valid.tolist() == [[100, 130]]


def test_without_sentences_an_end_begins_at_a_word() -> None:
    """One line of 200,000 tokens; three parts of a line, which start sentences far from where the end should begin."""
    length = np.array([200_000])
    for sentences_in in (no_sentences, every(70_000)):
        held = hold_out(length, np.array([1], np.uint64), 0.01, sentences_in, every(3))
        assert held.rule == "tails" and held.valid.tolist() == [[198_000, 200_000]]
        assert held.train.tolist() == [[0, 198_000]]
    near = hold_out(length, np.array([1], np.uint64), 0.01, every(1_100), every(3))
    assert near.valid.tolist() == [[198_000 - 198_000 % 1_100, 200_000]]
    short = hold_out(np.array([400]), np.array([1], np.uint64), 0.1, no_sentences, every(3))
    assert short.valid.tolist() == [[360, 400]]
    with pytest.raises(InputError, match="nothing can be held out"):  # a word is half of it
        hold_out(np.array([2]), np.array([1], np.uint64), 0.1, no_sentences, every(1))
