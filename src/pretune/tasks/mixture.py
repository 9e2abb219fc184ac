"""Several tasks in one training file, mixed in proportion: examples-proportional mixing with a cap and a temperature.

Raffel et al. 2020, section 3.5.2: the rate of task m is r_m = min(e_m, K) / sum of min(e_n, K), with e_m its examples
and K the cap; with a temperature T rates become r_m ** (1 / T) / sum of r_n ** (1 / T), which lie nearer to each other.

There every example of a step is drawn by these rates. Here an epoch has sum of min(e_n, K) places, divided among the
tasks by their rates to the nearest whole number, at least one each; the feed shuffles them. So rates are exact, and the
place in the data says what comes next. A task with more examples than its share goes through all of them before one
comes again, over several epochs; one with fewer repeats them within an epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.core.randomness import derive_key
from pretune.corpus.order import shuffled
from pretune.metrics.checks import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Mixture:
    """rows: the numbers of each task's records. places: how many places of an epoch each task has."""

    rows: tuple[IntArray, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return sum(self.places)

    def record(self, number: int, epoch: int) -> int:
        """The record at a place of an epoch."""
        for task, (rows, places) in enumerate(zip(self.rows, self.places, strict=True)):
            if number < places:
                turn, at = divmod(epoch * places + number, len(rows))
                return int(rows[shuffled(at, len(rows), derive_key(0, "mixture", task, turn))])
            number -= places
        raise IndexError("an epoch has fewer places")


def mixed(names_N: Sequence[str], cap: int | None, temperature: float) -> Mixture:
    """names_N: the task of each record.

    >>> mixture = mixed(["a"] * 8 + ["b"] * 2, cap=4, temperature=1.0)
    >>> mixture.places                                                        # min(8, 4) and min(2, 4)
    (4, 2)
    >>> sorted(mixture.record(place, epoch) for epoch in (0, 1) for place in range(4))
    [0, 1, 2, 3, 4, 5, 6, 7]
    >>> mixed(["a"] * 8 + ["b"] * 2, cap=None, temperature=2.0).places         # 2 : 1, of 10
    (7, 3)
    """
    names = sorted(set(names_N))
    rows = tuple(np.flatnonzero(np.array([one == name for one in names_N])) for name in names)
    sizes = np.array([min(len(each), cap or len(each)) for each in rows], np.float64)
    return Mixture(rows, tuple(_divided(int(sizes.sum()), mixing_rates(sizes, temperature))))


def mixing_rates(sizes: FloatArray, temperature: float) -> FloatArray:
    """Of tasks with so many examples each; they sum to 1.

    >>> mixing_rates(np.array([8.0, 2.0]), 2.0).round(3).tolist()
    [0.667, 0.333]
    """
    if not temperature >= 1:
        raise InputError(f"temperature={temperature}: 1 mixes in proportion, higher values bring rates nearer together")
    rates = (sizes / sizes.sum()) ** (1 / temperature)
    return np.asarray(rates / rates.sum())


def _divided(total: int, rates: FloatArray) -> list[int]:
    """Whole numbers by largest remainders, at least 1 each."""
    exact = rates * total
    parts = np.maximum(np.floor(exact), 1).astype(int)
    for place in np.argsort(-(exact - parts), kind="stable")[: max(total - int(parts.sum()), 0)]:
        parts[place] += 1
    return [int(part) for part in parts]
