"""Where fine-tuning starts: intermediate-task tuning, heads that go on and heads that are fresh, lineage."""

import json
import shutil
from dataclasses import asdict

import pytest
import torch

from pretune.checkpoint.bundle import Bundle
from pretune.tasks.run import predict
from pretune.tasks.task import open_task
from pretune.text.records import Record
from pretune.verbs.start import begin

CLASSIFY = [
    Record({"text": f"the man was {word}", "label": label}) for word, label in (("kind", "good"), ("sad", "bad"))
]
PAIR = [Record({**record, "text_b": "a day"}) for record in CLASSIFY]
TRUTH = [Record({**record, "label": record["label"] == "good"}) for record in PAIR]
TAG = [Record({"words": ["the", "man"], "tags": ["O", "B-PER"]})]
VALUES = [Record({"text": f"the man was {word}", "label": value}) for word, value in (("kind", 30.0), ("sad", 10.0))]


@pytest.fixture
def make(world, tmp_path):
    """A model saved as if it had been fine-tuned: every weight of body and heads moved."""

    def tuned(name, records, run="modern", **settings):
        task = open_task(name, settings).fit_labels(records)
        bundle = Bundle.load(getattr(world, run) / "model", heads=list(task.head_specs), seed=5)
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in bundle.model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        bundle.manifest["task"] = {"name": name, "max_length": 32, "settings": asdict(task)}
        bundle.save(tmp_path / f"{name}-{run}")
        return str(tmp_path / f"{name}-{run}"), bundle.model.state_dict()

    return tuned


def start(model, name, records, head="auto", **settings):
    task = open_task(name, settings).fit_labels(records)
    begun = begin(model, task, seed=1, head=head)
    return begun, begun.bundle.model.state_dict()


def same(first, second, part):
    names = [name for name in first if name.startswith(part)]
    assert names
    return [torch.equal(first[name], second[name]) for name in names]


@pytest.mark.parametrize("run", ["modern", "bert"])
def test_another_task_keeps_the_body_and_has_a_fresh_head(make, run):
    model, before = make("pair", TRUTH, run)
    for name, records in (("classify", CLASSIFY), ("tag", TAG)):
        begun, now = start(model, name, records)
        body = [key for key in now if key.startswith("body.") and key in before]
        assert all(torch.equal(now[key], before[key]) for key in body) and len(body) > 10
        kind = begun.bundle.specs[0].kind
        head = f"heads.{kind}.classifier.weight"
        assert head not in before or not torch.equal(now[head], before[head])
        assert begun.task == "pair" and begun.kept == ()
        assert begun.sentences == (
            f"{model} was fine-tuned for pair before: its body goes on training, the {kind} head is fresh.",
        )
        assert any(weight.startswith(kind) for weight in begun.bundle.fresh_weights)


