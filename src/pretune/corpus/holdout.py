"""Which text is held out for validation, as a function of the documents alone.

Whole documents are held out, in the order of a hash of their text, until they hold the wanted share of the tokens;
equal documents go together, and a document that would bring the share past half as much again is passed over. Where
that gives less than half of the wanted share (few or large documents), the end of every document is held out instead,
from a sentence's start on, and counts as a document.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError

Ranges = NDArray[np.int64]
"""[D, 2] token places: each document's start and end."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """The documents of both splits and the rule that chose them: "none", "documents" or "tails"."""

    train: Ranges
    valid: Ranges
    rule: str


def hold_out(
    ends_D: NDArray[np.int64],
    hashes_D: NDArray[np.uint64],
    fraction: float,
    sentences_in: Callable[[int, int], NDArray[np.int64]],
) -> Holdout:
    """Splits documents that end at `ends_D`. sentences_in(start, end): the sentence starts among these places.

    Raises InputError where `fraction` is not 0 and there is no text to hold out.
    """
    ranges = np.stack([np.concatenate([[0], ends_D[:-1]]), ends_D], axis=1).astype(np.int64)
    if fraction == 0:
        return Holdout(ranges, ranges[:0], "none")
    wanted = fraction * float(ends_D[-1])
    chosen_D = _whole_documents(ranges, hashes_D, wanted)
    held = int((ranges[chosen_D, 1] - ranges[chosen_D, 0]).sum())
    if held >= wanted / 2 and not chosen_D.all():
        return Holdout(ranges[~chosen_D], ranges[chosen_D], "documents")
    cut_D = np.array([_cut(start, end, fraction, sentences_in) for start, end in ranges.tolist()])
    tails = cut_D < ranges[:, 1]
    if not tails.any():
        raise InputError("nothing can be held out for validation: give more text, or a valid fraction of 0")
    return Holdout(np.stack([ranges[:, 0], cut_D], axis=1), np.stack([cut_D, ranges[:, 1]], axis=1)[tails], "tails")


def _whole_documents(ranges: Ranges, hashes_D: NDArray[np.uint64], wanted: float) -> NDArray[np.bool_]:
    chosen_D = np.zeros(len(ranges), np.bool_)
    order = np.argsort(hashes_D, kind="stable")
    lengths = (ranges[:, 1] - ranges[:, 0])[order]
    firsts = np.flatnonzero(np.diff(hashes_D[order], prepend=~hashes_D[order[:1]]) != 0)
    sizes = np.add.reduceat(lengths, firsts)
    lasts = np.append(firsts[1:], len(order))
    held = 0
    for first, last, size in zip(firsts.tolist(), lasts.tolist(), sizes.tolist(), strict=True):
        if held >= wanted:
            break
        if held + size <= 1.5 * wanted:
            chosen_D[order[first:last]] = True
            held += size
    return chosen_D


def _cut(start: int, end: int, fraction: float, sentences_in: Callable[[int, int], NDArray[np.int64]]) -> int:
    """The sentence start nearest to where the last `fraction` of a document begins, or its end if it has only one."""
    target = end - fraction * (end - start)
    starts = sentences_in(start + 1, end)
    return int(starts[np.abs(starts - target).argmin()]) if len(starts) else end
