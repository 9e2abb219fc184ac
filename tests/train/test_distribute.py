"""Many processes: one, two with DDP and two with FSDP2 train alike; what they save, agree on, and lose."""

import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from train_jobs import run_course, settings_of, small_model, start_job
from train_toys import ToySource

from pretune.checkpoint import store
from pretune.train.agreement import Agreement
from pretune.train.distribute import Processes, is_lost
from pretune.train.energy import average_watts
from pretune.train.feed import make_feed

WAYS = ("ddp", "fsdp")
FSDP, SAVING = {"distribution": "fsdp"}, {"save_every_steps": 4}
POISON = 11


def settings(**changes):
    return {"settings": changes}


COURSES = [
    {"name": "ddp-adamw"},
    {"name": "fsdp-adamw", **settings(**FSDP)},
    {"name": "fsdp-muon", "optimizer": "muon", **settings(**FSDP)},
    {"name": "saved", "out": "saved", "optimizer": "muon", "signal_at": 9, **settings(**FSDP, **SAVING)},
    {"name": "again", "out": "saved", "copy": "alone", "optimizer": "muon", **settings(**FSDP, **SAVING)},
    {"name": "poison", "poison": POISON, "out": "poison", **settings(save_every_steps=1)},
    {"name": "skip", "poison": POISON, **settings(**FSDP, on_non_finite="skip")},
    {"name": "seconds", "sleep": 0.02, **settings(steps=None, seconds=0.8, save_every_minutes=None)},
    {"name": "best", "evaluate": 2, "out": "best", **settings(**FSDP)},
    {"name": "stop", "stop_at": 3},
    {"name": "ddp-electra", "electra": True},
    {"name": "fsdp-electra", "electra": True, "optimizer": "muon", **settings(**FSDP)},
    {"name": "dead", "out": "dead", "die_at": 7, **settings(save_every_steps=2)},  # the last: process 1 is gone then
]


class Job:
    """What a job of two processes left."""

    def __init__(self, root):
        self.root = root

    def seen(self, name, rank=0):
        return json.loads((self.root / f"{name}-{rank}.json").read_text())

    def weights(self, name, rank=0):
        return load_file(self.root / f"{name}-{rank}.safetensors")


def finish(processes, seconds=240):
    """Waits for a job; kills it rather than wait for ever."""
    ends, errors = time.monotonic() + seconds, []
    try:
        for process in processes:
            errors.append(process.communicate(timeout=max(1.0, ends - time.monotonic()))[1])
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], "\n".join(errors)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    root = tmp_path_factory.mktemp("job")
    statuses, errors = finish(start_job(root, COURSES))
    assert statuses == [0, -signal.SIGKILL], errors
    return Job(root)


@pytest.fixture(scope="module")
def alone():
    return {name: run_course({"optimizer": name}) for name in ("adamw", "muon")}


def assert_alike(ours, theirs, rtol=1e-5):
    """Losses in all and by name, norms, rates and tokens of every step."""
    assert len(ours["rows"]) == len(theirs["rows"]) >= 20
    for a, b in zip(ours["rows"], theirs["rows"], strict=True):
        assert a[1].keys() == b[1].keys()
        np.testing.assert_allclose([a[0], *a[1].values()], [b[0], *b[1].values()], rtol=rtol)
        assert a[2] == pytest.approx(b[2], rel=10 * rtol) and a[3:] == b[3:]


def assert_close(ours, theirs, atol=1e-5):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("name", ["ddp-adamw", "fsdp-adamw", "fsdp-muon"])
def test_two_processes_train_as_one(job, alone, name):
    """Three losses with counts of their own, clipping at every step, micro-batches that differ between processes."""
    theirs, model = alone[name.split("-")[1]]
    ours = job.seen(name)
    assert ours["error"] is None
    assert_alike(ours, theirs)
    assert_close(job.weights(name), model.state_dict())
    assert all(row[2] > settings_of({}).clip_norm for row in theirs["rows"])
    for figure in ("tokens", "predictions", "padding_saved", "steps"):
        assert ours[figure] == theirs[figure]
    assert [row[0] for row in job.seen(name, 1)["rows"]] == [row[0] for row in ours["rows"]]
    assert_close(job.weights(name, 1), job.weights(name), atol=0)


