"""Scores where an item has any number of labels: F1 over single decisions, and whole sets that are right.

micro F1 pools the decisions of all labels; macro F1 is the mean over the labels that occur, as gold or as predicted;
subset accuracy counts items whose set is exactly right (Tsoumakas and Katakis 2007, section 4). A ratio whose
denominator is zero is 0.0, as in scikit-learn with `zero_division=0`.

Dimensions: N items, C labels.

>>> counts_NC3 = set_counts([{"a"}, {"a", "b"}, set()], [{"a"}, {"a"}, {"b"}], ["a", "b"])
>>> round(float(micro_f1_of_counts(counts_NC3.sum(0))), 4)          # 2 right, 3 predicted, 3 gold
0.6667
>>> float(macro_f1_of_counts(counts_NC3.sum(0)))                    # a: 1, b: 0
0.5
"""

from collections.abc import Collection, Sequence

import numpy as np

from pretune.metrics.checks import FloatArray
from pretune.metrics.spans import f1_of_counts


def set_counts(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> FloatArray:
    """[N, C, 3]: is the label right, predicted, gold; zeros and ones."""
    place = {label: number for number, label in enumerate(labels)}
    found = []
    for part in (predicted, gold):
        has_NC = np.zeros((len(part), len(labels)))
        for row, names in enumerate(part):
            has_NC[row, [place[name] for name in names]] = 1.0
        found.append(has_NC)
    return np.stack([found[0] * found[1], *found], -1)


def micro_f1_of_counts(counts: FloatArray) -> FloatArray:
    """Of sums over items [..., C, 3]."""
    return f1_of_counts(counts.sum(-2))


def macro_f1_of_counts(counts: FloatArray) -> FloatArray:
    """Of sums over items [..., C, 3]."""
    occurs = counts[..., 1] + counts[..., 2] > 0
    return np.asarray((f1_of_counts(counts) * occurs).sum(-1) / np.maximum(occurs.sum(-1), 1))
