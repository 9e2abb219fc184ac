"""regress: values on the original scale before and after the scale is folded in, correlations equal to scipy's."""

import numpy as np
import pytest
import torch
from scipy import stats

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.tasks.regress import regress
from pretune.tasks.run import predict
from pretune.tasks.similar import similar
from pretune.tasks.source import TaskSource
from pretune.text.records import Record


def valued(values):
    return [Record({"text": "a", "label": value}, "train.csv", line) for line, value in enumerate(values, 2)]


def test_values_are_standardised_or_raw():
    task = regress().fit_labels(valued([1, "3", 5.0]))
    assert (task.mean, task.spread) == (3.0, pytest.approx(np.std([1, 3, 5])))
    raw = regress(scale="raw").fit_labels(valued([1, 3, 5]))
    assert (raw.mean, raw.spread) == (0.0, 1.0)
    assert task.fit_labels(valued([100, 200])) == task


@pytest.mark.parametrize("value", ["high", float("nan"), "inf", True, [1], 10**400])
def test_what_is_no_number_is_refused_with_its_line(value):
    with pytest.raises(InputError, match="train.csv:3: .*not a finite number"):
        regress().fit_labels(valued([1.0, value, 2.0]))
    with pytest.raises(InputError, match="train.csv:3"):
        regress().check(valued([1.0, value]))


def test_constant_values_teach_nothing():
    with pytest.raises(InputError, match="the same"):
        regress().fit_labels(valued([2.0, 2.0]))


@pytest.mark.parametrize("family", ["bert"])
def test_folding_the_scale_in_keeps_the_predictions(family, tiny, tokenizer, template):
    task, records = tiny.fitted("regress")
    model = tiny.model(task, family)
    before = predict(model, task, records, tokenizer, template, 16)
    folded = task.finish(model)
    after = predict(model, folded, records, tokenizer, template, 16)
    np.testing.assert_allclose([p["value"] for p in before], [p["value"] for p in after], rtol=1e-5)
    assert (folded.mean, folded.spread, folded.scale) == (0.0, 1.0, "raw")
    assert folded.finish(model) == folded
    model.eval()
    with torch.no_grad():
        batch = pack(TaskSource(folded, records, tokenizer, template, 16, labelled=False).examples).to("cpu")
        outputs = model(batch)["sequence"][:, 0].tolist()  # what any other program sees
    np.testing.assert_allclose(outputs, [p["value"] for p in before], rtol=1e-5)


def test_loss_by_hand(tokenizer, template):
    records = valued([1.0, 5.0])
    task = regress().fit_labels(records)
    batch = pack(TaskSource(task, records, tokenizer, template, 8).examples).to("cpu")
    loss = task.loss_of({"sequence": torch.tensor([[0.0], [3.0]])}, batch)["sequence"]
    assert (float(loss.sum), loss.count) == (1.0 + 4.0, 2.0)


def test_scores_are_scipys():
    rng = np.random.default_rng(0)
    gold, predicted = rng.normal(size=40).round(1), rng.normal(size=40).round(1)
    scores = regress().score([{"value": value} for value in predicted], valued(gold.tolist()))
    assert scores["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic)


def test_one_text_or_two(tokenizer, template):
    task = regress(mean=1.0)
    one = task.featurize(Record({"text": "a cat", "label": 1}), tokenizer, template, 16)
    two = task.featurize(Record({"text": "a cat", "text_b": "a dog", "label": 1}), tokenizer, template, 16)
    assert (one.num_tokens, two.num_tokens) == (4, 7)
    assert two.source.segment_ids_T.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_texts_are_as_many_as_in_training(tokenizer, template):
    one = [Record({"text": "a", "label": label}, "data.jsonl", 1 + label) for label in range(3)]
    two = [Record(record | {"text_b": "b"}, "data.jsonl", 4 + record["label"]) for record in one]
    for train, other, message in [
        (one, two[0], "data.jsonl:4: a 'text_b', and the records the model learns from have none"),
        (two, one[0], "data.jsonl:1: no 'text_b', and the records the model learns from have one"),
    ]:
        task = regress().fit_labels(train)
        assert task.label_settings == {"num_texts": len(train[0]) - 1}
        for refuse in (
            lambda train=train, other=other: regress().fit_labels([*train, other]),
            lambda task=task, train=train, other=other: task.fit_labels([*train, other]),
            lambda task=task, train=train, other=other: task.check([*train, other]),
            lambda task=task, other=other: task.featurize(other, tokenizer, template, 16, labelled=False),
            lambda task=task, train=train, other=other: task.baseline_predictions(train, [other]),
        ):
            with pytest.raises(InputError, match=message):
                refuse()
    empty = Record(one[0] | {"text_b": None})  # as a table has it where there is nothing
    assert regress().fit_labels(one).featurize(empty, tokenizer, template, 16).num_tokens == 3


@pytest.mark.parametrize("task", [regress(), similar()])
def test_a_single_record_has_no_correlation_which_is_said_before_training(task):
    rows = [Record({"text": "a", "text_b": "b", "label": label}, "test.csv", 2 + label) for label in range(2)]
    bound = task.fit_labels(rows)
    bound.check(rows)
    with pytest.raises(InputError, match=r"test.csv:2: the only record, .*give at least two"):
        bound.check(rows[:1])
