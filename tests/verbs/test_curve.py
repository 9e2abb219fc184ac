"""curve: draws of labelled records to scores, resumed, nested, honest about what was trained how."""

import json
import shutil
from dataclasses import replace

import pytest

from pretune.core.errors import InputError
from pretune.text.records import read_records
from pretune.verbs import curve as verb
from pretune.verbs.curve import Plan, curve
from pretune.verbs.settings import CurveSettings

SETTINGS = ["epochs=1", "min_steps=3", "batch_size=8", "max_length=32", "optimizer.lr=1e-3"]


def words(world, out, *more, task="classify"):
    files = ["--train", world.file(task), "--test", world.file(task, "test")]
    return ["curve", task, "--model", world.modern / "model", *files, "--out", out, *SETTINGS, *more]


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("curve") / "out"
    options = ["--sizes", "8,all", "--seeds", "2", "--systems", "pretrained,scratch,frozen", "scratch.epochs=2"]
    result = world.command(*words(world, out, *options))
    assert result.status == 0, result.err
    return out, result


def test_every_system_at_every_size(done):
    out, result = done
    found = json.loads((out / "curve.json").read_text())
    systems = ["pre-trained", "the same from scratch", "frozen features", "majority", "tfidf"]
    assert [(row["system"], row["size"]) for row in found["points"]] == [(s, n) for n in (8, 40) for s in systems]
    for row in found["points"]:
        assert len(row["scores"]) == 2 and row["over_draws"]
        assert row["mean"] == pytest.approx(sum(row["scores"]) / 2) and row["low"] <= row["mean"] <= row["high"]
    assert [row["minus"] for row in found["differences"]] == [name for name in systems[1:] for _ in range(2)]
    assert "draws  pre-trained" in result.out and "The pre-trained model" in result.out
    page = (out / "report.html").read_text()
    assert page.count("<polygon") == 5 and "Mosbach et al. 2021" in page and "labelled examples" in page


def test_runs_have_at_least_so_many_steps_and_keep_no_model(done):
    out, _ = done
    steps = {
        place.parent.relative_to(out).as_posix(): json.loads(place.read_text())["steps"]
        for place in out.rglob("run.json")
    }
    assert steps["pretrained/size-8/seed-1"] == 3 and steps["pretrained/size-40/seed-1"] == 5
    assert steps["scratch/size-8/seed-2"] == 3 and steps["scratch/size-40/seed-2"] == 10
    assert len(steps) == 12 and not list(out.rglob("*.safetensors"))


def test_the_same_command_continues(world, done, monkeypatch):
    out, _ = done
    before = json.loads((out / "curve.json").read_text())["points"]
    shutil.rmtree(out / "frozen" / "size-8" / "seed-2")
    trained = []
    original = verb.tune

    def counted(*arguments, **named):
        trained.append(arguments[1])
        return original(*arguments, **named)

    monkeypatch.setattr(verb, "tune", counted)
    options = ["--sizes", "8,all", "--seeds", "2", "--systems", "pretrained,scratch,frozen", "scratch.epochs=2"]
    assert world.command(*words(world, out, *options)).status == 0
    assert len(trained) == 1 and json.loads((out / "curve.json").read_text())["points"] == before
    other = world.command(*words(world, out, "--sizes", "8", "seed=3"))
    assert other.status == 2 and "another curve (settings differ)" in other.err


def plan(world, task="classify", **settings):
    rows = [read_records(world.file(task, part)) for part in ("train", "test")]
    whole = verb.open_task(task).fit_labels(rows[0])
    resolved = CurveSettings(**{"epochs": 1, **settings})
    return Plan(task, whole, str(world.modern / "model"), *rows, resolved, world.root / "none", "cpu", False)


def test_draws_are_nested_and_shared(world):
    found = plan(world)
    small, large = found.drawn(8, 1), found.drawn(24, 1)
    assert small == large[:8] and small != found.drawn(8, 2)
    names = {record["label"] for record in plan(world, draw="stratified").drawn(2, 1)}
    assert names == {"good", "bad"}
    assert found.bound([record for record in found.train if record["label"] == "good"][:2]).labels == ("bad", "good")


