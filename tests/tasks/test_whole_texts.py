"""What a head reads of a text, and windows over texts that are too long: against one sequence at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Segments, Targets
from pretune.families.family import open_family
from pretune.nn.model import Model
from pretune.tasks.classify import classify
from pretune.tasks.pair import pair
from pretune.tasks.regress import regress
from pretune.tasks.run import predict
from pretune.tasks.source import TaskSource
from pretune.tasks.task import open_task
from pretune.tasks.texts import joined
from pretune.text.records import Record

POOLINGS = ["cls", "mean", "max", "concat", "attention"]
LONG = "the a cat dog film book good bad fine poor she he walk run ran"


def model_for(task, tiny, family="modern"):
    found = open_family(family)
    model = tiny.model(classify(labels=("a", "b")), family)
    return Model(model.body, {"sequence": found.head_of(task.head_spec, model.body, seed=2)}).eval()


def logits_alone(model, task, tokenizer, template, text):
    """Of a text that fits, as a sequence by itself: a head that pools is given every row."""
    example = assemble(Segments([tokenizer.encode(text).span()]), template)
    rows = np.arange(1 if task.pooling in (None, "cls") else example.num_tokens)
    example = replace(example, predict={"sequence": Targets(rows[:, None], group_M=np.zeros_like(rows))})
    with torch.no_grad():
        return model(pack([example]).to("cpu"))["sequence"][0]


def tokens_of(tokenizer, example):
    ends = np.cumsum(example.source.lengths_N)[:-1]
    return [" ".join(tokenizer.token(n) for n in part) for part in np.split(example.source.ids_T, ends)]


@pytest.mark.parametrize("windows", ["mean", "max"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["bert", "modern"])
def test_windows_outputs_are_joined(family, pooling, windows, tiny, tokenizer, template):
    task = classify(labels=("no", "perhaps", "yes"), pooling=pooling, windows=windows, stride=3)
    model = model_for(task, tiny, family)
    task = task.suit(model)
    words = LONG.split()
    parts = [" ".join(words[start : start + 6]) for start in (0, 3, 6, 9)]  # 6 beside the special tokens
    logits = torch.stack([logits_alone(model, task, tokenizer, template, part) for part in parts])
    whole = logits.mean(0) if windows == "mean" else logits.amax(0)
    records = [Record({"text": LONG, "label": "yes"}), Record({"text": "a cat", "label": "no"})]
    source = TaskSource(task, records, tokenizer, template, 8)
    assert source.num_cut == source.num_truncated == 0
    found = predict(model, task, records, tokenizer, template, 8)
    np.testing.assert_allclose(list(found[0]["scores"].values()), whole.softmax(0), atol=1e-5)
    short = logits_alone(model, task, tokenizer, template, "a cat")
    np.testing.assert_allclose(list(found[1]["scores"].values()), short.softmax(0), atol=1e-5)
    batch = pack(source.examples)
    loss = task.loss(model, batch.to("cpu"))["sequence"]
    expected = -(whole.log_softmax(0)[2] + short.log_softmax(0)[0])
    assert float(loss.sum.detach()) == pytest.approx(float(expected), abs=1e-5)
    assert loss.count == task.counts(batch)["sequence"] == pytest.approx(2)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_predicts_alike_whatever_the_batches(pooling, tiny, tokenizer, template):
    records = tiny.records("regress", 5)
    task = regress(pooling=pooling, windows="mean", stride=2).fit_labels(records)
    model = model_for(task, tiny)
    one_by_one = [predict(model, task, [record], tokenizer, template, 9)[0]["value"] for record in records]
    together = [one["value"] for one in predict(model, task, records, tokenizer, template, 9)]
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    assert len(set(one_by_one)) == len(records)


def test_regression_takes_its_windows_together_before_the_scale(tiny, tokenizer, template):
    task = regress(windows="max", stride=3, mean=10.0, spread=2.0)
    model = model_for(task, tiny)
    words = LONG.split()
    parts = [" ".join(words[start : start + 6]) for start in (0, 3, 6, 9)]
    values = [logits_alone(model, task, tokenizer, template, part)[0] for part in parts]
    before = predict(model, task, [Record({"text": LONG})], tokenizer, template, 8)[0]["value"]
    assert before == pytest.approx(10 + 2 * float(max(values)), abs=1e-4)
    folded = task.finish(model)
    assert predict(model, folded, [Record({"text": LONG})], tokenizer, template, 8)[0]["value"] == pytest.approx(before)


def test_a_pairs_longer_text_moves_and_the_other_stands_whole(tokenizer, template):
    task = pair(labels=("0", "1"), windows="mean", stride=2)
    for first, second, expected in (
        ("the cat saw a dog", "a film", ["[CLS] the cat saw [SEP] a film [SEP]", "[CLS] saw a dog [SEP] a film [SEP]"]),
        ("a film", "the cat saw a dog", ["[CLS] a film [SEP] the cat saw [SEP]", "[CLS] a film [SEP] saw a dog [SEP]"]),
    ):
        step = pair(labels=("0", "1"), windows="mean", stride=1)
        example = step.featurize(Record({"text": first, "text_b": second, "label": 0}), tokenizer, template, 8)
        found = tokens_of(tokenizer, example)
        assert found[0] == expected[0] and found[-1] == expected[1] and len(found) == 3
        assert example.num_cut == 0
    long = Record({"text": LONG, "text_b": LONG, "label": 0})
    example = task.featurize(long, tokenizer, template, 9)
    assert example.num_cut == 15 - 3  # the second keeps half of the room, and what it loses is counted
    assert tokens_of(tokenizer, example)[0] == "[CLS] the a cat [SEP] the a cat [SEP]"


def test_first_loses_the_tail_and_says_so(tokenizer, template):
    source = TaskSource(classify(labels=("a", "b")), [Record({"text": LONG, "label": "a"})], tokenizer, template, 8)
    assert source.num_cut == 15 - 6 and source.num_truncated == 1
    assert tokens_of(tokenizer, source.examples[0]) == ["[CLS] the a cat dog film book [SEP]"]


def test_windows_of_unequal_rows_weigh_alike():
    """A head that pools gives each row of a window its logits: a long window counts no more than a short one."""
    outputs = torch.tensor([[1.0], [1.0], [1.0], [5.0], [7.0]])
    group, given = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 0])
    targets = Targets(torch.zeros(5, 1), group_M=group, given_M=given)
    assert joined(outputs, targets, "mean")[:, 0].tolist() == [3.0, 3.0, 3.0, 3.0, 7.0]
    assert joined(outputs, targets, "max")[:, 0].tolist() == [5.0, 5.0, 5.0, 5.0, 7.0]
    assert joined(outputs, targets, "first") is outputs


@pytest.mark.parametrize("name", ["classify", "pair", "regress"])
def test_settings_that_do_not_fit_are_refused(name):
    for settings, what in (
        ({"pooling": "meen"}, "meen"),
        ({"windows": "all"}, "all"),
        ({"stride": 0}, "stride=0: windows begin at least 1 token apart"),
    ):
        with pytest.raises(InputError, match=what):
            open_task(name, settings)


def test_a_pooling_other_than_the_models_is_refused(tiny):
    model = model_for(classify(labels=("a", "b"), pooling="max"), tiny)
    assert classify(labels=("a", "b")).suit(model).pooling == "max"
    with pytest.raises(InputError, match="the model's head pools by max, and task.pooling=mean was asked for"):
        classify(labels=("a", "b"), pooling="mean").suit(model)
