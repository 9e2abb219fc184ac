"""Pearson and Spearman against scipy, at the edges of floats, and what constant input gives."""

import numpy as np
import pytest
from scipy import stats

from pretune.core.errors import InputError
from pretune.metrics.correlation import pearson, spearman


@pytest.mark.parametrize("seed", range(10))
def test_equals_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = np.round(rng.normal(size=40), 1)  # ties
    predicted = np.round(gold + rng.normal(size=40), 1)
    assert pearson(gold, predicted) == pytest.approx(stats.pearsonr(gold, predicted).statistic, abs=1e-12)
    assert spearman(gold, predicted) == pytest.approx(stats.spearmanr(gold, predicted).statistic, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1.0, 1e300])
def test_scale_does_not_matter(scale: float) -> None:
    gold = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(gold, gold[[0, 2, 1, 3]] * scale) == pytest.approx(0.8, abs=1e-3)


def test_constant_input_is_zero_without_a_warning() -> None:
    assert pearson([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]) == 0.0
    assert spearman([5, 5, 5], [1.0, 2.0, 3.0]) == 0.0


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        pearson([1.0], [1.0])
    with pytest.raises(InputError, match="NaN"):
        spearman([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="expected numbers"):
        pearson(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="3 gold values but 2"):
        pearson([1, 2, 3], [1, 2])