@pytest.mark.parametrize("name, optimizer", [("ddp-electra", "adamw"), ("fsdp-electra", "muon")])
def test_a_generator_beside_a_discriminator_trains_as_in_one_process(job, name, optimizer):
    """The same samples are drawn whatever micro-batch a text is in; shared embeddings get the gradients of both."""
    ours, (theirs, model) = job.seen(name), run_course({"electra": True, "optimizer": optimizer})
    assert set(theirs["rows"][0][1]) == {"lm", "replaced_token"}
    assert_alike(ours, theirs)
    assert_close(job.weights(name), model.state_dict())
    assert_close(job.weights(name, 1), job.weights(name), atol=0)
    assert ours["tokens"] == theirs["tokens"] == theirs["predictions"]["replaced_token"]
    assert ours["predictions"] == theirs["predictions"]
    tied = ("body.token_embedding", "heads.lm.body.token_embedding", "heads.lm.head.decoder")
    first, *others = (job.weights(name)[f"{each}.weight"] for each in tied)
    assert all(torch.equal(first, other) for other in others)


def test_the_courses_are_what_they_say():
    """Processes have unequal numbers of micro-batches, and heads are missing in some micro-batches and whole steps."""
    feeds = [make_feed([ToySource(23, 8)], settings_of({}), rank=rank, world=2) for rank in (0, 1)]
    numbers = [[len(feed.step(step, 0.0)) for feed in feeds] for step in range(22)]
    assert any(a < b for a, b in numbers) and any(a > b for a, b in numbers)
    theirs, model = run_course({})
    assert any("rare" not in row[1] for row in theirs["rows"]) and any("rare" in row[1] for row in theirs["rows"])
    fresh = small_model().heads["never"].state_dict()
    assert_close(model.heads["never"].state_dict(), fresh, atol=0)


def test_saved_by_two_opens_with_one_and_with_two(job):
    """A signal to one of two: both save and leave. Weights and optimizer state are then the same bit by bit."""
    saved, again = job.seen("saved"), job.seen("again")
    for rank in (0, 1):
        kind, message = job.seen("saved", rank)["error"]
        assert kind == "Stopped" and "SIGTERM after step 9" in message and "step-9 is safe" in message
    course = {"out": "alone", "optimizer": "muon", "settings": SAVING}
    one, _ = run_course(course, root=job.root)
    assert one["resumed_from"] == again["resumed_from"] == 9
    assert saved["end"] == one["digests"] == again["digests"]
    assert len({*saved["end"].values()}) == 2
    whole = job.seen("fsdp-muon")
    rows = saved["rows"] + again["rows"]
    assert [row[0] for row in rows] == [row[0] for row in whole["rows"]]  # bit by bit
    assert again["end"] == whole["end"]
    assert_alike({"rows": saved["rows"] + one["rows"]}, whole)


def test_a_bad_number_in_one_process_stops_both_and_names_documents(job):
    feed = make_feed([ToySource(23, 8)], settings_of({}))
    step = next(step for step in range(22) if POISON in [place.number for place in feed.places(step)])
    messages = [job.seen("poison", rank)["error"] for rank in (0, 1)]
    assert messages[0] == messages[1]
    assert (
        messages[0][0] == "RunError"
        and f"step {step + 1}: a loss is not finite (total nan, token nan)" in messages[0][1]
    )
    documents = messages[0][1].split("batch: ")[1].split(";")[0]
    assert str(POISON) in documents.split(", ") and len(documents.split(", ")) < 7  # of its micro-batch only
    skipped = job.seen("skip")
    assert skipped["error"] is None and skipped["steps"] == 22
    assert all(math.isfinite(row[0]) for row in skipped["rows"][1:])
    assert [row[0] for row in job.seen("skip", 1)["rows"]][1:] == [row[0] for row in skipped["rows"]][1:]


