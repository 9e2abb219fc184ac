"""Edits of a text: what each does, and that `source_P` says where every token came from, through any number of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.core.stream import Span
from pretune.core.vocab import Vocab
from pretune.objectives.edits import (
    INSERTED,
    Delete,
    Insert,
    Rotate,
    ShuffleSentences,
    ShuffleWords,
    Substitute,
    in_turn,
    unedited,
)

VOCAB = Vocab(500, np.arange(500) < 4, mask_id=3)
EDITS = [Delete(0.2), Insert(0.2), Substitute(0.2), ShuffleWords(3), ShuffleSentences(), Rotate()]


def text(num_words, pieces=2, words_a_sentence=4):
    """Words of so many pieces; ids count up from 10."""
    marks = np.zeros(num_words * pieces, np.uint8)
    marks[::pieces] |= WORD_START
    marks[:: pieces * words_a_sentence] |= SENTENCE_START
    return unedited(Span(np.arange(10, 10 + len(marks), dtype=np.int32), marks))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(EDITS), max_size=6), st.integers(0, 30), st.integers(0, 9))
def test_every_token_keeps_its_source(edits, num_words, seed):
    before = text(num_words)
    copy = before.take(np.arange(len(before)))
    after = in_turn(*edits)(before, VOCAB, np.random.default_rng(seed))
    assert all(np.array_equal(vars(before)[name], vars(copy)[name]) for name in vars(copy))
    assert len(after) == len(after.marks_P) == len(after.source_P) == len(after.changed_P)
    kept = (after.source_P != INSERTED) & ~after.changed_P
    assert np.array_equal(after.ids_P[kept], before.ids_P[after.source_P[kept]])
    assert after.changed_P[after.source_P == INSERTED].all() and (after.ids_P >= 4).all()
    sources = after.source_P[after.source_P != INSERTED].tolist()
    assert len(sources) == len(set(sources))


def once(edit, seed, *shape):
    return edit(text(*shape), VOCAB, np.random.default_rng(seed))


def test_rates_are_exact_and_places_alike():
    dropped, changed, before = np.zeros(40), np.zeros(40), np.zeros(41)
    for seed in range(500):
        deleted = once(Delete(0.25), seed, 20)
        assert len(deleted) == 30 and (np.diff(deleted.source_P) > 0).all()
        dropped[np.setdiff1d(np.arange(40), deleted.source_P)] += 1
        substituted = once(Substitute(0.25), seed, 20)
        assert len(substituted) == 40 and 8 <= substituted.changed_P.sum() <= 10
        changed += substituted.changed_P
        inserted = once(Insert(0.05), seed, 20)
        assert len(inserted) == 42
        places = np.flatnonzero(inserted.source_P == INSERTED)
        before[places - np.arange(2)] += 1
        assert (inserted.marks_P[places] == WORD_START).all()
    for counts, mean in ((dropped, 125), (changed, 125), (before, 1000 / 41)):
        assert abs(counts - mean).max() < 5 * np.sqrt(mean)


def test_words_move_a_little_and_stay_whole():
    moves = []
    for seed in range(300):
        words = once(ShuffleWords(3), seed, 40).source_P.reshape(40, 2)
        assert (words[:, 1] == words[:, 0] + 1).all() and (words[:, 0] % 2 == 0).all()
        moves += abs(words[:, 0] // 2 - np.arange(40)).tolist()
    assert max(moves) == 3 and 0.5 < np.mean(moves) < 2
    assert np.array_equal(once(ShuffleWords(0), 1, 9).source_P, np.arange(18))


def test_sentences_are_permuted_whole():
    seen = set()
    for seed in range(60):
        sentences = once(ShuffleSentences(), seed, 12).source_P.reshape(3, 8)
        assert (np.diff(sentences) == 1).all()
        seen.add(tuple((sentences[:, 0] // 8).tolist()))
    assert len(seen) == 6


def test_rotation_hand_made():
    seen = {tuple(once(Rotate(), seed, 2).source_P.tolist()) for seed in range(60)}
    assert seen == {(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)}


@pytest.mark.parametrize(
    "make", [lambda: Delete(1.2), lambda: Insert(-1), lambda: Substitute(2), lambda: ShuffleWords(-1)]
)
def test_wrong_settings(make):
    with pytest.raises(InputError, match="it must be"):
        make()
