"""Perplexity, bits a byte, calibration error and Brier score by hand."""

import math

import pytest

from pretune.core.errors import InputError
from pretune.metrics.calibration import brier, calibration_error, reliability
from pretune.metrics.perplexity import bits_per_byte, perplexity


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices() -> None:
    assert perplexity(100 * math.log(4096), 100) == pytest.approx(4096)
    assert perplexity(1e6, 1) == math.inf
    assert bits_per_byte(3 * math.log(256), 3) == pytest.approx(8.0)


@pytest.mark.parametrize(("total", "count"), [(math.nan, 1.0), (1.0, 0.0), (1.0, math.nan), (1.0, -2.0)])
def test_perplexity_refuses(total: float, count: float) -> None:
    with pytest.raises(InputError):
        perplexity(total, count)


def test_calibration_by_hand() -> None:
    confidence = [0.95, 0.95, 0.95, 0.95, 0.55, 0.55]
    correct = [1, 1, 1, 0, 1, 1]
    assert calibration_error(confidence, correct, 10) == pytest.approx((4 * 0.2 + 2 * 0.45) / 6)
    bins = reliability(confidence, correct, 10)
    assert [(one.low, one.count, one.accuracy) for one in bins] == [(0.5, 2, 1.0), (0.9, 4, 0.75)]
    assert brier(confidence, correct) == pytest.approx((3 * 0.05**2 + 0.95**2 + 2 * 0.45**2) / 6)


def test_bin_edges_belong_to_the_bin_below() -> None:
    bins = reliability([0.0, 0.5, 1.0], [0, 1, 1], 2)
    assert [(one.low, one.count) for one in bins] == [(0.0, 2), (0.5, 1)]


def test_calibration_refuses() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        calibration_error([1.2], [1])
    with pytest.raises(InputError, match="other than 0 and 1"):
        calibration_error([0.2], [0.5])
    with pytest.raises(InputError, match="empty"):
        calibration_error([], [])
    with pytest.raises(ValueError, match="num_bins"):
        calibration_error([0.2], [1], num_bins=0)
