"""Items: on any choice of test items their metric is the metric itself, so that a bootstrap is of the real score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.metrics.classification import accuracy, binary_f1, macro_f1, matthews
from pretune.metrics.correlation import pearson, spearman
from pretune.metrics.spans import span_f1
from pretune.tasks import items as kinds

RNG = np.random.default_rng(0)
NAMES = np.array(["a", "b", "c"])
GOLD, PREDICTED = NAMES[RNG.integers(3, size=25)], NAMES[RNG.integers(3, size=25)]
VALUES, GUESSES = 1e4 + RNG.normal(size=25).round(1), RNG.normal(size=25).round(1)
chosen = st.lists(st.integers(0, 24), min_size=2, max_size=30).map(np.array)


@given(chosen)
def test_metrics_of_classes(numbers):
    gold, predicted = GOLD[numbers], PREDICTED[numbers]
    for items, value in (
        (kinds.accuracy_items(GOLD, PREDICTED), accuracy(gold, predicted)),
        (kinds.f1_items(GOLD, PREDICTED, "b"), binary_f1(gold, predicted, "b")),
        (kinds.macro_f1_items(GOLD, PREDICTED), macro_f1(gold, predicted)),
        (kinds.matthews_items(GOLD, PREDICTED), matthews(gold, predicted)),
    ):
        assert items.metric(numbers) == pytest.approx(value, abs=1e-12)


@given(chosen)
def test_metrics_of_values(numbers):
    gold, predicted = VALUES[numbers], GUESSES[numbers]
    expected = pearson(gold, predicted)
    assert kinds.pearson_items(VALUES, GUESSES).metric(numbers) == pytest.approx(expected, abs=1e-7)
    assert kinds.spearman_items(VALUES, GUESSES).metric(numbers) == pytest.approx(spearman(gold, predicted))


def sentences(seed):
    rng = np.random.default_rng(seed)
    return [[str(name) for name in rng.choice(["O", "B-X", "I-X"], 1 + n % 4)] for n in range(25)]


@given(chosen)
def test_metrics_of_sentences(numbers):
    gold, predicted = sentences(1), sentences(2)
    some_gold, some_predicted = [gold[n] for n in numbers], [predicted[n] for n in numbers]
    assert kinds.span_f1_items(gold, predicted).metric(numbers) == pytest.approx(span_f1(some_gold, some_predicted))
    flat = [[name for sentence in part for name in sentence] for part in (some_gold, some_predicted)]
    assert kinds.word_accuracy_items(gold, predicted).metric(numbers) == pytest.approx(accuracy(*flat))


def test_intervals_by_sums_and_by_items_are_of_the_same_width():
    for items in (kinds.macro_f1_items(GOLD, PREDICTED), kinds.pearson_items(VALUES, GUESSES)):
        by_sums = items.interval(rng=np.random.default_rng(1), num_resamples=4000)
        plain = kinds.Items(items.num_items, items.metric)
        by_items = plain.interval(rng=np.random.default_rng(2), num_resamples=4000)
        assert by_sums.estimate == pytest.approx(by_items.estimate)
        assert (by_sums.low, by_sums.high) == pytest.approx((by_items.low, by_items.high), abs=0.04)


def test_undefined_correlations_are_zero():
    assert kinds.pearson_items([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]).metric(np.arange(3)) == 0.0
    assert kinds.matthews_items(["a", "b"], ["a", "a"]).metric(np.arange(2)) == 0.0
