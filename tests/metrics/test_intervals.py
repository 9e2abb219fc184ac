"""Intervals: the fast ways equal the plain one, cover the truth as often as they claim, and refuse bad input."""

import numpy as np
import pytest
from scipy import stats

from pretune.core.errors import InputError
from pretune.metrics import intervals
from pretune.metrics.intervals import bootstrap, bootstrap_mean, bootstrap_ratio, bootstrap_sums, ratio_of_sums
from pretune.metrics.significance import mcnemar, paired_bootstrap, paired_bootstrap_sums
from pretune.metrics.spans import f1_of_counts
from pretune.metrics.two_level import bootstrap_draws, bootstrap_draws_ratio


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_sums_equal_the_plain_bootstrap_of_the_same_items() -> None:
    counts = rng(1).integers(0, 5, size=(50, 3)) + np.array([0, 5, 5])
    fast = bootstrap_sums(counts, f1_of_counts, rng=rng())
    items_BN = rng().integers(50, size=(1000, 50))
    plain = [float(f1_of_counts(counts[items].sum(0).astype(float))) for items in items_BN]
    assert (fast.low, fast.high) == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))))
    slow = bootstrap(lambda items: float(f1_of_counts(counts[items].sum(0).astype(float))), 50, rng=rng(5))
    assert slow.estimate == pytest.approx(fast.estimate)
    assert (slow.low, slow.high) == pytest.approx((fast.low, fast.high), abs=0.02)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng(1).random(40)
    whole = bootstrap_mean(values, rng=rng())
    monkeypatch.setattr(intervals, "BLOCK", 400)
    assert bootstrap_mean(values, rng=rng()) == whole


