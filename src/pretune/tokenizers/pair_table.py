"""Counts of adjacent pieces, and the pair with the highest likelihood score.

Every merge changes the frequency of two pieces and so the score of every pair that contains one of them; a heap of
scores would have to be rebuilt each time. Counts and frequencies are kept in arrays instead, and the scores of all
eligible pairs are computed anew for every merge, in one vectorised pass.
"""

import numpy as np
from numpy.typing import NDArray

_SHIFT = 32
_MASK = (1 << _SHIFT) - 1


def pair_key(left: int, right: int) -> int:
    """One integer for a pair of piece ids."""
    return left << _SHIFT | right


def pair_of(key: int) -> tuple[int, int]:
    """The pair of a key."""
    return key >> _SHIFT, key & _MASK


class PairTable:
    """Counts of pairs, and which of them are eligible: seen at least `min_count` times."""

    def __init__(self, min_count: int) -> None:
        self._slots: dict[int, int] = {}
        self._size = 0
        self._counts = np.zeros(1024, dtype=np.int64)
        self._lefts = np.zeros(1024, dtype=np.int64)
        self._rights = np.zeros(1024, dtype=np.int64)
        self._eligible = np.zeros(0, dtype=np.int64)
        self.min_count = min_count

    def count(self, key: int) -> int:
        """Occurrences of a pair."""
        slot = self._slots.get(key)
        return 0 if slot is None else int(self._counts[slot])

    def change(self, deltas: dict[int, int]) -> None:
        """Adds to the counts; pairs that come to `min_count` become eligible."""
        risen = []
        for key, delta in deltas.items():
            if delta == 0:
                continue
            slot = self._slots.get(key)
            if slot is None:
                slot = self._new_slot(key)
            before = int(self._counts[slot])
            self._counts[slot] = before + delta
            if before < self.min_count <= before + delta:
                risen.append(slot)
            elif before + delta == 0:
                del self._slots[key]
        if risen:
            self._eligible = np.concatenate([self._eligible, np.array(risen, dtype=np.int64)])

    def _new_slot(self, key: int) -> int:
        slot = self._size
        if slot == len(self._counts):
            self._counts, self._lefts, self._rights = (
                np.concatenate([values, np.zeros_like(values)]) for values in (self._counts, self._lefts, self._rights)
            )
        self._slots[key] = slot
        self._lefts[slot], self._rights[slot] = pair_of(key)
        self._size += 1
        return slot

    def lower_min_count(self, min_count: int) -> None:
        """Makes every pair eligible that is seen at least `min_count` times."""
        self.min_count = min_count
        self._eligible = np.flatnonzero(self._counts[: self._size] >= min_count)

    def largest_count(self) -> int:
        """The count of the most frequent pair, 0 if there is none."""
        return int(self._counts[: self._size].max(initial=0))

    def best(self, frequency_V: NDArray[np.float64]) -> int | None:
        """The key of the eligible pair with the highest count / (frequency of left * frequency of right) in float64.

        Ties: the higher count, then the smaller left id, then the smaller right id. None if no pair is eligible.
        """
        counts = self._counts[self._eligible]
        alive = counts >= self.min_count
        if alive.sum() * 2 < len(alive):
            self._eligible, counts = self._eligible[alive], counts[alive]
            alive = alive[alive]
        if not alive.any():
            return None
        lefts, rights = self._lefts[self._eligible], self._rights[self._eligible]
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(alive, counts / (frequency_V[lefts] * frequency_V[rights]), -1.0)
        tied = np.flatnonzero(scores == scores.max())
        first = tied[np.lexsort((rights[tied], lefts[tied], -counts[tied]))[0]]
        return pair_key(int(lefts[first]), int(rights[first]))