def test_a_fresh_head_depends_on_the_seed_alone(make):
    model, _ = make("pair", TRUTH)
    task = open_task("classify").fit_labels(CLASSIFY)
    weights = [begin(model, task, seed=seed).bundle.model.heads["sequence"].classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_same_labels_keep_the_head_unless_it_is_to_be_fresh(make):
    model, before = make("classify", CLASSIFY)
    begun, now = start(model, "classify", CLASSIFY)
    assert begun.kept == ("sequence",) and all(same(now, before, "heads."))
    assert "body and its sequence head go on training (head=fresh" in begun.sentences[0]
    pair, now = start(model, "pair", PAIR)  # names alone say what a class is
    assert pair.kept == ("sequence",) and all(same(now, before, "heads."))
    fresh, now = start(model, "classify", CLASSIFY, head="fresh")
    assert fresh.kept == () and not any(same(now, before, "heads.sequence.classifier.weight"))
    assert "the sequence head is fresh" in fresh.sentences[0] and all(same(now, before, "body."))


def test_a_crf_goes_on_where_there_is_one(make):
    model, before = make("tag", TAG, crf=True)
    begun, now = start(model, "tag", TAG, crf=True)
    assert begun.kept == ("token", "crf") and all(same(now, before, "heads."))
    without, _ = start(model, "tag", TAG)
    assert without.kept == ("token",) and list(without.bundle.model.heads) == ["token"]
    fresh, now = start(model, "tag", TAG, head="fresh", crf=True)
    assert fresh.kept == () and not now["heads.crf.transitions"].any()
    plain, _ = make("tag", TAG)
    added, now = start(plain, "tag", TAG, crf=True)
    assert added.kept == ("token",) and "token head go on training, crf is fresh" in added.sentences[0]
    other = [Record({"words": ["the", "man"], "tags": ["O", "B-LOC"]})]
    assert start(model, "tag", other, crf=True)[0].kept == ()


def test_a_head_that_pools_goes_on_with_the_same_labels_only(make):
    model, before = make("classify", CLASSIFY, pooling="attention")
    begun, now = start(model, "classify", CLASSIFY, pooling="attention")
    assert begun.kept == ("sequence",) and all(same(now, before, "heads."))
    other, now = start(model, "pair", TRUTH)
    assert other.kept == () and other.bundle.model.heads["sequence"].pooling == "row"
    changed, _ = start(model, "classify", CLASSIFY, pooling="mean")
    assert changed.kept == ()


def test_values_go_on_from_the_same_predictions(make):
    """The saved head gives values on the file's scale, training one of mean 0: nothing may jump in between."""
    model, _ = make("regress", VALUES, scale="raw")
    saved, trained = open_task("regress", {"scale": "raw"}), open_task("regress").fit_labels(VALUES)
    found = []
    for task, bundle in ((saved, Bundle.load(model)), (trained, begin(model, trained, seed=1).bundle)):
        guesses = predict(bundle.model, task, VALUES, bundle.tokenizer, bundle.template, 32)
        found.append([guess["value"] for guess in guesses])
    assert found[1] == pytest.approx(found[0], rel=1e-4) and trained.mean == 20.0
    fresh = begin(model, trained, seed=1, head="fresh").bundle.model.heads["sequence"].classifier
    assert float(fresh.weight.detach().abs().mean()) > 1e-3  # and not divided by the spread


def test_nothing_is_said_of_a_model_that_was_only_pretrained(world):
    task = open_task("classify").fit_labels(CLASSIFY)
    begun = begin(str(world.modern / "model"), task, seed=1)
    assert begun.sentences == () and begun.task is None and begun.kept == ()
    (first,) = begun.bundle.manifest["lineage"]
    assert first["model"] == str(world.modern / "model") and len(first["sha256"]) == 64


def test_of_a_preset_it_is_said_that_nothing_was_pretrained(world):
    task = open_task("classify").fit_labels(CLASSIFY)
    begun = begin("bert-mini", task, seed=1, tokenizer=world.tokenizer)
    assert begun.sentences == ("bert-mini is a preset: all its weights are fresh, and none was pre-trained.",)


def test_a_head_without_weights_is_neither_kept_nor_fresh(make, world):
    records = [Record({"text": "a", "text_b": "b", "label": value}) for value in (0.1, 0.9)]
    model, _ = make("classify", CLASSIFY)
    assert start(str(world.modern / "model"), "similar", records)[0].sentences == ()
    begun, _ = start(model, "similar", records)
    assert begun.kept == () and begun.sentences == (
        f"{model} was fine-tuned for classify before: its body goes on training.",
    )


def test_a_chain_of_tasks_from_the_command_line(world, tmp_path):
    assert world.finetune("pair", tmp_path / "first").status == 0
    files = [word for part in ("train", "test") for word in (f"--{part}", world.file("classify", part))]
    words = ["finetune", "classify", "--model", tmp_path / "first" / "model", *files, "--out", tmp_path / "second"]
    words += ["steps=4", "save_every_steps=2", "batch_size=8", "max_length=32"]
    done = world.command(*words)
    assert done.status == 0 and "was fine-tuned for pair before: its body goes on training" in done.err
    manifest = json.loads((tmp_path / "second" / "model" / "pretune.json").read_text())
    assert [(one["model"], one["task"]) for one in manifest["lineage"]] == [
        (str(world.modern / "model"), None),
        (str(tmp_path / "first" / "model"), "pair"),
    ]
    assert manifest["task"]["name"] == "classify"
    card = (tmp_path / "second" / "card.md").read_text()
    assert "first/model (pair)" in card.replace("\\", "") and "head is fresh" in card
    assert "Where it started" in (tmp_path / "second" / "report.html").read_text()
    metrics = json.loads((tmp_path / "second" / "metrics.json").read_text())
    assert metrics["start"]["task"] == "pair" and metrics["start"]["kept_heads"] == []
    weights = (tmp_path / "second" / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "second" / "checkpoints" / "step-4")
    shutil.rmtree(tmp_path / "second" / "model")
    assert world.command(*words).status == 0  # goes on from step 2
    assert (tmp_path / "second" / "model" / "model.safetensors").read_bytes() == weights
    other = world.command(
        *[tmp_path / "second" / "model" if word == tmp_path / "first" / "model" else word for word in words]
    )
    assert other.status == 2 and "holds another run" in other.err