def test_the_clock_is_process_0s(job):
    first, second = job.seen("seconds"), job.seen("seconds", 1)
    assert first["stopped"] == second["stopped"] == "seconds" and first["steps"] == second["steps"] > 2
    assert [row[3] for row in first["rows"]] == [row[3] for row in second["rows"]]


def test_a_hook_in_one_process_stops_all_after_the_same_step(job):
    assert [(job.seen("stop", rank)["stopped"], job.seen("stop", rank)["steps"]) for rank in (0, 1)] == [
        ("enough", 3)
    ] * 2


def test_scores_are_of_whole_weights_and_process_0s_decide(job):
    first, second = job.seen("best"), job.seen("best", 1)
    assert first["scores"] == second["scores"] and len(set(first["scores"][0])) == 4
    assert first["best"] == second["best"] and (first["best"]["step"], first["best"]["score"]) == (6, 0.9)
    assert first["steps"] == second["steps"] == 12
    theirs, model = run_course({"evaluate": 2})
    assert first["scores"][0] == pytest.approx(theirs["scores"][0], rel=1e-4)
    assert_close(job.weights("best"), model.state_dict())
    kept = store.load(store.latest(job.root / "best/checkpoints").path)
    assert_close(kept["hooks"]["Evaluate-0"]["best_weights"], model.state_dict())


def test_names_that_one_process_knows_later_are_agreed_on():
    class Pair(Processes):
        def gather(self, row):
            return np.stack([row, [1.0, *row[1:]]]) if len(row) == 1 else np.stack([row, 2 * row])

        def gather_json(self, value):
            return [value, ["b"]]

    told = Agreement(Pair(0, 2)).exchange({"a": 1.0})
    assert told.names[1:] == ["a", "b"] and told.sum("a") == 3.0 and told.max("a") == 2.0 and told.first("a") == 1.0


def test_lost_connections_are_told_from_other_errors():
    assert is_lost(RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234"))
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) and not is_lost(ValueError("gloo"))


def test_power_is_that_of_all_machines():
    assert average_watts(100.0, "cpu", 4, 2) == (200.0, "the setting `watts`, for each of 2 machines")
    assert average_watts(None, "cpu", 4, 1)[0] == 65.0


def test_a_process_that_dies_ends_the_others_with_what_is_safe(job):
    kind, message = job.seen("dead")["error"]
    assert kind == "RunError" and "a process of this job died" in message and "step-6 is safe" in message


