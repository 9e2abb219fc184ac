"""SIGKILL at every file operation of a run, then the same command again: nothing is lost but the steps since a save.

Examples of a step are grouped by length in every run (`train/feed.py`); the runs here also accumulate (48 tokens a
micro-batch), drop out (bert's 0.1), and change length half way.
"""

import shutil

import pytest
from crashes import KILLED, assert_same, done, last_step, left_by

from pretune.checkpoint import store

INTERVAL = 3  # save_every_steps


def killed(small, verb, out, number, torn=False):
    """A run that dies at an operation. Returns how far it had come."""
    ended = small.crashes.run(small.words(verb, out), roots=[out], at=number, torn=torn)
    assert ended.status == KILLED, f"not killed at operation {number}: {ended.status}: {ended.err}"
    return last_step(out)


def recovers(small, verb, out, reached, row, again):
    ended = done(again.run(small.words(verb, out)))
    row.recovered += 1
    row.lost(reached - ended.continued_at, INTERVAL)
    assert_same(left_by(out), small.straight(verb))
    row.identical += 1


def survives(small, verb, out, number, torn, row, again):
    row.cases += 1
    reached = killed(small, verb, out, number, torn)
    recovers(small, verb, out, reached, row, again)
    shutil.rmtree(out)


def operations(small, verb, out):
    """Every file operation of the whole command, "what path" each."""
    found = done(small.crashes.run(small.words(verb, out), roots=[out])).operations
    assert_same(left_by(out), small.straight(verb))
    shutil.rmtree(out)
    return found


def cases(found):
    """(number, torn): before each operation, and half way through each write."""
    writes = [number for number, operation in enumerate(found) if operation.startswith("write ")]
    return [(number, False) for number in range(len(found))] + [(number, True) for number in writes]


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_kill_at_some_operations(small, out, tally, verb):
    """A few of the matrix below: the first save, the rotation, and the results."""
    found = operations(small, verb, out)
    row = tally(f"{verb}: SIGKILL at some file operations")

    def numbers(*parts):
        return [number for number, operation in enumerate(found) if all(part in operation for part in parts)]

    chosen = [
        (numbers("write ", "step-3/model.safetensors")[0], True),
        (numbers("rename ", ".unfinished-step-6")[0], False),
        (numbers("remove ", ".discarded-step-3")[1], False),
        (numbers("rename ", "metrics.json.partial")[0], False),
    ]
    for number, torn in chosen if verb == "pretrain" else chosen[1:2]:
        survives(small, verb, out, number, torn, row, small.crashes)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_kill_at_every_operation(small, out, tally, verb):
    found = operations(small, verb, out)
    row = tally(f"{verb}: SIGKILL at every file operation, and half way through every write")
    row.notes.append(f"{len(found)} operations")
    for number, torn in cases(found):
        survives(small, verb, out, number, torn, row, small.again)


@pytest.mark.slow
def test_a_kill_while_a_corpus_gets_its_tables(small, tmp_path, tally):
    """The first run over a corpus keeps tables of its samples beside it."""
    row = tally("pretrain: SIGKILL while the corpus gets its tables")
    corpus, run = tmp_path / "corpus", tmp_path / "run"

    def fresh():
        shutil.rmtree(tmp_path)
        shutil.copytree(small.file("corpus"), corpus, ignore=shutil.ignore_patterns("tables"))

    fresh()
    words = small.pretrain(run, corpus=corpus, steps=2)
    found = done(small.crashes.run(words, roots=[corpus])).operations
    straight, names = left_by(run), {path.name for path in corpus.rglob("*")}
    assert len(found) > 20
    for number, torn in cases(found):
        fresh()
        row.cases += 1
        assert small.crashes.run(words, roots=[corpus], at=number, torn=torn).status == KILLED
        done(small.again.run(words))
        row.recovered += 1
        assert_same(left_by(run), straight)
        assert {path.name for path in corpus.rglob("*")} == names
        row.identical += 1


def twice(small, verb, out, first, of, second, row):
    """Killed in its second save, and the continued one before or in the same save: both in one epoch."""
    words = small.words(verb, out, **ONE_EPOCH[verb])
    row.cases += 1
    assert small.crashes.run(words, roots=[out], at=first).status == KILLED
    assert [step for step, _ in store.checkpoints(out / "checkpoints")] == [3] and last_step(out) == 6
    ended = small.again.run(words, roots=[out], at=second, of=of)
    assert ended.status == KILLED and ended.continued_at == 3, ended.err
    reached = last_step(out)
    ended = done(small.crashes.run(words))
    row.recovered += 1
    assert ended.continued_at == 3
    row.lost(reached - ended.continued_at, INTERVAL)
    assert_same(left_by(out), small.straight(verb, **ONE_EPOCH[verb]))
    row.identical += 1
    shutil.rmtree(out)


ONE_EPOCH = {"pretrain": {"batch_size": 3, "short_length": "null"}, "finetune": {"save_every_steps": 3}}
"""Settings with which steps 4 to 6 are of one epoch: 21 samples of 30 and more; 24 examples by 8."""


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_kill_twice_within_an_epoch(small, out, tally, verb):
    found = done(small.crashes.run(small.words(verb, out, **ONE_EPOCH[verb]), roots=[out])).operations
    shutil.rmtree(out)
    row = tally(f"{verb}: SIGKILL twice within one epoch")
    start = next(number for number, operation in enumerate(found) if "unfinished-step-6" in operation)
    for first in range(start, start + 8, 2):
        for of, second in (("metrics.jsonl", 3), ("metrics.jsonl", 4), ("unfinished-step-6", 3), ("rename", 1)):
            twice(small, verb, out, first, of, second, row)
