"""What every metric refuses: empty input, columns of unequal length, values that are not finite."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pretune.core.errors import InputError

AnyArray = NDArray[Any]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def paired(gold: ArrayLike, predicted: ArrayLike) -> tuple[AnyArray, AnyArray]:
    """Two one-dimensional arrays of the same positive length, without NaN or None. ValueError otherwise."""
    gold_N, predicted_N = column(gold, "gold"), column(predicted, "predicted")
    if len(gold_N) != len(predicted_N):
        raise ValueError(f"{len(gold_N)} gold values but {len(predicted_N)} predicted ones: a metric needs one of each")
    kinds = {gold_N.dtype.kind, predicted_N.dtype.kind}
    if "U" in kinds and kinds - {"U", "O"}:
        raise ValueError(
            f"gold values are {gold_N.dtype} but predicted ones {predicted_N.dtype}: compare like with like"
        )
    return gold_N, predicted_N


def column(values: ArrayLike, name: str) -> AnyArray:
    """A one-dimensional array with at least one value and none missing. ValueError otherwise."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: expected one dimension")
    if not len(array):
        raise InputError(f"{name} is empty: there is nothing to score")
    refuse_missing(array, name)
    return array


def refuse_missing(array: AnyArray, name: str) -> None:
    """InputError that counts the values that are NaN, infinite or None and names the first."""
    if array.dtype.kind in "fc":
        bad = ~np.isfinite(array)
    elif array.dtype.kind == "O":
        bad = np.array([value is None or value != value for value in array.reshape(-1)], bool)
    else:
        return
    if bad.any():
        raise InputError(f"{name}: {int(bad.sum())} of {bad.size} values are NaN, infinite or missing")


def numbers(values: ArrayLike, name: str) -> FloatArray:
    """A column as float64. ValueError where it is not numeric."""
    array = column(values, name)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has values of type {array.dtype}: expected numbers")
    return array.astype(np.float64)


def fraction(level: float) -> float:
    """The confidence level, checked to lie between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level}: a confidence level lies between 0 and 1, for example 0.95")
    return level
