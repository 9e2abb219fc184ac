"""Which text is held out for validation, as a function of the documents alone.

Whole documents are held out, in the order of a hash of their text, until they hold the wanted share of the tokens;
equal documents go together, and a document that would bring the share past half as much again is passed over. Where
that gives less than half of the wanted share (few or large documents), there are two other ways, and the one that comes
nearer to the share is taken: the shortest document (with its equals), or the ends of documents, each from a sentence's
start on, which then count as documents: of every document, or, where that is past half as much again, of some, chosen
as whole documents are. So a share that the text cannot give is missed by as little as can be. An end begins at a word
instead where no sentence starts within `FAR` tokens of where it should, and where nothing else could be held out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError

Ranges = NDArray[np.int64]
"""[D, 2] token places: each document's start and end."""
StartsIn = Callable[[int, int], NDArray[np.int64]]
"""The places among [start, end) at which sentences, or words, start."""
FAR = 1000
"""Tokens. A sentence of prose has about 25 and hardly ever 500: what is longer has no sentence breaks."""


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
    sentences_in: StartsIn,
    words_in: StartsIn,
) -> Holdout:
    """Splits documents that end at `ends_D`.

    Raises InputError where `fraction` is not 0 and there is no text to hold out.
    """
    ranges = np.stack([np.concatenate([[0], ends_D[:-1]]), ends_D], axis=1).astype(np.int64)
    if fraction == 0:
        return Holdout(ranges, ranges[:0], "none")
    wanted = fraction * float(ends_D[-1])
    order = np.argsort(hashes_D, kind="stable")
    firsts = np.flatnonzero(np.diff(hashes_D[order], prepend=~hashes_D[order[:1]]) != 0)
    sizes = np.add.reduceat((ranges[:, 1] - ranges[:, 0])[order], firsts)
    chosen_D = np.zeros(len(ranges), np.bool_)
    chosen_D[order] = np.repeat(_fill(sizes, wanted), np.diff(firsts, append=len(order)))
    if wanted / 2 <= _held(ranges[chosen_D]) and not chosen_D.all():
        return Holdout(ranges[~chosen_D], ranges[chosen_D], "documents")
    cut = partial(_cut, fraction=fraction, sentences_in=sentences_in, words_in=words_in)
    cut_D = _tails(ranges, order, firsts, wanted, partial(cut, far=FAR))
    if len(sizes) == 1 and (cut_D == ranges[:, 1]).all():
        cut_D = _tails(ranges, order, firsts, wanted, partial(cut, far=0))
    tails = np.stack([cut_D, ranges[:, 1]], axis=1)
    shortest = int(sizes.argmin())
    has_tails = bool((cut_D < ranges[:, 1]).any())
    if len(sizes) > 1 and (not has_tails or sizes[shortest] - wanted < abs(_held(tails) - wanted)):
        chosen_D = hashes_D == hashes_D[order[firsts[shortest]]]
        return Holdout(ranges[~chosen_D], ranges[chosen_D], "documents")
    if not has_tails:
        raise InputError("nothing can be held out for validation: give more text, or a valid fraction of 0")
    return Holdout(np.stack([ranges[:, 0], cut_D], axis=1), tails[cut_D < ranges[:, 1]], "tails")


def _held(ranges: Ranges) -> int:
    return int((ranges[:, 1] - ranges[:, 0]).sum())


def _fill(sizes: NDArray[np.int64], wanted: float) -> NDArray[np.bool_]:
    """Which are taken, in order, until they hold `wanted`; none that would bring them past half as much again."""
    taken = np.zeros(len(sizes), np.bool_)
    held = 0
    for number, size in enumerate(sizes.tolist()):
        if held >= wanted:
            break
        if held + size <= 1.5 * wanted:
            taken[number] = True
            held += size
    return taken


def _tails(
    ranges: Ranges,
    order: NDArray[np.int64],
    firsts: NDArray[np.int64],
    wanted: float,
    cut: Callable[[int, int], int],
) -> NDArray[np.int64]:
    """[D] where the end that is held out of each document begins; the document's end where nothing is."""
    cut_D = np.array([cut(start, end) for start, end in ranges.tolist()])
    sizes = np.add.reduceat((ranges[:, 1] - cut_D)[order], firsts)  # of equal documents together
    if sizes.sum() <= 1.5 * wanted:
        return cut_D
    taken = _fill(sizes, wanted)
    if sizes[taken].sum() < wanted / 2:
        taken[:] = False
        taken[np.where(sizes > 0, sizes, sizes.max()).argmin()] = True
    whole_D = order[np.repeat(~taken, np.diff(firsts, append=len(order)))]
    cut_D[whole_D] = ranges[whole_D, 1]
    return cut_D


def _cut(start: int, end: int, *, fraction: float, sentences_in: StartsIn, words_in: StartsIn, far: int) -> int:
    """The sentence start nearest to where the last `fraction` of a document begins, or its end if it has only one.

    Where that, or with one the document's start, is more than `far` tokens away: the nearest word start, if there is
    one that gives the fraction within a half.
    """
    target = end - fraction * (end - start)
    starts = sentences_in(start + 1, end)
    nearest = _nearest(starts, target, end)
    if abs((nearest if len(starts) else start) - target) <= far:
        return nearest
    reach = min((end - target) / 2, FAR)
    return _nearest(
        words_in(max(math.ceil(target - reach), start + 1), math.floor(target + reach) + 1), target, nearest
    )


def _nearest(places: NDArray[np.int64], target: float, otherwise: int) -> int:
    return int(places[np.abs(places - target).argmin()]) if len(places) else otherwise
