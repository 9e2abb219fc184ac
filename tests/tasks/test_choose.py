"""choose: layouts read as their authors have them, one softmax a record, the text is cut and the choice is not."""

import numpy as np
import pytest
import torch

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.families.family import HeadSpec, open_family
from pretune.nn.model import Model
from pretune.tasks.choose import choose
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.source import TaskSource
from pretune.text.records import Record


def tokens_of(tokenizer, example):
    ends = np.cumsum(example.source.lengths_N)[:-1]
    return [[tokenizer.token(number) for number in part] for part in np.split(example.source.ids_T, ends)]


def test_each_choice_is_a_pair_with_the_text(tokenizer, template):
    record = Record({"text": "the cat ran", "choices": ["he saw", "a film", "Bob"], "label": 1})
    example = choose().featurize(record, tokenizer, template, 16)
    assert tokens_of(tokenizer, example) == [
        ["[CLS]", "the", "cat", "ran", "[SEP]", "Bob", "[SEP]"],
        ["[CLS]", "the", "cat", "ran", "[SEP]", "he", "saw", "[SEP]"],
        ["[CLS]", "the", "cat", "ran", "[SEP]", "a", "film", "[SEP]"],
    ]
    targets = example.predict["choice"]
    assert targets.at_MK[:, 0].tolist() == [7, 15, 0]
    assert targets.given_M.tolist() == [0, 1, 2] and targets.group_M.tolist() == [0, 0, 0]
    assert targets.gold_M.tolist() == [0, 1, 0] and targets.weight_M.tolist() == [0, 1, 0]


def test_the_text_is_cut_and_the_choice_only_where_it_does_not_fit_alone(tokenizer, template):
    record = Record({"text": "the cat ran in Paris", "choices": ["he saw a film", "Bob", "a a a a a a a"], "label": 0})
    example = choose().featurize(record, tokenizer, template, 9)  # room for 6 beside the special tokens
    parts = {len(part): part for part in tokens_of(tokenizer, example)}
    assert len(parts) == 1  # all are as long as they may be
    found = sorted(tokens_of(tokenizer, example), key=lambda part: part.index("[SEP]"))
    assert found == [
        ["[CLS]", "[SEP]", "a", "a", "a", "a", "a", "a", "[SEP]"],
        ["[CLS]", "the", "cat", "[SEP]", "he", "saw", "a", "film", "[SEP]"],
        ["[CLS]", "the", "cat", "ran", "in", "Paris", "[SEP]", "Bob", "[SEP]"],
    ]
    assert example.num_cut == (5 + 1) + 3 + 0
    assert TaskSource(choose(), [record], tokenizer, template, 9).num_truncated == 1


def test_loss_is_cross_entropy_over_each_records_choices(tiny, tokenizer, template):
    records = tiny.records("choose")
    batch = pack(TaskSource(choose(), records, tokenizer, template, 16).examples).to("cpu")
    scores = torch.randn(len(batch.predict["choice"]), 1, generator=torch.Generator().manual_seed(0))
    parts = scores[:, 0].split([len(record["choices"]) for record in records])
    expected = sum(-part.log_softmax(0)[record["label"]] for part, record in zip(parts, records, strict=True))
    loss = choose().loss_of({"choice": scores}, batch)["choice"]
    torch.testing.assert_close(loss.sum, expected)
    assert loss.count == len(records)
    found = choose().decode({"choice": scores}, batch, records)
    for one, part, record in zip(found, parts, records, strict=True):
        np.testing.assert_allclose(one["scores"], part.softmax(0), atol=1e-6)
        assert one["choice"] == int(part.argmax()) and one["text"] == record["choices"][one["choice"]]
        assert one["score"] == max(one["scores"])


@pytest.mark.parametrize("pooling", ["mean", "max", "concat", "attention"])
def test_heads_that_pool_give_each_choice_one_score(pooling, tiny, tokenizer, template):
    family = open_family("modern")
    model = tiny.model(choose(), "modern")
    head = family.head_of(HeadSpec("choice", pooling=pooling), model.body, seed=3)
    model = Model(model.body, {"choice": head})
    task, records = choose(pooling=pooling).suit(model), tiny.records("choose", 4)
    assert choose().suit(model).pooling == pooling
    batch = pack(TaskSource(task, records, tokenizer, template, 16).examples)
    assert task.counts(batch)["choice"] == pytest.approx(len(records))
    losses = [task.loss(model.eval(), pack([task.featurize(r, tokenizer, template, 16)]).to("cpu")) for r in records]
    found = predict(model, task, records, tokenizer, template, 16)
    for record, one, loss in zip(records, found, losses, strict=True):
        batch = pack([task.featurize(record, tokenizer, template, 16)]).to("cpu")
        with torch.no_grad():
            logits_M = model(batch)["choice"][:, 0]
        each = torch.stack([logits_M[batch.predict["choice"].given_M == n][0] for n in range(len(record["choices"]))])
        assert one["scores"] == pytest.approx(each.softmax(0).tolist(), abs=1e-5)
        assert float(loss["choice"].sum.detach()) == pytest.approx(-np.log(one["scores"][record["label"]]), abs=1e-4)
    with pytest.raises(InputError, match="pools by .*task.pooling=cls was asked for"):
        choose(pooling="cls").suit(model)


def test_a_record_that_cannot_be_read_has_a_text_missing_for_checks_of_the_data():
    whole = choose().contents(Record({"text": "a", "choices": ["b", "c"], "label": 1}))
    assert (whole.texts, whole.labels, whole.labelled) == (("a", "b", "c"), (1,), True)
    assert not choose().contents(Record({"text": "a", "choices": ["b", "c"]})).labelled
    assert choose().contents(Record({"text": "a", "choices": ["b"], "label": 0})).texts == (None,)


def test_accuracy_has_an_interval_and_baselines_are_known(tiny, tokenizer, template):
    train = [Record({"text": "a cat", "choices": ["a dog", "a cat sat", "x"], "label": 1}) for _ in range(3)]
    test = [
        Record({"text": "the cat ran", "choices": ["dog", "long long long", "cat"], "label": 2}),
        Record({"text": "a dog", "choices": ["dog", "very long indeed"], "label": 1}),
    ]
    guesses = choose().baseline_predictions(train, test)
    assert {name: [one["choice"] for one in found] for name, found in guesses.items()} == {
        "majority": [1, 1],
        "longest": [1, 1],
        "overlap": [2, 0],
    }
    assert choose().baselines(train, test)["overlap"] == {"accuracy": 0.5}
    found = evaluate_task(tiny.model(choose()), choose(), test, tokenizer, template, 16)
    interval = found.items.interval(rng=np.random.default_rng(0))
    assert interval.estimate == found.scores["accuracy"] and found.num_examples == 2
    assert found.remarks == ("read as the layout plain (2), with 2 to 3 choices",)
