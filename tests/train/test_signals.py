"""Signals: saved between two steps, a given-up step or evaluation is made up for, a second signal leaves at once."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from train_toys import ToyCriterion, ToyModel, toy_feed, toy_settings

from pretune.core.errors import RunError
from pretune.core.hooks import Hook
from pretune.train.evaluation import Evaluate
from pretune.train.loop import fit
from pretune.train.signals import ASKING, Interrupted, Signals

COURSE = toy_settings(steps=10, save_every_steps=100, evaluate_every_steps=3)


class Sender:
    """Sends a signal to this process at the n-th call of something."""

    def __init__(self, number=signal.SIGTERM, at=None):
        self.number, self.at, self.calls = number, at, 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), self.number)


class SendingCriterion(ToyCriterion):
    def __init__(self, sender):
        self.sender = sender

    def loss(self, model, batch):
        losses = super().loss(model, batch)
        self.sender()
        return losses


class Other(Hook):
    """A hook behind the evaluation, which must see every step once."""

    def __init__(self):
        self.steps = []

    def on_step(self, run):
        self.steps.append(run.step)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


def course(out, loss_sender=None, score_sender=None, feed_workers=0):
    """Trains with dropout; returns (weights, steps the last hook saw, steps of the evaluations)."""
    model, other = ToyModel(dropout=0.3), Other()

    def score(model):
        if score_sender is not None:
            score_sender()
            time.sleep(0.002)
        return {"sum": float(sum(p.sum() for p in model.parameters()))}

    evaluate = Evaluate(score, every=3, metric="sum")
    settings = COURSE.model_copy(update={"workers": feed_workers})
    criterion = SendingCriterion(loss_sender or (lambda: None))
    fit(model, criterion, toy_feed(settings), settings, [evaluate, other], out=out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return model.state_dict(), other.steps, [(line["step"], line["valid"]) for line in lines if "valid" in line]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return course(tmp_path_factory.mktemp("straight"))


def assert_continues(out, straight):
    weights, seen, evaluations = course(out)
    assert [name for name in weights if not torch.equal(weights[name], straight[0][name])] == []
    assert (seen, evaluations) == straight[1:]


@pytest.mark.parametrize("number", ASKING)
def test_a_step_is_given_up_and_no_finished_one_lost(tmp_path, straight, number):
    batches = [len(toy_feed(COURSE).step(step, 0.0)) for step in range(5)]
    assert batches[4] > 1  # the signal comes in the first micro-batch of the fifth step, which is given up
    name = signal.Signals(number).name
    with pytest.raises(RunError, match=f"stopped by {name} after step 4: .*step-4 is safe; the same command") as caught:
        course(tmp_path, loss_sender=Sender(number, sum(batches[:4]) + 1))
    assert caught.value.exit_status == (130 if number == signal.SIGINT else 1)
    assert_continues(tmp_path, straight)


@pytest.mark.parametrize(("evaluation", "step"), [(1, 3), (3, 9), (4, 10)])
def test_an_evaluation_ends_at_once_and_is_made_up_for(tmp_path, straight, evaluation, step):
    with pytest.raises(RunError, match=f"after step {step}: .*step-{step} is safe"):
        course(tmp_path, score_sender=Sender(at=evaluation))
    assert_continues(tmp_path, straight)
    assert course(tmp_path)[2] == straight[2]  # complete now: nothing is evaluated again


def test_before_the_first_step_nothing_is_there_to_save(tmp_path, straight):
    with pytest.raises(RunError, match="after step 0: no checkpoint was written before"):
        course(tmp_path, loss_sender=Sender(at=1))
    assert_continues(tmp_path, straight)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in ASKING]
    with pytest.raises(Interrupted), Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == "SIGTERM"
        os.kill(os.getpid(), signal.SIGINT)  # what a launcher adds to Ctrl-C is the same request
        signals.check()
    assert [signal.getsignal(number) for number in ASKING] == before


def test_a_second_signal_leaves_at_once():
    script = """
        import sys, time
        from pretune.train.signals import Signals
        with Signals():
            print("ready", flush=True)
            time.sleep(60)
            print("first", flush=True)
            time.sleep(60)
    """
    script = textwrap.dedent(script).replace("time.sleep(60)", "[time.sleep(0.05) for _ in range(200)]")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None  # the first is only noted
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
        assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("number", "workers"), [pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow), (signal.SIGUSR1, 1)]
)
def test_a_command_saves_and_continues_to_the_same_weights(world, tmp_path, number, workers):
    """The signal goes to the whole process group, as schedulers send it: workers must not die of it."""
    words = ["pretrain", "modern-tiny", "--corpus", world.corpus, "steps=40", "batch_size=8", "valid_samples=4"]
    words += [f"workers={workers}", "save_every_steps=1000", "log_every_steps=1", "--threads", "1", "--out"]
    process = world.start(*words, tmp_path / "run", start_new_session=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    ends = time.monotonic() + 60
    while time.monotonic() < ends and not (metrics.exists() and metrics.read_text().count("\n") > 3):
        time.sleep(0.005)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err, err
    done = metrics.read_text().count('"lr"')
    assert f"stopped by {signal.Signals(number).name} after step {done}: " in err and f"step-{done} is safe" in err
    assert 3 < done < 40
    assert "continuing at step" in world.command(*words, tmp_path / "run").err
    assert world.command(*words, tmp_path / "straight").status == 0
    files = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("run", "straight")]
    assert files[0] == files[1]
