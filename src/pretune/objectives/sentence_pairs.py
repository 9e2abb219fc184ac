"""Two spans of one place: what `next_sentence` and `sentence_order` are asked about.

A place is cut at a random sentence's start, or, if it is one sentence, at a word inside it. A pair may aim at a random
shorter length (google-research/bert, create_pretraining_data.py, `short_seq_prob`).
"""

from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.core.marks import WORD_START
from pretune.core.protocols import TokenStore
from pretune.objectives.arrangements import MIN_TOKENS, check_number
from pretune.objectives.sentence_units import Units

Place = tuple[int, int]
"""Tokens [start, end) of the corpus."""


@dataclass(frozen=True)
class Pair:
    """first, second: spans that follow each other, together at least `target` tokens if the place has so many. whole:
    whether the border between them is a sentence's start."""

    first: Place
    second: Place
    target: int
    whole: bool


def cut_pair(
    corpus: TokenStore, found: Units, number: int, room: int, short_rate: float, uniforms: tuple[float, float, float]
) -> Pair:
    """The pair of place `number`. uniforms: whether it is short, how long then, where it is cut. Raises IndexError for
    a number the corpus does not have."""
    check_number(number, len(found.places))
    short_u, length_u, cut_u = uniforms
    first, end = found.places[number].tolist()
    target = MIN_TOKENS + int(length_u * (room - MIN_TOKENS + 1)) if short_u < short_rate else room
    end = found.reach(first, target, end)
    start, stop = int(found.starts[first]), int(found.starts[end])
    whole = end - first > 1
    if whole:
        border = int(found.starts[first + 1 + int(cut_u * (end - first - 1))])
    else:
        border = word_inside(corpus, (start, stop), cut_u)
    return Pair((start, border), (border, stop), target, whole)


def word_inside(corpus: TokenStore, place: Place, uniform: float) -> int:
    """A random word start strictly inside a place, or a random token if it is one word, or its start if one token."""
    start, end = place
    if end - start < 2:
        return start
    inside = np.flatnonzero(corpus.marks(start + 1, end) & WORD_START)
    if not len(inside):
        return start + 1 + int(uniform * (end - start - 1))
    return start + 1 + int(inside[int(uniform * len(inside))])


def truncate(a: Place, b: Place, room: int, rng: np.random.Generator) -> tuple[Place, Place]:
    """Both spans cut to `room` tokens together: tokens go one by one from the longer span (the second if they are as
    long), from its front or back with equal chance; counted at once, with the same distribution.

    >>> truncate((0, 9), (20, 23), 8, np.random.default_rng(0))
    ((2, 7), (20, 23))
    """
    len_a, len_b = a[1] - a[0], b[1] - b[0]
    excess = len_a + len_b - room
    if excess <= 0:
        return a, b
    alone = min(excess, abs(len_a - len_b))
    from_a = (alone if len_a > len_b else 0) + (excess - alone) // 2
    from_b = excess - from_a
    front_a, front_b = (int(rng.binomial(count, 0.5)) if count else 0 for count in (from_a, from_b))
    return (a[0] + front_a, a[1] - (from_a - front_a)), (b[0] + front_b, b[1] - (from_b - front_b))


def check_short_rate(short_rate: float) -> None:
    if not 0 <= short_rate <= 1:
        raise InputError(f"short_rate is {short_rate}: it must be a share from 0 to 1")
