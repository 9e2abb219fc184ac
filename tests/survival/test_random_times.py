"""SIGKILL from outside at random times, then the same command again: it ends with the very weights of no interruption.

Over accumulation or not, adamw and muon, one length or two, feeding workers 0 to 2; bert drops out 0.1 everywhere, the
runs cross epochs' borders, and each step's examples are grouped by length, as in every run. Uninterrupted runs are made
without workers, so every case with workers also shows that these change nothing.
"""

import json
import random
import shutil
import time

import pytest
from crashes import KILLED, assert_same, done, last_step, left_by

INTERVAL = 4
WORKERS = (0, 1, 0, 2, 0)  # processes take seconds to start
LONG = {"steps": 40, "save_every_steps": INTERVAL}


def course(verb, rng):
    settings = {"max_tokens_per_batch": rng.choice([48, 4096]), "optimizer.name": rng.choice(["adamw", "muon"])}
    if verb == "finetune":
        return settings | {"save_every_steps": INTERVAL, "patience": 9, "epochs": 12}
    return settings | LONG | {"short_length": rng.choice([16, "null"])}


def seconds_of(small, verb, workers):
    """How long an uninterrupted run takes now."""
    settings, out = course(verb, random.Random(0)), small.file(f"timed-{verb}-{workers}")
    began = time.monotonic()
    done(small.crashes.run(small.words(verb, out, **settings, workers=workers)))
    return time.monotonic() - began


def killed_in_time(small, words, out, seconds, rng):
    """Kills the command within so many seconds; earlier if it was done by then. Returns the step it had reached."""
    while True:
        ended = small.crashes.killed_after(words, rng.uniform(0.02, 1) * seconds)
        if ended.status == KILLED:
            return last_step(out)
        assert ended.status == 0, ended.err
        shutil.rmtree(out)
        seconds *= 0.8


def epochs_of(small, settings):
    """The epoch that follows each step, from the checkpoints of a run that keeps all."""
    out = small.file("epochs")
    everything = {"save_every_steps": 1, "keep_checkpoints": 1000}
    done(small.crashes.run(small.pretrain(out, **settings | everything)))
    states = [json.loads(path.read_text())["run"] for path in out.glob("checkpoints/*/state.json")]
    shutil.rmtree(out)
    return {state["step"]: state["data"]["epoch"] for state in states}


def survives(small, verb, out, rng, workers, seconds, row, again, epochs=None):
    settings = course(verb, rng)
    words = small.words(verb, out, **settings, workers=workers)
    reached = killed_in_time(small, words, out, seconds, rng)
    row.cases += 1
    ended = done(again.run(words))
    row.recovered += 1
    row.lost(reached - ended.continued_at, INTERVAL)
    assert_same(left_by(out), small.straight(verb, **settings))
    row.identical += 1
    row.count("before the first save", ended.continued_at == 0)
    row.count("in mid run", ended.continued_at > 0 and "continuing at" in ended.err)
    if epochs:
        of = epochs[settings["short_length"]]
        row.count("across an epoch's border", of.get(reached) != of.get(ended.continued_at, 0))
    shutil.rmtree(out)


def test_a_kill_at_a_random_time(small, out, tally):
    row = tally("pretrain: SIGKILL at some random times")
    seconds = seconds_of(small, "pretrain", 0)
    for number in range(2):
        survives(small, "pretrain", out, random.Random(number), 0, seconds, row, small.crashes)


@pytest.mark.slow
@pytest.mark.parametrize("verb, first, last", [("pretrain", 0, 25), ("pretrain", 25, 50), ("finetune", 0, 20)])
def test_kills_at_random_times(small, out, tally, verb, first, last):
    row = tally(f"{verb}: SIGKILL at random times, 0 to 2 feeding workers")
    epochs = None
    if verb == "pretrain":
        epochs = {length: epochs_of(small, LONG | {"short_length": length}) for length in (16, "null")}
        assert all(len(set(of.values())) > 2 for of in epochs.values())
    seconds = [seconds_of(small, verb, workers) for workers in range(3)]
    for number in range(first, last):
        workers = WORKERS[number % len(WORKERS)]
        survives(small, verb, out, random.Random(number), workers, seconds[workers], row, small.again, epochs)