def test_a_value_is_scaled_by_the_draw_alone(world):
    found = plan(world, "regress")
    good = [record for record in found.train if float(record["label"]) > 0][:3]
    bad = [record for record in found.train if float(record["label"]) < 0][:1]
    assert found.bound([*good, *bad]).mean == pytest.approx((3 * 2.5 - 1) / 4)


def test_kept_guesses_hold_any_character(world, tmp_path):
    class Copying:
        def baseline_predictions(self, train, test):
            return {"copy": [{"text": "a\u2028b\u2029c\x85d\ne"} for _ in test]}

    found = [verb._simple_run(replace(plan(world), out=tmp_path), task, [], 8, 1) for task in (Copying(), None)]
    assert found[0] == found[1] and len(found[0]["copy"]) == len(plan(world).test)


def test_from_scratch_is_another_body_and_no_head_is_kept(world, done, tmp_path, monkeypatch):
    """A model that was fine-tuned for this very task must not bring its head."""
    assert world.finetune("classify", tmp_path / "run").status == 0
    seen = {}

    def look(bundle, name, task, labelled, settings, **where):
        state = {name: tensor.clone() for name, tensor in bundle.model.state_dict().items()}
        seen[settings.adapt, len(seen)] = state
        raise RuntimeError("seen")

    monkeypatch.setattr(verb, "tune", look)
    for system in ("pretrained", "scratch"):
        with pytest.raises(RuntimeError, match="seen"):
            curve(
                "classify",
                model=str(tmp_path / "run" / "model"),
                train=world.file("classify"),
                test=world.file("classify", "test"),
                out=tmp_path / system,
                sizes=[8],
                systems=[system],
                settings=SETTINGS,
            )
    tuned = verb.begin(str(tmp_path / "run" / "model"), plan(world).whole, seed=1).bundle.model.state_dict()
    pretrained, scratch = seen.values()
    body = [name for name in tuned if name.startswith("body.") and tuned[name].std() > 0]
    assert all((pretrained[name] == tuned[name]).all() for name in body)
    assert all((scratch[name] != tuned[name]).any() for name in body if tuned[name].ndim == 2)
    assert (pretrained["heads.sequence.classifier.weight"] != tuned["heads.sequence.classifier.weight"]).any()


def test_sentences_are_the_unit_of_tags(world, tmp_path):
    result = world.command(*words(world, tmp_path / "out", "--sizes", "8", "--seeds", "1", "--json", task="tag"))
    found = result.json()
    assert found["unit"] == "sentences" and {row["system"] for row in found["points"]} == {
        "pre-trained",
        "the same from scratch",
        "majority",
        "most-frequent-tag",
    }
    assert not any(row["over_draws"] for row in found["points"])


@pytest.mark.parametrize(
    "more, message",
    [
        (["--sizes", "8,90"], "90 is not between 2 and the 40 records"),
        (["--systems", "pretraned"], "did you mean pretrained"),
        (["patience=2"], "patience needs a validation file"),
        (["scratch.lr=1"], "unknown setting 'lr'"),
        (["draw=stratified", "task.multi_label=true"], "is no list of labels"),
        (["--seeds", "0"], "seeds is 0"),
    ],
)
def test_wrong_requests(world, tmp_path, more, message):
    found = world.command(*words(world, tmp_path / "out", *more))
    assert found.status == 2 and message in found.err, found.err


def test_a_refused_request_leaves_the_directory_free(world, tmp_path):
    refused = world.command(*words(world, tmp_path / "out", "--model", "bert-tiny"))
    assert refused.status == 2 and "name the tokenizer" in refused.err
    done = world.command(*words(world, tmp_path / "out", "--sizes", "8", "--seeds", "1", "--systems", "pretrained"))
    assert done.status == 0, done.err


def test_a_budget_of_seconds_is_no_curve(world, tmp_path):
    files = {"train": world.file("classify"), "test": world.file("classify", "test"), "out": tmp_path / "out"}
    with pytest.raises(InputError, match="needs epochs or steps"):
        curve("classify", model=str(world.modern / "model"), **files, settings=["seconds=3"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds other files .thesis.txt"):
        curve("classify", model=str(world.modern / "model"), **files)
    with pytest.raises(InputError, match="has fresh weights|name the tokenizer"):
        curve("classify", model="bert-tiny", **files | {"out": tmp_path / "fresh"}, sizes=[8], settings=SETTINGS)
