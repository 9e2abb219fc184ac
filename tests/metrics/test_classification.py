"""Accuracy, confusion, F1 and Matthews: by hand, and against scikit-learn on random labels."""

import numpy as np
import pytest
from sklearn import metrics as reference

from pretune.core.errors import InputError
from pretune.metrics.classification import (
    accuracy,
    binary_f1,
    class_scores,
    confusion,
    macro_f1,
    matthews,
    micro_f1,
)


def random_labels(seed: int, num_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(num_classes, size=60)
    return gold, np.where(rng.random(60) < 0.5, gold, rng.integers(num_classes, size=60))


@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn(seed: int) -> None:
    gold, predicted = random_labels(seed, 2 + seed % 5)
    assert accuracy(gold, predicted) == pytest.approx(reference.accuracy_score(gold, predicted), abs=1e-12)
    assert (confusion(gold, predicted) == reference.confusion_matrix(gold, predicted)).all()
    assert macro_f1(gold, predicted) == pytest.approx(reference.f1_score(gold, predicted, average="macro"))
    assert micro_f1(gold, predicted, ignore=0) == pytest.approx(
        reference.f1_score(gold, predicted, average="micro", labels=range(1, gold.max() + 1))
    )
    assert binary_f1(gold == 1, predicted == 1) == pytest.approx(reference.f1_score(gold == 1, predicted == 1))
    assert matthews(gold, predicted) == pytest.approx(reference.matthews_corrcoef(gold, predicted))
    ours = class_scores(gold, predicted)
    theirs = reference.precision_recall_fscore_support(gold, predicted)
    columns = np.array([list(vars(scores).values()) for scores in ours.values()]).T
    assert columns == pytest.approx(np.array(theirs))


def test_matthews_by_hand_and_for_text_labels() -> None:
    # 6 true positives, 1 false positive, 2 false negatives, 3 true negatives
    gold = ["yes"] * 6 + ["no"] + ["yes"] * 2 + ["no"] * 3
    predicted = ["yes"] * 7 + ["no"] * 5
    assert matthews(gold, predicted) == pytest.approx((6 * 3 - 1 * 2) / np.sqrt(7 * 8 * 4 * 5))


def test_matthews_does_not_overflow_on_many_items() -> None:
    gold = np.tile([0, 1], 200_000)
    assert matthews(gold, gold) == pytest.approx(1.0)


def test_one_class_only_is_defined() -> None:
    assert matthews([1, 1, 0], [1, 1, 1]) == 0.0
    assert binary_f1([0, 0], [0, 0]) == 0.0
    assert class_scores([0, 0], [0, 1])[1].recall == 0.0


def test_macro_f1_over_given_labels_counts_absent_ones() -> None:
    assert macro_f1([0, 1], [0, 1], labels=[0, 1, 2]) == pytest.approx(2 / 3)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        accuracy([], [])
    with pytest.raises(ValueError, match="2 gold values but 1 predicted"):
        accuracy([1, 2], [1])
    with pytest.raises(InputError, match="1 of 2 values are NaN"):
        accuracy([1.0, float("nan")], [1.0, 1.0])
    with pytest.raises(InputError, match="missing"):
        accuracy(["a", None], ["a", "b"])
    with pytest.raises(ValueError, match="like with like"):
        accuracy(["a", "b"], [0, 1])
    with pytest.raises(InputError, match="'cow' is not among"):
        confusion(["cat"], ["cow"], labels=["cat", "dog"])
    with pytest.raises(InputError, match="not of the labels' type"):
        binary_f1(["a", "b"], ["a", "a"])
    with pytest.raises(ValueError, match="one dimension"):
        accuracy([[1, 2]], [[1, 2]])
