"""Scores of class predictions: accuracy, confusion counts, precision, recall, F1, Matthews correlation.

Labels may be integers or text; `labels` fixes which classes count and their order, else all that occur do, sorted.
A ratio whose denominator is zero is 0.0, as in scikit-learn with `zero_division=0`.

>>> gold      = ["cat", "cat", "dog", "dog", "dog", "cow"]
>>> predicted = ["cat", "dog", "dog", "dog", "cat", "dog"]
>>> accuracy(gold, predicted)
0.5
>>> confusion(gold, predicted, labels=["cat", "dog", "cow"]).tolist()      # rows: gold, columns: predicted
[[1, 1, 0], [1, 2, 0], [0, 1, 0]]
>>> round(macro_f1(gold, predicted), 4)                                    # (2/4 + 4/7 + 0) / 3
0.3571
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, IntArray, paired

Labels = Sequence[Any] | None


def accuracy(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Share of predictions equal to the gold label, 0 to 1."""
    gold_N, predicted_N = paired(gold, predicted)
    return float((gold_N == predicted_N).mean())


def confusion(gold: ArrayLike, predicted: ArrayLike, labels: Labels = None) -> IntArray:
    """Counts [C, C]: row = gold class, column = predicted class, in the order of `labels` or sorted.

    InputError where a value is not among `labels`.
    """
    gold_N, predicted_N = paired(gold, predicted)
    order = _classes(gold_N, predicted_N) if labels is None else list(labels)
    index = {label: place for place, label in enumerate(order)}
    try:
        rows = [index[value] for value in gold_N.tolist()]
        columns = [index[value] for value in predicted_N.tolist()]
    except KeyError as error:
        raise InputError(f"label {error.args[0]!r} is not among the known labels {order}") from None
    flat = np.bincount(np.array(rows) * len(order) + np.array(columns), minlength=len(order) ** 2)
    return flat.reshape(len(order), len(order)).astype(np.int64)


def _classes(gold_N: Any, predicted_N: Any) -> list[Any]:
    return sorted(set(gold_N.tolist()) | set(predicted_N.tolist()))


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall, F1 (0 to 1) and the number of gold items of one class."""

    precision: float
    recall: float
    f1: float
    support: int


def class_scores(gold: ArrayLike, predicted: ArrayLike, labels: Labels = None) -> dict[Any, ClassScores]:
    """Label -> its scores, each class against all others (van Rijsbergen 1979, chapter 7, with beta = 1)."""
    gold_N, predicted_N = paired(gold, predicted)
    order = _classes(gold_N, predicted_N) if labels is None else list(labels)
    table = confusion(gold_N, predicted_N, order).astype(np.float64)
    hits, num_gold, num_predicted = np.diag(table), table.sum(1), table.sum(0)
    precision, recall = _ratio(hits, num_predicted), _ratio(hits, num_gold)
    f1 = _ratio(2 * hits, num_gold + num_predicted)
    return {
        label: ClassScores(float(precision[i]), float(recall[i]), float(f1[i]), int(num_gold[i]))
        for i, label in enumerate(order)
    }


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def binary_f1(gold: ArrayLike, predicted: ArrayLike, positive: Any = 1) -> float:
    """F1 of one class: MRPC's and QQP's score in GLUE (Wang et al. 2018) is that of label 1.

    InputError where `positive` is text and the labels are numbers, or the other way round.

    >>> round(binary_f1([1, 1, 0, 0], [1, 0, 0, 1]), 2)
    0.5
    """
    gold_N, predicted_N = paired(gold, predicted)
    if isinstance(positive, str) != isinstance(gold_N[0], str):
        raise InputError(f"positive class {positive!r} is not of the labels' type ({gold_N[0]!r} is one of them)")
    hits = float(((gold_N == positive) & (predicted_N == positive)).sum())
    total = float((gold_N == positive).sum() + (predicted_N == positive).sum())
    return 2 * hits / total if total else 0.0


def macro_f1(gold: ArrayLike, predicted: ArrayLike, labels: Labels = None) -> float:
    """Mean of the classes' F1, each class alike: over `labels`, or over the classes that occur at all."""
    return float(np.mean([scores.f1 for scores in class_scores(gold, predicted, labels).values()]))


def micro_f1(gold: ArrayLike, predicted: ArrayLike, ignore: Any = None) -> float:
    """F1 of the summed counts of all classes but `ignore`; without `ignore` it equals accuracy.

    >>> micro_f1(["O", "PER", "LOC"], ["O", "PER", "O"], ignore="O")           # 2·1 / (2 + 1)
    0.6666666666666666
    """
    gold_N, predicted_N = paired(gold, predicted)
    hit_N = gold_N == predicted_N
    if ignore is None:
        return float(hit_N.mean())
    hits = float((hit_N & (gold_N != ignore)).sum())
    total = float((gold_N != ignore).sum() + (predicted_N != ignore).sum())
    return 2 * hits / total if total else 0.0


def matthews(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Matthews correlation, -1 to 1 (Matthews 1975; for more than two classes Gorodkin 2004, equation 8).

    0.0 where gold or predictions are all of one class: the correlation is undefined there, and such a prediction
    carries no information (scikit-learn and GLUE's scorer agree).

    >>> round(matthews([1, 1, 1, 0], [1, 0, 1, 1]), 4)                        # (2·0 - 1·1) / sqrt(3·3·1·1)
    -0.3333
    """
    table = confusion(gold, predicted).astype(np.float64)
    total, hits = table.sum(), np.trace(table)
    gold_C, predicted_C = table.sum(1), table.sum(0)
    spread = (total**2 - gold_C @ gold_C) * (total**2 - predicted_C @ predicted_C)
    return float((hits * total - gold_C @ predicted_C) / np.sqrt(spread)) if spread > 0 else 0.0
