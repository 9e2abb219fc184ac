"""Whether two systems scored on the same items differ: McNemar's test and the paired bootstrap.

Both say how surely the systems differ on items like these, not by how much training them again would change them: for
that, resample the draws as well (two_level.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, IntArray, numbers, paired
from pretune.metrics.intervals import Interval, SumScore, as_counts, check_sizes, percentiles, resample_weights


@dataclass(frozen=True)
class McNemar:
    """only_first, only_second: items that one system alone got right. Two-sided probabilities.

    exact_p: binomial test. chi2_p: of chi2 = (|b - c| - 1)² / (b + c), Edwards' (1948) continuity correction.
    """

    only_first: int
    only_second: int
    exact_p: float
    chi2: float
    chi2_p: float


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> McNemar:
    """McNemar's test (1947) on whether each system got each item right ([N] each, 0 or 1).

    Where the systems agree on every item, both probabilities are 1. Prefer `exact_p`; chi2 is an approximation for
    only_first + only_second of 25 and more.

    >>> result = mcnemar([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1, 1])
    >>> result.only_first, result.only_second, result.exact_p, round(result.chi2, 3), round(result.chi2_p, 3)
    (6, 1, 0.125, 2.286, 0.131)
    """
    paired(first_correct, second_correct)
    first_N, second_N = numbers(first_correct, "first"), numbers(second_correct, "second")
    if not (np.isin(first_N, (0.0, 1.0)).all() and np.isin(second_N, (0.0, 1.0)).all()):
        raise InputError("McNemar's test needs values of 0 (wrong) and 1 (right)")
    b, c = int((first_N > second_N).sum()), int((second_N > first_N).sum())
    if b + c == 0:
        return McNemar(0, 0, 1.0, 0.0, 1.0)
    exact = min(1.0, 2.0 * float(stats.binom.cdf(min(b, c), b + c, 0.5)))
    chi2 = max(abs(b - c) - 1, 0) ** 2 / (b + c)
    return McNemar(b, c, exact, chi2, float(stats.chi2.sf(chi2, 1)))


@dataclass(frozen=True)
class Difference:
    """first - second with its interval, and the two-sided probability of a difference as far from zero by chance."""

    interval: Interval
    p_value: float


def paired_bootstrap(
    first: Callable[[IntArray], float],
    second: Callable[[IntArray], float],
    num_items: int,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Difference:
    """Difference of two metrics of item numbers, both taken on the same resamples (Koehn 2004, section 4)."""
    check_sizes(num_items, num_resamples)

    def difference(items: IntArray) -> float:
        return first(items) - second(items)

    resamples = (rng.integers(num_items, size=num_items) for _ in range(num_resamples))
    differences_B = np.array([difference(items) for items in resamples], np.float64)
    return _difference(difference(np.arange(num_items)), differences_B, level)


def paired_bootstrap_sums(
    first_NC: ArrayLike,
    second_NC: ArrayLike,
    score: SumScore,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Difference:
    """Difference of `score(counts summed over items)` of two systems; `score` maps [..., C] to [...].

    >>> right = [[1, 1]] * 40                                   # a correct item: 1 of 1
    >>> wrong = [[0, 1]] * 10
    >>> from pretune.metrics.intervals import ratio_of_sums
    >>> rng = np.random.default_rng(0)
    >>> round(paired_bootstrap_sums(right + wrong, wrong + right, ratio_of_sums, rng=rng).interval.estimate, 3)
    0.0
    """
    first, second = as_counts(first_NC, 2), as_counts(second_NC, 2)
    if first.shape != second.shape:
        raise ValueError(f"counts of shapes {first.shape} and {second.shape}: the systems must share their items")
    check_sizes(len(first), num_resamples)
    blocks = [score(w_BN @ first) - score(w_BN @ second) for w_BN in resample_weights(len(first), num_resamples, rng)]
    return _difference(float(score(first.sum(0)) - score(second.sum(0))), np.concatenate(blocks), level)


def two_sided(differences_B: FloatArray) -> float:
    """The smaller tail of resampled differences beyond zero, twice, counting the sample itself (Davison and Hinkley
    1997, section 4.4).

    >>> two_sided(np.array([-1.0] + [1.0] * 198))
    0.02
    """
    below, above = int((differences_B <= 0).sum()), int((differences_B >= 0).sum())
    return min(1.0, 2.0 * (1 + min(below, above)) / (1 + len(differences_B)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted so that one wrong rejection among all is as rare as in one test (Holm 1979).

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _difference(estimate: float, differences_B: FloatArray, level: float) -> Difference:
    return Difference(percentiles(estimate, differences_B, level), two_sided(differences_B))