def test_same_seed_same_interval_and_level_widens() -> None:
    values = rng(1).random(200)
    assert bootstrap_mean(values, rng=rng(3)) == bootstrap_mean(values, rng=rng(3))
    wide = bootstrap_mean(values, rng=rng(3), level=0.99)
    narrow = bootstrap_mean(values, rng=rng(3), level=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_mean_agrees_with_the_normal_interval() -> None:
    values = rng(1).random(2000)
    interval = bootstrap_mean(values, rng=rng(), num_resamples=4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(2000)
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=5e-4)


def test_items_are_resampled_whole() -> None:
    """Words of a sentence go together: all right or all wrong must widen the interval against words alone."""
    right_S = (rng(1).random(100) < 0.7).astype(float)
    grouped = bootstrap_ratio(right_S * 20, np.full(100, 20.0), rng=rng())
    alone = bootstrap_mean(np.repeat(right_S, 20), rng=rng())
    assert grouped.estimate == pytest.approx(alone.estimate)
    assert (grouped.high - grouped.low) > 3.5 * (alone.high - alone.low)


def test_coverage_of_the_mean() -> None:
    covered = [not bootstrap_mean(rng(s).normal(size=50), rng=rng(s + 9000)).excludes(0.0) for s in range(400)]
    assert 0.90 <= np.mean(covered) <= 0.98


def crossed(seed: int, num_draws: int, draw_spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Correct words [S, N] of N sentences: sentences differ, draws differ, and the truth is the mean 0.7."""
    source = rng(seed)
    words_N = source.integers(5, 20, size=150)
    sentence_N = source.normal(0, 0.08, size=150)
    draw_S = source.normal(0, draw_spread, size=(num_draws, 1))
    return source.binomial(words_N, np.clip(0.7 + sentence_N + draw_S, 0, 1)), words_N


@pytest.mark.parametrize(("num_draws", "draw_spread"), [(2, 0.01), (2, 0.03), (5, 0.0), (5, 0.02)])
def test_coverage_over_draws_and_items(num_draws: int, draw_spread: float) -> None:
    covered = []
    for seed in range(300):
        correct_SN, words_N = crossed(seed, num_draws, draw_spread)
        interval = bootstrap_draws_ratio(correct_SN, words_N, rng=rng(seed + 9000), num_resamples=400)
        covered.append(not interval.excludes(0.7))
    assert 0.91 <= np.mean(covered) <= 0.99


def test_many_equal_draws_give_the_interval_over_items() -> None:
    correct_SN, words_N = crossed(0, 1, 0.0)
    both = bootstrap_draws_ratio(np.repeat(correct_SN, 30, 0), words_N, rng=rng(), num_resamples=4000)
    items = bootstrap_ratio(correct_SN[0], words_N, rng=rng(), num_resamples=4000)
    assert both.estimate == items.estimate
    assert (both.low, both.high) == pytest.approx((items.low, items.high), abs=1e-3)


def test_spread_between_draws_widens() -> None:
    words_N = np.full(100, 10)
    close = bootstrap_draws_ratio(np.full((5, 100), 7), words_N, rng=rng())
    apart = bootstrap_draws_ratio(np.repeat([[5], [6], [7], [8], [9]], 100, 1), words_N, rng=rng())
    assert (close.low, close.high) == (0.7, 0.7)
    # the mean of 5 with a standard deviation of sqrt(0.025): the t interval with 4 degrees of freedom
    half = stats.t.ppf(0.975, 4) * np.sqrt(0.025 / 5)
    assert (apart.low, apart.high) == pytest.approx((0.7 - half, 0.7 + half), abs=0.03)


def test_draws_with_any_score_of_sums() -> None:
    counts_SNC = rng(1).integers(0, 5, size=(3, 40, 3)) + np.array([0, 5, 5])
    interval = bootstrap_draws(counts_SNC, f1_of_counts, rng=rng())
    assert interval.estimate == pytest.approx(f1_of_counts(counts_SNC.sum(1).astype(float)).mean())
    assert interval.low < interval.estimate < interval.high


def test_mcnemar_by_hand_and_against_scipy() -> None:
    first, second = np.repeat([1, 1, 0, 0], [30, 25, 9, 6]), np.repeat([1, 0, 1, 0], [30, 25, 9, 6])
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (25, 9)
    assert result.chi2 == pytest.approx((16 - 1) ** 2 / 34)
    assert result.chi2_p == pytest.approx(stats.chi2.sf(225 / 34, 1))
    assert result.exact_p == pytest.approx(stats.binomtest(25, 34).pvalue)
    assert mcnemar([1, 0], [1, 0]).exact_p == 1.0
    assert mcnemar([1, 0], [0, 1]).exact_p == 1.0


def test_paired_bootstrap_ways_agree_and_pairing_matters() -> None:
    second = (rng(1).random(300) < 0.6).astype(float)
    first = np.where(rng(2).random(300) < 0.08, 1.0, second)
    pairs = [np.stack([values, np.ones(300)], -1) for values in (first, second)]
    fast = paired_bootstrap_sums(*pairs, ratio_of_sums, rng=rng())
    slow = paired_bootstrap(lambda i: float(first[i].mean()), lambda i: float(second[i].mean()), 300, rng=rng(7))
    assert fast.interval.estimate == pytest.approx(slow.interval.estimate) == pytest.approx((first - second).mean())
    assert (fast.interval.low, fast.interval.high) == pytest.approx((slow.interval.low, slow.interval.high), abs=0.01)
    assert fast.interval.low > 0 and fast.p_value < 0.01  # unpaired, intervals of 0.6 +- 0.055 would overlap
    assert paired_bootstrap_sums(pairs[0], pairs[0], ratio_of_sums, rng=rng()).p_value == 1.0


def test_paired_bootstrap_rarely_finds_a_difference_that_is_not_there() -> None:
    found = 0
    for seed in range(300):
        right_2N = rng(seed).random((2, 80)) < 0.7
        first, second = (np.stack([right, np.ones(80)], -1) for right in right_2N)
        found += paired_bootstrap_sums(first, second, ratio_of_sums, rng=rng(seed), num_resamples=400).p_value < 0.05
    assert found / 300 < 0.09


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="no items"):
        bootstrap(lambda items: 0.0, 0, rng=rng())
    with pytest.raises(InputError, match="empty"):
        bootstrap_mean([], rng=rng())
    with pytest.raises(InputError, match="NaN"):
        bootstrap_mean([0.1, np.nan], rng=rng())
    with pytest.raises(ValueError, match="fewer than 100"):
        bootstrap_mean([0.1, 0.2], rng=rng(), num_resamples=10)
    with pytest.raises(ValueError, match="confidence level"):
        bootstrap_mean([0.1, 0.2], rng=rng(), level=95)
    with pytest.raises(ValueError, match="2 numerators but 1"):
        bootstrap_ratio([1, 2], [3], rng=rng())
    with pytest.raises(InputError, match="positive denominator"):
        bootstrap_ratio([0, 1], [0, 1], rng=rng())
    with pytest.raises(InputError, match="one draw"):
        bootstrap_draws_ratio([[1, 2]], [2, 2], rng=rng())
    with pytest.raises(ValueError, match="share their items"):
        paired_bootstrap_sums([[1, 1]], [[1, 1], [0, 1]], ratio_of_sums, rng=rng())
    with pytest.raises(InputError, match="0 .wrong. and 1"):
        mcnemar([0.5], [1])
    with pytest.raises(ValueError, match="NaN on some resamples"):
        bootstrap(lambda items: float("nan") if len(set(items)) < 3 else 1.0, 3, rng=rng())
