"""Whether a probability of 0.8 is right 8 times in 10: reliability bins, expected calibration error, Brier score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, numbers, paired


@dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies in (low, high]: how many, their mean confidence, the share that is correct."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> list[Bin]:
    """The non-empty ones of `num_bins` bins of equal width. confidence [N]: probability given to the prediction;
    correct [N]: whether it was right."""
    confidence_N, correct_N = _checked(confidence, correct)
    if num_bins < 1:
        raise ValueError(f"num_bins is {num_bins}: at least one is needed")
    bin_N = np.clip(np.ceil(confidence_N * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    bins = []
    for number in np.unique(bin_N).tolist():
        inside = bin_N == number
        low, high = number / num_bins, (number + 1) / num_bins
        bins.append(
            Bin(low, high, int(inside.sum()), float(confidence_N[inside].mean()), float(correct_N[inside].mean()))
        )
    return bins


def calibration_error(confidence: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): mean |accuracy - confidence| over bins, by size.

    >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [1, 1, 1, 0], num_bins=10), 2)
    0.1
    """
    bins = reliability(confidence, correct, num_bins)
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total


def brier(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared difference of confidence and outcome (Brier 1950, for the event that the prediction is right).

    >>> brier([1.0, 0.5], [1, 0])
    0.125
    """
    confidence_N, correct_N = _checked(confidence, correct)
    return float(((confidence_N - correct_N) ** 2).mean())


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[FloatArray, FloatArray]:
    paired(correct, confidence)
    confidence_N, correct_N = numbers(confidence, "confidence"), numbers(correct, "correct")
    if confidence_N.min() < 0 or confidence_N.max() > 1:
        raise InputError(f"confidences lie between 0 and 1, not {confidence_N.min()} to {confidence_N.max()}")
    if not np.isin(correct_N, (0.0, 1.0)).all():
        raise InputError("correct holds values other than 0 and 1")
    return confidence_N, correct_N