def torchrun(out, *words, restarts=3):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["--max-restarts", str(restarts), "-m", "pretune"]
    return subprocess.Popen(
        [*launch, *map(str, words), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def children(process):
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    return []


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(
        range(1, 1 + sum("loss" in line for line in lines))
    )
    return [line["loss"] for line in lines if "loss" in line]


NO_DROPOUT = ("model.embedding_dropout=0", "model.hidden_dropout=0", "model.attention.dropout=0")
BERT = ("steps=30", "seed=1", "batch_size=9", "max_length=64", "short_length=32", "max_tokens_per_batch=256")
RECORDS = ("save_every_steps=3", "log_every_steps=1", "valid_samples=4", "evaluate_every_steps=10")


def pretraining(world):
    return ["pretrain", "bert-tiny", "--corpus", world.corpus, "--threads", "1", *BERT, *RECORDS, *NO_DROPOUT]


@pytest.fixture(scope="module")
def straight(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    assert world.command(*pretraining(world), "--out", out).status == 0
    return out


def killed_and_recovered(world, out, way, wait):
    """Kills one of two workers `wait` steps after the first checkpoint; the job must end well by itself."""
    process = torchrun(out, *pretraining(world), f"distribution={way}")
    try:
        ends = time.monotonic() + 200
        while time.monotonic() < ends and process.poll() is None:
            numbers = [int(path.name.split("-")[1]) for path in out.glob("checkpoints/step-*")]
            if numbers and max(numbers) >= wait:
                break
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()[1]
        os.kill(random.choice(children(process)), signal.SIGKILL)
        _, errors = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "continuing at step" in errors
    return errors


def assert_same_run(ours, theirs):
    np.testing.assert_allclose(losses(ours), losses(theirs), rtol=1e-5)
    assert_close(load_file(ours / "model/model.safetensors"), load_file(theirs / "model/model.safetensors"), atol=1e-4)
    names = {path.name for path in (theirs / "model").iterdir()}
    assert {path.name for path in (ours / "model").iterdir()} == names
    for name in names - {"model.safetensors"}:
        if name.endswith("config.json"):
            assert (ours / "model" / name).read_bytes() == (theirs / "model" / name).read_bytes()


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(world, straight, tmp_path):
    """torchrun restarts the job, which goes on from its last checkpoint to what one process has without a kill."""
    errors = killed_and_recovered(world, tmp_path / "run", "fsdp", 9)
    assert_same_run(tmp_path / "run", straight)
    again = errors.rpartition("continuing at step")[2]  # the first job may have been at its end when it was killed
    assert again.count("pre-training: 100%") == 1  # one process shows progress
    figures = json.loads((tmp_path / "run/metrics.json").read_text())
    assert figures["tokens"] == json.loads((straight / "metrics.json").read_text())["tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_ten_of_ten_recover(world, straight, tmp_path, number):
    killed_and_recovered(world, tmp_path / "run", WAYS[number % 2], random.Random(number).randint(1, 26))
    assert_same_run(tmp_path / "run", straight)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_sigterm_to_torchrun_saves(world, straight, tmp_path, way):
    words = [*pretraining(world), f"distribution={way}"]
    process = torchrun(tmp_path / "run", *words, restarts=0)
    while not list(tmp_path.glob("run/checkpoints/step-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0 and "stopped by SIGTERM after step" in errors
    process = torchrun(tmp_path / "run", *words)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0 and "continuing at step" in errors, errors
    assert_same_run(tmp_path / "run", straight)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_finetuning_by_two(world, tmp_path, way):
    files = ["--train", world.file("classify"), "--valid", world.file("classify", "valid")]
    words = ["finetune", "classify", "--model", world.modern / "model", *files, "epochs=2", "batch_size=8"]
    assert world.command(*words, "--out", tmp_path / "one").status == 0
    process = torchrun(tmp_path / "two", *words, f"distribution={way}", "--json")
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    ours, theirs = json.loads(out), json.loads((tmp_path / "one/metrics.json").read_text())
    assert ours["valid"] == pytest.approx(theirs["valid"], abs=1e-3)
    assert_close(
        load_file(tmp_path / "two/model/model.safetensors"), load_file(tmp_path / "one/model/model.safetensors")
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_pretraining_a_discriminator_by_two(world, tmp_path, way):
    shape = ("steps=12", "seed=1", "batch_size=9", "max_length=64", "max_tokens_per_batch=256")
    words = ["pretrain", "electra-tiny", "--corpus", world.corpus, "--threads", "1", *shape, *RECORDS, *NO_DROPOUT]
    assert world.command(*words, "--out", tmp_path / "one").status == 0
    process = torchrun(tmp_path / "two", *words, f"distribution={way}")
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert_same_run(tmp_path / "two", tmp_path / "one")
    ours, theirs = (load_file(tmp_path / run / "model/generator/model.safetensors") for run in ("two", "one"))
    assert_close(ours, theirs, atol=1e-4)


def test_unwise_restarts_are_told(monkeypatch, capsys):
    from pretune.cli.torchrun import warn_of_restarts

    for name in ("RANK", "TORCHELASTIC_MAX_RESTARTS", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"):
        monkeypatch.delenv(name, raising=False)
    warn_of_restarts()
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    assert not capsys.readouterr().err
    warn_of_restarts()
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in capsys.readouterr().err
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    warn_of_restarts()
    assert not capsys.readouterr().err
