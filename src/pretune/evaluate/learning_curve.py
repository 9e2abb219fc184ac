"""A learning curve: scores of several systems against the number of labelled records that they learn from.

Each system is trained on several draws of each size; all are scored on the same test records, so intervals are over the
draws and the test records at once (`over_seeds.py`). Which records a draw has: `draws`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pretune.core.errors import InputError
from pretune.core.randomness import derive_rng
from pretune.evaluate.chart import Chart, Series
from pretune.evaluate.outcome import Outcome
from pretune.evaluate.over_seeds import cut_to, difference_interval, limits, mean_interval
from pretune.evaluate.table import Cell, Table
from pretune.metrics.checks import IntArray
from pretune.metrics.intervals import Interval
from pretune.tasks.items import Items
from pretune.text.contents import Contents

FIRST_SIZE, FACTOR = 16, 4


@dataclass
class LearningCurve:
    """metric: that of the items, more is better. unit: what is counted ("sentences").

    items[system, size]: the test records' Items for each draw, in the order of the draws, which systems share.
    """

    metric: str
    unit: str
    items: dict[tuple[str, int], list[Items]] = field(default_factory=dict)

    def add(self, system: str, size: int, items: Items) -> None:
        self.items.setdefault((system, size), []).append(items)

    @property
    def systems(self) -> list[str]:
        """In the order in which they were added."""
        return list(dict.fromkeys(system for system, _ in self.items))

    @property
    def sizes(self) -> list[int]:
        return sorted({size for _, size in self.items})

    def num_draws(self, size: int) -> int:
        return max(len(items) for (_, other), items in self.items.items() if other == size)

    def scores(self, system: str, size: int) -> list[float]:
        """The score of each draw."""
        return [float(one.metric(np.arange(one.num_items))) for one in self.items[system, size]]

    def mean(self, system: str, size: int, seed: int = 0) -> tuple[Interval, bool]:
        """(mean over draws with its interval, whether the interval is over draws too)."""
        found, over_draws = mean_interval(self.items[system, size], derive_rng(seed, self.metric, system, size))
        return cut_to(found, *limits(self.metric)), over_draws

    def difference(self, first: str, second: str, size: int, seed: int = 0) -> Outcome:
        """The first system's score minus the second's, on the same draws and test records."""
        rng = derive_rng(seed, "difference", second, size)
        interval, _ = difference_interval(self.items[first, size], self.items[second, size], rng)
        least, most = limits(self.metric)
        cut = cut_to(interval, least - most, most - least)
        return Outcome(f"{first} ({size:,} {self.unit})", second, self.metric, cut)


def draws(num_records: int, seed: int, classes: Sequence[str] | None = None) -> IntArray:
    """All record numbers in the order in which the draws of this seed take them: the draw of n records is the first n,
    so each draw contains the smaller ones.

    classes: None for a random order; else the class of each record, and every draw has the classes as often as the
    whole file, to within one record (the r-th record of a class of c, in random order, stands at the share
    (r + 1/2) / c).

    >>> order = draws(8, 1, ["a", "a", "a", "a", "b", "b", "b", "b"])
    >>> sorted("aaaabbbb"[number] for number in order[:4])
    ['a', 'a', 'b', 'b']
    """
    order_N = derive_rng(seed, "labelled draws").permutation(num_records)
    if classes is None:
        return order_N
    share_N, seen = np.empty(num_records), dict.fromkeys(classes, 0)
    totals = {name: classes.count(name) for name in seen}
    for place, number in enumerate(order_N.tolist()):
        name = classes[number]
        share_N[place] = (seen[name] + 0.5) / totals[name]
        seen[name] += 1
    return np.asarray(order_N[np.argsort(share_N, kind="stable")])


def class_of(held: Contents) -> str:
    """The one class of a record, to stratify by. InputError where it has none, or several."""
    if held.gold != "classes" or len(held.labels) != 1 or isinstance(held.labels[0], list):
        raise InputError("draw=stratified needs records of one class each: give draw=random")
    return held.names[0]


def parse_sizes(text: str | None, num_records: int) -> list[int]:
    """`16,64,all` to numbers in order; None: 16 and four times as many each, to a half of all, and all.

    >>> parse_sizes("64,16,all", 100), parse_sizes(None, 600)
    ([16, 64, 100], [16, 64, 256, 600])
    """
    if text is None:
        sizes, size = [num_records], FIRST_SIZE
        while 2 * size <= num_records:
            sizes, size = [*sizes, size], size * FACTOR
        return sorted(set(sizes))
    found = set()
    for part in (part.strip() for part in text.split(",")):
        if part != "all" and not part.isdecimal():
            raise InputError(f"sizes: {part!r} is no number: give numbers between commas, and all, as 16,64,256,all")
        size = num_records if part == "all" else int(part)
        if not 2 <= size <= num_records:
            raise InputError(f"sizes: {size:,} is not between 2 and the {num_records:,} records there are")
        found.add(size)
    return sorted(found)


def curve_table(curve: LearningCurve) -> Table:
    """A row a size, a column a system."""
    rows: list[tuple[Cell, ...]] = []
    is_over_items = False
    for size in curve.sizes:
        row: list[Cell] = [size, curve.num_draws(size)]
        for system in curve.systems:
            score, over_draws = curve.mean(system, size)
            is_over_items |= not over_draws
            row.append(score)
        rows.append(tuple(row))
    over = "test records alone" if is_over_items else "draws and test records"
    notes = (f"{curve.metric}, mean over draws; in brackets: 95 % intervals over {over}",)
    return Table((curve.unit, "draws", *curve.systems), tuple(rows), "Scores", notes)


def difference_table(curve: LearningCurve, first: str) -> Table:
    """The first system minus each other, with intervals."""
    others = [system for system in curve.systems if system != first]
    rows: list[tuple[Cell, ...]] = []
    for size in curve.sizes:
        found = [curve.difference(first, other, size).difference for other in others]
        rows.append((size, *(f"{d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for d in found)))
    notes = (f"{curve.metric} of the {first} model minus that of the other, on the same draws and test records",)
    return Table((curve.unit, *others), tuple(rows), "Differences", notes)


def verdicts(curve: LearningCurve, first: str) -> tuple[str, ...]:
    """At which sizes the first system beats each other one, in sentences."""
    said = []
    for other in (system for system in curve.systems if system != first):
        by: dict[str, list[str]] = {}
        for size in curve.sizes:
            by.setdefault(curve.difference(first, other, size).verdict, []).append(f"{size:,}")
        parts = {"beats": "beats", "not told apart": "does NOT measurably beat", "worse": "is WORSE than"}
        told = [f"{parts[verdict]} {other} with {', '.join(sizes)}" for verdict, sizes in by.items()]
        said.append(f"The {first} model " + "; it ".join(told) + f" {curve.unit}.")
    return tuple(said)


def curve_chart(curve: LearningCurve, title: str = "Learning curve") -> Chart:
    """A line a system with a band for its interval, against the number of labelled records."""
    series = []
    for system in curve.systems:
        found = [(float(size), curve.mean(system, size)[0]) for size in curve.sizes]
        points = tuple((size, one.estimate) for size, one in found)
        series.append(Series(system, points, tuple((size, one.low, one.high) for size, one in found)))
    notes = ("Bands: 95 % intervals.",)
    return Chart(title, f"labelled {curve.unit}", curve.metric, tuple(series), x_scale="log", notes=notes)
