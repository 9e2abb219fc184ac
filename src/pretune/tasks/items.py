"""Items: what an interval of a metric needs of each test item, and such items for every metric of the tasks.

Nearly every metric here is a function of sums over items, so that a bootstrap of 1,000 resamples is a few matrix
products (`metrics.intervals.bootstrap_sums`, `metrics.two_level.bootstrap_draws`). Spearman's correlation is not one:
ranks change with the items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pretune.metrics.checks import AnyArray, FloatArray, IntArray, paired
from pretune.metrics.correlation import spearman
from pretune.metrics.intervals import Interval, SumScore, bootstrap, bootstrap_sums, ratio_of_sums
from pretune.metrics.multi_label import macro_f1_of_counts
from pretune.metrics.spans import Reader, f1_of_counts, span_counts, spans

Tags = Sequence[str]


@dataclass(frozen=True, eq=False)
class Items:
    """A metric of N items.

    metric: item numbers to the metric's value on those items. counts_NC, score: the metric is `score(counts summed over
    items)`, for any leading dimensions; None where it is not a function of sums.
    """

    num_items: int
    metric: Callable[[IntArray], float]
    counts_NC: FloatArray | None = None
    score: SumScore | None = None

    def interval(self, *, rng: np.random.Generator, level: float = 0.95, num_resamples: int = 1000) -> Interval:
        """Percentile bootstrap over the items.

        >>> accuracy_items(["a", "b", "b"], ["a", "b", "a"]).interval(rng=np.random.default_rng(0)).estimate
        0.6666666666666666
        """
        if self.counts_NC is None or self.score is None:
            return bootstrap(self.metric, self.num_items, rng=rng, level=level, num_resamples=num_resamples)
        return bootstrap_sums(self.counts_NC, self.score, rng=rng, level=level, num_resamples=num_resamples)


def of_sums(counts: ArrayLike, score: SumScore) -> Items:
    """Items of a metric that is a function of sums of counts [N, C]."""
    counts_NC = np.asarray(counts, np.float64)
    return Items(len(counts_NC), lambda items: float(score(counts_NC[items].sum(0))), counts_NC, score)


def accuracy_items(gold: ArrayLike, predicted: ArrayLike) -> Items:
    """Share of items that are right."""
    gold_N, predicted_N = paired(gold, predicted)
    return of_sums(np.stack([gold_N == predicted_N, np.ones(len(gold_N))], -1), ratio_of_sums)


def f1_items(gold: ArrayLike, predicted: ArrayLike, positive: str) -> Items:
    """F1 of one class."""
    gold_N, predicted_N = paired(gold, predicted)
    is_gold, is_predicted = gold_N == positive, predicted_N == positive
    return of_sums(np.stack([is_gold & is_predicted, is_predicted, is_gold], -1), f1_of_counts)


def macro_f1_items(gold: ArrayLike, predicted: ArrayLike) -> Items:
    """Mean F1 of the classes that occur, as gold or as predicted, among the items chosen."""
    is_gold_NC, is_predicted_NC = _one_hot(gold, predicted)
    counts = np.stack([is_gold_NC & is_predicted_NC, is_predicted_NC, is_gold_NC], -1)
    return of_sums(counts.reshape(len(counts), -1), _macro_f1_of_counts)


def _macro_f1_of_counts(counts: FloatArray) -> FloatArray:
    return macro_f1_of_counts(counts.reshape(*counts.shape[:-1], -1, 3))


def matthews_items(gold: ArrayLike, predicted: ArrayLike) -> Items:
    """Matthews correlation (Gorodkin 2004, equation 8); 0 where it is undefined."""
    is_gold_NC, is_predicted_NC = _one_hot(gold, predicted)
    hits_N = np.any(is_gold_NC & is_predicted_NC, axis=-1, keepdims=True)
    return of_sums(np.concatenate([hits_N, np.ones_like(hits_N), is_gold_NC, is_predicted_NC], -1), _matthews_of_counts)


def _matthews_of_counts(counts: FloatArray) -> FloatArray:
    hits, num_items = counts[..., 0], counts[..., 1]
    gold_C, predicted_C = np.split(counts[..., 2:], 2, -1)
    spread = (num_items**2 - (gold_C**2).sum(-1)) * (num_items**2 - (predicted_C**2).sum(-1))
    top = hits * num_items - (gold_C * predicted_C).sum(-1)
    return np.asarray(np.divide(top, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(top), where=spread > 0))


def _one_hot(gold: ArrayLike, predicted: ArrayLike) -> tuple[AnyArray, AnyArray]:
    gold_N, predicted_N = paired(gold, predicted)
    classes_C, number_N = np.unique(np.concatenate([gold_N, predicted_N]), return_inverse=True)
    is_class = np.eye(len(classes_C), dtype=np.bool_)[number_N]
    return is_class[: len(gold_N)], is_class[len(gold_N) :]


def word_accuracy_items(gold: Sequence[Tags], predicted: Sequence[Tags]) -> Items:
    """Share of words whose tag is right; the items are the sentences."""
    rows = zip(gold, predicted, strict=True)
    return of_sums([(sum(a == b for a, b in zip(*row, strict=True)), len(row[0])) for row in rows], ratio_of_sums)


def span_f1_items(gold: Sequence[Tags], predicted: Sequence[Tags], read: Reader = spans) -> Items:
    """F1 of whole spans; the items are the sentences."""
    return of_sums(span_counts(gold, predicted, read), f1_of_counts)


def pearson_items(gold: ArrayLike, predicted: ArrayLike) -> Items:
    """Pearson's correlation from sums of products; values are standardised first, for the precision of the sums."""
    x_N, y_N = (_standardised(np.asarray(values, np.float64)) for values in paired(gold, predicted))
    return of_sums(np.stack([np.ones_like(x_N), x_N, y_N, x_N * x_N, y_N * y_N, x_N * y_N], -1), _pearson_of_sums)


def _standardised(values_N: FloatArray) -> FloatArray:
    centred = values_N - values_N.mean()
    return np.asarray(centred / (np.abs(centred).max() or 1.0))


def _pearson_of_sums(sums: FloatArray) -> FloatArray:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    x_spread, y_spread = n * xx - x * x, n * yy - y * y
    defined = (x_spread > 1e-12 * n * xx) & (y_spread > 1e-12 * n * yy)
    bottom = np.sqrt(np.maximum(x_spread, 0) * np.maximum(y_spread, 0))
    return np.asarray(np.divide(n * xy - x * y, bottom, out=np.zeros_like(bottom), where=defined))


def spearman_items(gold: ArrayLike, predicted: ArrayLike) -> Items:
    """Spearman's correlation; ranks are taken anew for each choice of items."""
    gold_N, predicted_N = paired(gold, predicted)
    return Items(len(gold_N), lambda items: spearman(gold_N[items], predicted_N[items]))
