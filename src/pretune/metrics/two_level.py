"""Interval over test items *and* over draws of the training data (seeds, labelled samples) at once.

S draws are scored on the same N items, so draws and items are crossed: each resample draws items and, independently,
draws (the pigeonhole bootstrap, Owen 2007, section 3). The score is the mean of the draws' scores.

Two corrections keep few draws honest; both vanish as S grows. Resampling S draws shows a variance (S - 1)/S times too
small, so deviations between draws are scaled by sqrt(S/(S - 1)) (the rescaling bootstrap, Rao and Wu 1988, section 2).
And a variance estimated from S draws is itself uncertain, so the resampled deviations are widened by t/z, with degrees
of freedom after Satterthwaite (1946) from the two variances. In simulations like those of the tests, with draws that
differ much, intervals that claim 95 % cover the truth in 81 % (2 draws), 92 % (3) and 94 % (5) of cases without these
corrections and in 91 %, 96 % and 96 % with them. Two draws stay few: print their number beside the interval.

>>> correct_SN = [[3, 4, 1], [2, 5, 1]]                  # two draws, three sentences
>>> bootstrap_draws_ratio(correct_SN, [4, 5, 1], rng=np.random.default_rng(0)).estimate
0.8
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, fraction
from pretune.metrics.intervals import (
    Interval,
    SumScore,
    as_counts,
    check_sizes,
    percentiles,
    ratio_columns,
    ratio_of_sums,
    resample_weights,
)


def bootstrap_draws(
    counts_SNC: ArrayLike,
    score: SumScore,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Interval of the mean over S draws of `score(counts summed over N items)`; `score` maps [..., C] to [...].

    InputError for one draw: it says nothing about draws; use `intervals.bootstrap_sums` and say so.
    """
    counts = as_counts(counts_SNC, 3)
    num_draws, num_items, num_counts = counts.shape
    check_sizes(num_items, num_resamples)
    if num_draws < 2:
        raise InputError("one draw has no spread between draws: give at least two, or an interval over items alone")
    flat_NK = counts.transpose(1, 0, 2).reshape(num_items, num_draws * num_counts)
    scores_BS = np.concatenate(
        [
            score((weights_BN @ flat_NK).reshape(-1, num_draws, num_counts))
            for weights_BN in resample_weights(num_items, num_resamples, rng)
        ]
    )
    return _interval(score(counts.sum(1)), scores_BS, num_items, rng, fraction(level))


def bootstrap_draws_ratio(
    numerator_SN: ArrayLike,
    denominator_N: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Interval of the mean over draws of sum / sum over items: word accuracy from each sentence's correct words.

    For the difference of two systems fine-tuned on the same draws, give the difference of their numerators.
    """
    top_SN = as_counts(numerator_SN, 2)
    columns = [ratio_columns(row, denominator_N) for row in top_SN]
    counts_SN2 = np.stack([np.stack(pair, axis=-1) for pair in columns])
    return bootstrap_draws(counts_SN2, ratio_of_sums, rng=rng, level=level, num_resamples=num_resamples)


def _interval(
    scores_S: FloatArray, scores_BS: FloatArray, num_items: int, rng: np.random.Generator, level: float
) -> Interval:
    """scores_S of the items as they are; scores_BS of every draw on resampled items."""
    return percentiles(float(scores_S.mean()), resampled_means(scores_S, scores_BS, num_items, rng, level), level)


def resampled_means(
    scores_S: FloatArray, scores_BS: FloatArray, num_items: int, rng: np.random.Generator, level: float = 0.95
) -> FloatArray:
    """The mean over S draws [B] as it varies with items and draws, wide enough for an interval of this level.

    scores_S: of each draw on the N items as they are; scores_BS: on each of B resamples of the items. S is at least 2.
    """
    num_draws = len(scores_S)
    estimate = float(scores_S.mean())
    items_B = scores_BS.mean(1)
    chosen_BS = rng.integers(num_draws, size=scores_BS.shape)
    drawn_B = np.take_along_axis(scores_BS, chosen_BS, axis=1).mean(1)
    spread_B = np.sqrt(num_draws / (num_draws - 1)) * (drawn_B - items_B)
    freedom = _degrees_of_freedom(
        float(scores_S.var(ddof=1) / num_draws), num_draws - 1, float(items_B.var()), num_items - 1
    )
    tail = (1 + level) / 2
    widening = float(stats.t.ppf(tail, freedom) / stats.norm.ppf(tail))
    return np.asarray(estimate + widening * (items_B + spread_B - estimate))


def _degrees_of_freedom(draws: float, draws_freedom: int, items: float, items_freedom: int) -> float:
    """Satterthwaite (1946), equation 17: of a sum of two variances of means."""
    uncertainty = draws**2 / draws_freedom + items**2 / max(items_freedom, 1)
    return (draws + items) ** 2 / uncertainty if uncertainty > 0 else float(draws_freedom + items_freedom)
