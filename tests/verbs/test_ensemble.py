"""Ensembles: means of the members' own predictions, from Python and the command line, and what makes none."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.tasks.task import open_task
from pretune.text.records import Record, read_records

TEXTS = ["the man was kind", "her heart is sad and new", "a day so dark"]
GOLD = [{"text": "kind", "start": 12}]
QUESTIONS = [Record({"question": "what was the man", "context": "The man was kind.", "answers": GOLD})]


@pytest.fixture(scope="module")
def models(world, tmp_path_factory):
    """Two models of a task with different heads: models(task, ...) -> their directories."""
    made = {}

    def make(name, records, number=0, run="modern", labels=None, **settings):
        key = (name, number, run, repr(settings), repr(labels))
        if key in made:
            return made[key]
        task = open_task(name, settings | ({"labels": labels} if labels else {}))
        task = task if labels else task.fit_labels(records)
        bundle = Bundle.load(getattr(world, run) / "model", heads=list(task.head_specs), seed=number)
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter in bundle.model.heads.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        bundle.manifest["task"] = {"name": name, "max_length": 32, "settings": asdict(task)}
        made[key] = tmp_path_factory.mktemp("member") / "model"
        bundle.save(made[key])
        return made[key]

    return make


def records_of(world, task):
    return read_records(world.file(task))


def test_labels_are_averaged_by_name_whatever_their_order_and_tokenizer(world, models):
    records = records_of(world, "classify")
    first = models("classify", records, 1)
    second = models("classify", records, 2, "bert", labels=("good", "bad"))
    found = pretune.Ensemble([first, second]).predict(TEXTS)
    alone = [pretune.load(model).predict(TEXTS) for model in (first, second)]
    for one, *each in zip(found, *alone, strict=True):
        for label in ("good", "bad"):
            expected = sum(member["scores"][label] for member in each) / 2
            assert one["scores"][label] == pytest.approx(expected, abs=1e-9)
        assert one["score"] == max(one["scores"].values()) and one["scores"][one["label"]] == one["score"]
    assert any(a["label"] != b["label"] for a, b in zip(*alone, strict=True)), "the members should differ"


def test_one_model_is_an_ensemble_that_says_what_it_says(world, models):
    model = models("tag", records_of(world, "tag"), 1)
    words = [text.split() for text in TEXTS]
    assert pretune.Ensemble(model).predict(words) == pretune.load(model).predict(words)


def test_values_and_choices(world, models):
    records = records_of(world, "regress")
    each = [models("regress", records, number) for number in (1, 2)]
    found = pretune.Ensemble(each).predict(TEXTS)
    alone = [pretune.load(model).predict(TEXTS) for model in each]
    assert [one["value"] for one in found] == pytest.approx(
        [(a["value"] + b["value"]) / 2 for a, b in zip(*alone, strict=True)]
    )
    asked = [{"text": "the man was", "choices": ["kind", "a day", "dark and new"]}]
    labelled = [Record({**asked[0], "label": 0})]
    each = [models("choose", labelled, number, run) for number, run in ((1, "modern"), (2, "bert"))]
    (found,) = pretune.Ensemble(each).predict(asked)
    alone = [pretune.load(model).predict(asked)[0]["scores"] for model in each]
    assert found["scores"] == pytest.approx(np.mean(alone, 0).tolist()) and sum(found["scores"]) == pytest.approx(1.0)
    assert found["choice"] == int(np.argmax(found["scores"]))


def test_words_are_averaged_over_tokenizers(world, models):
    records = records_of(world, "tag")
    each = [models("tag", records, 1), models("tag", records, 2, "bert", crf=True)]
    (found,) = pretune.Ensemble(each).predict([TEXTS[0].split()])
    assert [word["word"] for word in found] == TEXTS[0].split()
    assert all(0.5 <= word["score"] <= 1 for word in found)


def test_several_labels_above_the_threshold_of_the_mean(world, models):
    records = [
        Record({"text": text, "label": label}) for text, label in zip(TEXTS, (["a"], ["a", "b"], []), strict=True)
    ]
    each = [models("classify", records, number, multi_label=True) for number in (1, 2)]
    found = pretune.Ensemble(each, settings={"threshold": 0.4}).predict(TEXTS)
    alone = [pretune.load(model).predict(TEXTS) for model in each]
    for one, *members in zip(found, *alone, strict=True):
        means = {label: sum(member["scores"][label] for member in members) / 2 for label in "ab"}
        assert one["scores"] == pytest.approx(means)
        assert {given["label"] for given in one["labels"]} == {label for label in "ab" if means[label] >= 0.4}


def test_answers_need_one_tokenizer_and_take_the_mean_threshold(world, models, tmp_path):
    each = [
        models("answer", QUESTIONS, number, no_answer=True, null_threshold=threshold)
        for number, threshold in ((1, -2.0), (2, 4.0))
    ]
    ensemble = pretune.Ensemble(each)
    assert ensemble.task.null_threshold == 1.0
    assert pretune.Ensemble(each, settings={"null_threshold": 0.5}).task.null_threshold == 0.5
    (found,) = ensemble.predict([dict(QUESTIONS[0])])
    assert found["answer"] == QUESTIONS[0]["context"][found["start"] : found["end"]]
    other = Bundle.load(each[1])
    other.manifest["task"] |= {"max_length": 14}
    other.save(tmp_path / "short")
    long = {"question": "what", "context": "The man was kind and her heart is sad and the day was dark so dark"}
    with pytest.raises(pretune.InputError, match="one tokenizer, max_length and stride"):
        pretune.Ensemble([each[0], tmp_path / "short"]).predict([long])


def test_from_the_command_line(world, models):
    records = records_of(world, "classify")
    each = [models("classify", records, number) for number in (1, 2)]
    options = [word for model in each for word in ("--model", model)]
    lines = world.command("predict", "classify", *options, stdin="\n".join(TEXTS)).lines
    assert lines == pretune.Ensemble(each).predict(TEXTS)
    found = world.command("evaluate", "classify", *options, "--data", world.file("classify", "test"), "--json").json()
    assert found["model"] == [str(model) for model in each] and list(found["members"]) == found["model"]
    for model in each:
        alone = world.command(
            "evaluate", "classify", "--model", model, "--data", world.file("classify", "test"), "--json"
        )
        assert found["members"][str(model)] == pytest.approx(alone.json()["scores"])
        assert "members" not in alone.json() and alone.json()["model"] == str(model)
    right = 0
    rows = read_records(world.file("classify", "test"))
    for row, one in zip(rows, pretune.Ensemble(each).predict([row["text"] for row in rows]), strict=True):
        right += row["label"] == one["label"]
    assert found["scores"]["accuracy"] == pytest.approx(right / len(rows))
    told = world.command("evaluate", "classify", *options, "--data", world.file("classify", "test")).out
    assert "Each model alone" in told and json.dumps(str(each[0]))[1:-1] in told


def test_what_is_no_ensemble(world, models):
    classes = models("classify", records_of(world, "classify"), 1)
    for other, message in [
        (models("pair", records_of(world, "pair"), 1), "one is for classify, the other for pair"),
        (models("classify", [], 1, labels=("good", "poor")), "only one of them has the labels bad, poor"),
        (models("classify", [], 1, labels=("bad", "good"), multi_label=True), "gives one label a record"),
    ]:
        with pytest.raises(pretune.InputError, match=message):
            pretune.Ensemble([classes, other])
    with pytest.raises(pretune.InputError, match="name one at least"):
        pretune.Ensemble([])
    words = ["predict", "pair", "--model", classes, "--model", classes]
    refused = world.command(*words, stdin="a")
    assert refused.status == 2 and "was fine-tuned for classify, not for pair" in refused.err


def test_results_before_a_bad_line_come_before_its_error(world, models):
    words = ["predict", "pair", "--model", models("pair", records_of(world, "pair"), 1)]
    lines = [json.dumps({"text": "the man", "text_b": text}) + "\n" for text in ("was kind", "was sad", None, "slept")]
    found = world.command(*words, stdin="".join(lines))
    assert found.status == 2 and "<stdin>:3: no 'text_b'" in found.err
    assert found.out.splitlines() == world.command(*words, stdin="".join(lines[:2])).out.splitlines()
    assert len(found.out.splitlines()) == 2


def test_a_misspelt_column_is_refused_on_standard_input(world, models):
    words = ["predict", "pair", "--model", models("pair", records_of(world, "pair"), 1)]
    line = json.dumps({"one": "the man", "text_b": "was kind"}) + "\n"
    assert len(world.command(*words, "columns.text=one", stdin=line).lines) == 1
    found = world.command(*words, "columns.text=oen", stdin=line)
    assert found.status == 2 and "<stdin>:1: no 'oen' in the object" in found.err and "columns.text" in found.err
