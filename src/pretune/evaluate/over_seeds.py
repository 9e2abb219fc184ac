"""Intervals over test items and over the runs of several seeds (or draws of labelled data) at once.

Each run gives `Items` of the same test records. Where the metric is a function of sums the bootstrap is over both
(`metrics/two_level.py`); else, and for one run, it is over test items alone, which the flag says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray
from pretune.metrics.intervals import Interval, SumScore, bootstrap
from pretune.metrics.two_level import bootstrap_draws
from pretune.tasks.items import Items


def mean_interval(items: Sequence[Items], rng: np.random.Generator) -> tuple[Interval, bool]:
    """(interval of the mean over runs, whether it is over runs too)."""
    if len(items) == 1:
        return items[0].interval(rng=rng), False
    stacked = _stacked(items)
    if stacked is not None:
        return bootstrap_draws(*stacked, rng=rng), True
    return bootstrap(_mean_of(items), items[0].num_items, rng=rng), False


def difference_interval(
    first: Sequence[Items], second: Sequence[Items], rng: np.random.Generator
) -> tuple[Interval, bool]:
    """The same of the first runs' mean minus the second ones'. Over runs where there are equally many, taken in pairs:
    the n-th of each shares its seed or its draw."""
    ours, theirs = _stacked(first), _stacked(second)
    if ours is not None and theirs is not None and len(first) == len(second) > 1:
        (a_SNC, score), (b_SNC, other_score) = ours, theirs
        border = a_SNC.shape[-1]

        def difference(counts: FloatArray) -> FloatArray:
            return score(counts[..., :border]) - other_score(counts[..., border:])

        return bootstrap_draws(np.concatenate([a_SNC, b_SNC], -1), difference, rng=rng), True
    mean, other_mean = _mean_of(first), _mean_of(second)
    return bootstrap(lambda items: mean(items) - other_mean(items), first[0].num_items, rng=rng), False


def limits(metric: str) -> tuple[float, float]:
    """The range of a metric: correlations from -1, others from 0; all to 1."""
    return (-1.0 if metric in ("matthews", "pearson", "spearman") else 0.0), 1.0


def cut_to(interval: Interval, least: float, most: float) -> Interval:
    """The part of an interval within these ends.

    >>> cut_to(Interval(0.9, 0.7, 1.1), 0.0, 1.0)
    Interval(estimate=0.9, low=0.7, high=1.0, level=0.95)
    """
    low, high = (min(max(end, least), most) for end in (interval.low, interval.high))
    return replace(interval, low=low, high=high)


def _stacked(items: Sequence[Items]) -> tuple[FloatArray, SumScore] | None:
    """Counts of all runs [S, N, C] and their score; None where the metric is no function of sums."""
    counts = [one.counts_NC for one in items if one.counts_NC is not None]
    score = items[0].score
    if score is None or len(counts) < len(items) or len({one.shape for one in counts}) > 1:
        return None
    return np.stack(counts), score


def _mean_of(items: Sequence[Items]) -> Callable[[IntArray], float]:
    return lambda numbers: fmean(one.metric(numbers) for one in items)
