"""Percentile bootstrap over test items (Efron 1979; Efron and Tibshirani 1993, section 13.3).

`bootstrap` takes any metric of item numbers. Where a score is a function of sums over items (a mean, accuracy over the
words of sentences, F1 from counts), `bootstrap_sums` does all resamples in a few matrix products. The unit that is
resampled should be the unit that was sampled: sentences, not their words.

Not here: bias correction (BCa); draws of the training data (two_level.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, IntArray, fraction, numbers, refuse_missing

SumScore = Callable[[FloatArray], FloatArray]
"""Sums of counts [..., C] to scores [...]."""

BLOCK = 1 << 22
"""Resampled item numbers held at once (32 MiB)."""


@dataclass(frozen=True)
class Interval:
    """A score, the interval around it, and its level. `estimate` is the score of the items as they are."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def excludes(self, value: float) -> bool:
        """Whether the value lies outside the interval."""
        return value < self.low or value > self.high


def bootstrap(
    metric: Callable[[IntArray], float],
    num_items: int,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Interval of a metric of item numbers: `metric(np.arange(num_items))` is the estimate.

    >>> values = np.array([0.0, 1.0, 1.0, 1.0])
    >>> bootstrap(lambda items: float(values[items].mean()), 4, rng=np.random.default_rng(0))
    Interval(estimate=0.75, low=0.25, high=1.0, level=0.95)
    """
    check_sizes(num_items, num_resamples)
    estimate = float(metric(np.arange(num_items)))
    scores_B = np.array([metric(rng.integers(num_items, size=num_items)) for _ in range(num_resamples)], np.float64)
    return percentiles(estimate, scores_B, level)


def bootstrap_sums(
    counts_NC: ArrayLike,
    score: SumScore,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Interval of `score(counts summed over items)`; `score` maps [..., C] to [...].

    >>> from pretune.metrics.spans import f1_of_counts
    >>> counts = [[1, 1, 1], [0, 1, 2], [2, 2, 2]]                             # a sentence: correct, predicted, gold
    >>> bootstrap_sums(counts, f1_of_counts, rng=np.random.default_rng(0)).estimate      # 2·3 / (4 + 5)
    0.6666666666666666
    """
    counts = as_counts(counts_NC, 2)
    check_sizes(len(counts), num_resamples)
    scores_B = np.concatenate(
        [score(weights_BN @ counts) for weights_BN in resample_weights(len(counts), num_resamples, rng)]
    )
    return percentiles(float(score(counts.sum(0))), scores_B, level)


def bootstrap_ratio(
    numerator_N: ArrayLike,
    denominator_N: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Interval of sum / sum over items: word accuracy from each sentence's correct and total words.

    >>> bootstrap_ratio([3, 4, 1], [4, 5, 1], rng=np.random.default_rng(0)).estimate
    0.8
    """
    counts_N2 = np.stack(ratio_columns(numerator_N, denominator_N), axis=-1)
    return bootstrap_sums(counts_N2, ratio_of_sums, rng=rng, level=level, num_resamples=num_resamples)


def bootstrap_mean(
    values_N: ArrayLike, *, rng: np.random.Generator, level: float = 0.95, num_resamples: int = 1000
) -> Interval:
    """Interval of the mean of one value an item, for example whether each was right."""
    values = numbers(values_N, "values")
    return bootstrap_ratio(values, np.ones_like(values), rng=rng, level=level, num_resamples=num_resamples)


def ratio_of_sums(counts: FloatArray) -> FloatArray:
    """[..., 2] to first / second."""
    return np.asarray(counts[..., 0] / counts[..., 1])


def ratio_columns(numerator_N: ArrayLike, denominator_N: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both columns, checked: equal length and positive denominators (an item without words must be left out)."""
    top, bottom = numbers(numerator_N, "numerator"), numbers(denominator_N, "denominator")
    if len(top) != len(bottom):
        raise ValueError(f"{len(top)} numerators but {len(bottom)} denominators")
    if bottom.min() <= 0:
        raise InputError("every item needs a positive denominator: leave empty items out")
    return top, bottom


def resample_weights(num_items: int, num_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Blocks [b, N] of how often each item is in each resample, `num_resamples` rows in all."""
    at_once = max(1, BLOCK // num_items)
    for start in range(0, num_resamples, at_once):
        rows = min(at_once, num_resamples - start)
        items = rng.integers(num_items, size=(rows, num_items)) + np.arange(rows)[:, None] * num_items
        yield np.bincount(items.reshape(-1), minlength=rows * num_items).reshape(rows, num_items).astype(np.float64)


def percentiles(estimate: float, scores_B: FloatArray, level: float) -> Interval:
    """The interval between the (1 - level) / 2 and (1 + level) / 2 quantiles of the resampled scores."""
    tail = (1 - fraction(level)) / 2
    if np.isnan(scores_B).any():
        raise ValueError("the metric is NaN on some resamples: it must be defined on every choice of items")
    low, high = np.quantile(scores_B, (tail, 1 - tail))
    return Interval(estimate, float(low), float(high), level)


def as_counts(counts: ArrayLike, num_dimensions: int) -> FloatArray:
    """Counts as float64 with the expected number of dimensions, no dimension empty, all finite."""
    array = np.asarray(counts, np.float64)
    if array.ndim != num_dimensions:
        raise ValueError(f"counts have shape {array.shape}: expected {num_dimensions} dimensions")
    if not array.size:
        raise InputError("no items: there is nothing to score")
    refuse_missing(array, "counts")
    return array


def check_sizes(num_items: int, num_resamples: int) -> None:
    """InputError without items; ValueError for too few resamples to have tails."""
    if num_items < 1:
        raise InputError("no items: there is nothing to score")
    if num_resamples < 100:
        raise ValueError(f"num_resamples is {num_resamples}: fewer than 100 have no tails to read an interval from")
