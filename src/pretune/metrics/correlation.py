"""Pearson and Spearman correlation of predicted with gold values: STS-B's scores in GLUE (Wang et al. 2018)."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, numbers, paired


def pearson(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Product-moment correlation, -1 to 1, of at least two pairs.

    0.0 where either side is constant: the correlation is undefined there (scipy gives NaN and a warning); a constant
    prediction ranks nothing, and a model that has not learned yet must not end a run with NaN.

    >>> round(pearson([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]), 2)
    0.8
    """
    gold_N, predicted_N = _numeric_pair(gold, predicted)
    return _correlation(gold_N, predicted_N)


def spearman(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Correlation of ranks (ties get their mean rank), -1 to 1. 0.0 where either side is constant.

    >>> round(spearman([1.0, 2.0, 3.0], [10.0, 100.0, 1000.0]), 6)
    1.0
    """
    gold_N, predicted_N = _numeric_pair(gold, predicted)
    return _correlation(rankdata(gold_N), rankdata(predicted_N))


def _numeric_pair(gold: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    paired(gold, predicted)
    gold_N, predicted_N = numbers(gold, "gold"), numbers(predicted, "predicted")
    if len(gold_N) < 2:
        raise InputError("one pair of values has no correlation: score at least two")
    return gold_N, predicted_N


def _correlation(x_N: FloatArray, y_N: FloatArray) -> float:
    if (x_N == x_N[0]).all() or (y_N == y_N[0]).all():
        return 0.0
    return float(np.clip(_unit(x_N) @ _unit(y_N), -1.0, 1.0))


def _unit(x_N: FloatArray) -> FloatArray:
    """Centred and of length one. Scaled before each step, so that nothing overflows or vanishes."""
    shrunk = x_N / np.abs(x_N).max()
    centred = shrunk - shrunk.mean()
    scaled = centred / np.abs(centred).max()
    return np.asarray(scaled / np.linalg.norm(scaled))
