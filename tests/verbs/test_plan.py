"""pretune plan: predicted from a probe, compared with what happened.

The probe and the run are real processes here. Their memory, disk, tokens and FLOPs must agree; time only roughly, for
other tests may be running beside them: within 15 % it must be on a quiet machine (`-m slow`).
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from pretune.core.errors import InputError, RunError
from pretune.train.feed import Feed, Phase
from pretune.train.run import Tally
from pretune.verbs import plan as verb
from pretune.verbs.plan_outcome import compare, different
from pretune.verbs.probe import Stopwatch, gentle, measure, shortened
from pretune.verbs.settings import PretrainSettings

WORDS = ["steps=60", "batch_size=8", "max_length=64", "short_length=24", "short_share=0.5", "valid_samples=20"]
WORDS += ["save_every_steps=20"]


def planned(world, out, *words):
    return world.command(
        "plan", "bert-tiny", "--corpus", world.corpus, "--out", out, *words, "--threads", "1", "--json"
    )


@pytest.fixture(scope="module")
def both(world, tmp_path_factory):
    """A plan and its run, each as a user would ask for them, and what metrics.json says."""
    out = tmp_path_factory.mktemp("plan") / "run"
    found = planned(world, out, *WORDS, "--price-per-hour", "3.6", "--price-per-kwh", "0.5").json()
    assert [path.name for path in out.iterdir()] == ["plan.json"]
    run = world.start("pretrain", "bert-tiny", "--corpus", world.corpus, "--out", out, *WORDS, "--threads", "1")
    _, err = run.communicate()
    assert run.returncode == 0, err
    return found, json.loads((out / "metrics.json").read_text()), out


def test_memory_disk_and_work_are_as_planned(both):
    found, metrics, _ = both
    compared = metrics["plan"]
    assert compared.keys() == {"seconds", "peak_memory_bytes", "disk_bytes", "tokens", "flops", "energy_kwh"}
    for name, tolerance in (("peak_memory_bytes", 0.1), ("disk_bytes", 0.1), ("tokens", 0.05), ("flops", 0.05)):
        one = compared[name]
        assert one["happened"] == metrics[name] and one["planned"] == found[name]
        assert one["happened"] == pytest.approx(one["planned"], rel=tolerance), name
    assert compared["seconds"]["happened"] == pytest.approx(compared["seconds"]["planned"], rel=3)
    assert found["steps"] == 60 and [phase["steps"] for phase in found["probe"]["phases"]] == [30, 30]
    short, long = (phase["tokens"] / 8 for phase in found["probe"]["phases"])
    assert short <= 24 < long <= 64
    assert found["parameters"] == metrics["parameters"]


def test_the_report_shows_both(both):
    _, metrics, out = both
    page = (out / "report.html").read_text()
    assert "Plan and what happened" in page and "peak memory" in page and not metrics["notes"]


def test_a_finished_run_given_again_keeps_what_was_measured(world, both, tmp_path, monkeypatch):
    """By a process that trains nothing of it, and so holds less; without its metrics.json, what its checkpoint says."""
    _, metrics, out = both
    out = shutil.copytree(out, tmp_path / "run")
    for module in ("pretune.verbs.pretrain", "pretune.train.run"):
        monkeypatch.setattr(import_module(module), "peak_bytes", lambda device: 1)
    asked = ["pretrain", "bert-tiny", "--corpus", world.corpus, "--out", out, *WORDS, "--json"]
    again = world.command(*asked).json()
    names = ("peak_memory_bytes", "disk_bytes", "mfu")
    assert [again[name] for name in names] == [metrics[name] for name in names]
    assert again["plan"]["peak_memory_bytes"] == metrics["plan"]["peak_memory_bytes"]
    (out / "metrics.json").unlink()
    again = world.command(*asked).json()
    assert again["peak_memory_bytes"] == pytest.approx(metrics["peak_memory_bytes"], rel=0.1)


def test_price_and_energy_follow_the_time(both):
    found, _, _ = both
    kwh = 65 / 1000 * found["seconds"] / 3600 * 1.58
    assert found["energy_kwh"] == pytest.approx(kwh)
    assert found["price"] == pytest.approx(3.6 * found["seconds"] / 3600 + 0.5 * kwh)


@pytest.mark.slow
def test_time_is_within_15_per_cent(world, tmp_path):
    """On a machine that does nothing else."""
    words = ["steps=400", "batch_size=16", "max_length=64", "short_length=24", "valid_samples=20"]
    assert planned(world, tmp_path / "run", *words).status == 0
    run = world.start(
        "pretrain", "bert-tiny", "--corpus", world.corpus, "--out", tmp_path / "run", *words, "--threads", 1
    )
    _, err = run.communicate()
    assert run.returncode == 0, err
    seconds = json.loads((tmp_path / "run" / "metrics.json").read_text())["plan"]["seconds"]
    assert seconds["happened"] == pytest.approx(seconds["planned"], rel=0.15)


def probed(steps=(900, 100), seconds=(0.1, 0.5), tokens=(1000, 3000)):
    phases = [
        {"steps": n, "seconds": s, "tokens": t, "flops": t * 10.0, "probed": 20}
        for n, s, t in zip(steps, seconds, tokens, strict=True)
    ]
    return {
        "device": "cpu",
        "phases": phases,
        "evaluation_seconds": 2.0,
        "checkpoint_seconds": 3.0,
        "checkpoint_bytes": 700,
        "model_bytes": 200,
        "peak_memory_bytes": 5000,
        "parameters": 7,
    }


CORPUS = SimpleNamespace(num_tokens=50_000, ids=lambda start, end: np.zeros(end - start, np.int32))
NO_PRICE = {"per_hour": None, "per_kwh": None}


def settings(**changes):
    return PretrainSettings(**{"steps": 1000, "save_every_minutes": None} | changes)


def test_figures_by_hand():
    found = verb.predict(probed(), settings(save_every_steps=250, watts=100), CORPUS, NO_PRICE)
    assert found["seconds"] == pytest.approx(900 * 0.1 + 100 * 0.5 + 10 * 2 + 4 * 3)
    assert (found["steps"], found["tokens"], found["flops"]) == (1000, 1_200_000, 12e6)
    assert (found["disk_bytes"], found["peak_disk_bytes"]) == (2 * 700 + 200, 3 * 700 + 200)
    assert found["peak_memory_bytes"] == 5000, "the probe has read more tokens than there are"
    large = SimpleNamespace(num_tokens=10**6, ids=CORPUS.ids)
    more = verb.predict(probed(), settings(), large, NO_PRICE)["peak_memory_bytes"]
    assert more == 5000 + 4 * (10**6 - 20 * 4000)
    assert (
        verb.predict(probed() | {"device": "cuda:0"}, settings(watts=9), large, NO_PRICE)["peak_memory_bytes"] == 5000
    )
    assert found["energy_kwh"] == pytest.approx(0.1 * found["seconds"] / 3600 * 1.58) and found["price"] is None


def test_evaluations_and_checkpoints_take_their_time():
    plain = verb.predict(probed(), settings(), CORPUS, NO_PRICE)
    assert plain["seconds"] == pytest.approx(140 + 10 * 2 + 1 * 3)
    assert (plain["disk_bytes"], plain["peak_disk_bytes"]) == (900, 900), "one checkpoint, at the end"
    often = verb.predict(probed(), settings(evaluate_every_steps=10, save_every_minutes=0.5), CORPUS, NO_PRICE)
    assert often["seconds"] == pytest.approx(140 + 100 * 2 + 5 * 3)


def test_a_budget_of_seconds_has_room_for_evaluations_and_checkpoints():
    """The last ones come when the clock has ended the run."""
    clock, one_length = settings(steps=None, seconds=50.0), probed((None,), (0.1,), (1000,))
    found = verb.predict(one_length, clock, CORPUS, NO_PRICE)
    assert found["steps"] == (50 - 9 * 2) / 0.1 and found["tokens"] == 320_000
    assert found["seconds"] == pytest.approx(50 + 2 + 3)
    nothing = {"evaluation_seconds": 0.0, "checkpoint_seconds": 0.0}
    found = verb.predict(one_length | nothing, clock, CORPUS, NO_PRICE)
    assert (found["steps"], found["seconds"]) == (500, pytest.approx(50))
    often = clock.model_copy(update={"evaluate_every_steps": 1, "save_every_steps": 5})
    found = verb.predict(one_length, often, CORPUS, NO_PRICE)
    assert found["steps"] == 20, "19 evaluations and 3 checkpoints between 20 steps take 49 s; one step more, 54.1 s"
    both_budgets = verb.predict(probed(), settings(seconds=70.0), CORPUS, NO_PRICE)
    assert both_budgets["seconds"] == pytest.approx(75) and both_budgets["steps"] == round((70 - 18) / 0.14)
    ample = verb.predict(probed(), settings(seconds=1000.0), CORPUS, NO_PRICE)
    assert (ample["steps"], ample["seconds"]) == (1000, pytest.approx(140 + 10 * 2 + 3))


def test_evaluations_that_take_longer_than_a_tenth_are_fewer():
    """The first comes after a tenth of the budget, in which there are steps."""
    clock = settings(steps=None, seconds=100.0)
    found = verb.predict(probed((None,), (0.1,), (1000,)) | {"evaluation_seconds": 20.0}, clock, CORPUS, NO_PRICE)
    assert found["steps"] == (100 - 4 * 20) / 0.1 and found["seconds"] == pytest.approx(100 + 20 + 3)


@dataclass(frozen=True)
class Source:
    fingerprint: str = "x"

    def __len__(self):
        return 100


def test_the_probe_has_a_few_steps_of_each_length_and_measures_them_apart():
    feed = Feed((Phase(Source(), 900), Phase(Source("y"), 7)), 4, 1000, 0)
    short = shortened(feed)
    assert [(phase.source.fingerprint, phase.num_steps) for phase in short.phases] == [("x", 20), ("y", 7)]
    assert shortened(Feed((Phase(Source()),), 4, 1000, 0)).num_steps == 20
    slow_first = [5.0, 4.0, 3.0, 2.0, *[1.0] * 16, 9.0, 9.0, 9.0, 9.0, *[2.0] * 3]
    tokens = [10] * 20 + [30] * 7
    watch = Stopwatch()
    watch.seconds = [0.0, *np.cumsum(slow_first).tolist()]
    watch.tallies = [Tally(int(total), predictions={"lm": int(total) // 10}) for total in np.cumsum([0, *tokens])]
    first, second = measure(watch, short)
    assert (first["seconds"], second["seconds"]) == (1.0, 2.0), "the first steps of each length are left out"
    assert (first["tokens"], second["tokens"]) == (10, 30)
    assert (first["work"].predictions, second["work"].predictions) == ({"lm": 20}, {"lm": 21})


def test_the_probe_learns_next_to_nothing():
    given = settings(seconds=9.0, optimizer={"lr": 1e-3, "matrix_lr": 1e-2}, schedule={"warmup": 500})
    found = gentle(given, Feed((Phase(Source(), 5),), 4, 1000, 0))
    assert (found.optimizer.lr, found.optimizer.matrix_lr) == pytest.approx((1e-6, 1e-5))
    assert (found.schedule.name, found.schedule.warmup, found.seconds, found.save_every_steps) == (
        "constant",
        0,
        None,
        5,
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stepz=3"], "stepz"),
        (["steps=3", "max_length=9999", "short_length=null"], "more than the model's 512"),
        (["steps=3", "--price-per-hour", "-1"], "--price-per-hour is -1"),
    ],
)
def test_what_pretrain_refuses_plan_refuses(world, tmp_path, words, says):
    done = planned(world, tmp_path / "run", *words)
    assert done.status == 2 and says in done.err and not (tmp_path / "run").exists()


def test_a_directory_that_has_a_run_is_refused(world, both):
    done = planned(world, both[2], *WORDS)
    assert done.status == 2 and "holds a run already" in done.err


def test_a_probe_that_dies_is_said(monkeypatch):
    for status, says in ((-9, "it was killed: is there enough memory"), (1, "Boom")):
        died = subprocess.CompletedProcess([], status, stderr="Traceback\nBoom")
        monkeypatch.setattr(verb.subprocess, "run", lambda *_, died=died, **__: died)
        with pytest.raises(RunError, match=says):
            verb.run_probe({})


REQUEST = {"recipe": "bert-tiny", "corpus": "c", "init": None, "settings": {"steps": 5, "seed": 1, "watts": None}}
FIGURES = dict.fromkeys(("seconds", "peak_memory_bytes", "disk_bytes", "tokens", "flops", "energy_kwh"), 2.0)


def test_only_the_plan_of_this_run_is_compared(tmp_path):
    assert compare(tmp_path, REQUEST, FIGURES) == ({}, None)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"request": REQUEST, **FIGURES}))
    compared, note = compare(tmp_path, REQUEST, FIGURES | {"seconds": 3.0})
    assert note is None and compared["seconds"] == {"planned": 2.0, "happened": 3.0}
    other = REQUEST | {"corpus": "d", "settings": REQUEST["settings"] | {"steps": 6}}
    compared, note = compare(tmp_path, other, FIGURES)
    assert compared == {} and "differs in corpus, settings.steps: not compared" in note
    for damaged in ("{", "[]", json.dumps({"request": REQUEST, **FIGURES, "seconds": "x"}), json.dumps(FIGURES)):
        file.write_text(damaged)
        compared, note = compare(tmp_path, REQUEST, FIGURES)
        assert compared == {} and "cannot be read and is not compared" in note


def test_what_changes_nothing_of_a_run_is_no_difference():
    assert different(REQUEST, REQUEST | {"settings": REQUEST["settings"] | {"watts": 90.0}}) == []


def test_a_plan_needs_no_directory(world, monkeypatch):
    monkeypatch.setattr(verb, "run_probe", lambda request: probed())
    done = world.command("plan", "bert-tiny", "--corpus", world.corpus, "steps=1000")
    assert done.status == 0 and "give --price-per-hour" in done.out
    rows = dict(line.split("  ", 1) for line in done.out.splitlines() if "  " in line)
    assert rows["time"].strip() == "2.7 min" and rows["memory"].strip().endswith(" kB")
    asked = {}
    monkeypatch.setattr(verb, "run_probe", lambda request: asked.update(request) or probed())
    words = ["steps=7", "--price-per-kwh", "10", "--json"]
    found = world.command("plan", "spanbert-tiny", "--corpus", world.corpus, *words).json()
    assert (asked["recipe"], asked["settings"]["steps"], asked["folder"]) == ("spanbert-tiny", 7, None)
    assert found["price"] == pytest.approx(10 * found["energy_kwh"])


def test_other_prices_are_refused():
    with pytest.raises(InputError, match="price-per-kwh is nan"):
        verb.plan("bert-tiny", corpus="nowhere", price_per_kwh=float("nan"))
