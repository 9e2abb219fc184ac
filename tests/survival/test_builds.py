"""`corpus build` and `tokenizer train`, killed anywhere and begun again: the same bytes, and nothing left behind."""

import random
import shutil
import time

import pytest
from crashes import KILLED, done, tree


def words_of(small, verb, out, *more):
    if verb == "corpus":
        place = ["--tokenizer", small.file("tokenizer"), "--out", out / "made", "--valid-fraction", 0.2]
        return ["corpus", "build", small.file("text.txt"), *place, *more]
    return [
        "tokenizer",
        "train",
        small.file("text.txt"),
        "--algorithm",
        "bpe",
        "--vocab-size",
        90,
        "--out",
        out / "made",
    ]


def straight(small, verb):
    out = small.file(f"straight-{verb}")
    if not out.exists():
        done(small.crashes.run(words_of(small, verb, out)))
    return tree(out)


def recovers(small, verb, out, words, row):
    done(small.crashes.run(words))
    row.recovered += 1
    assert tree(out) == straight(small, verb)
    assert [path.name for path in out.iterdir()] == ["made"]
    row.identical += 1
    if verb == "corpus":
        done(small.crashes.run(["corpus", "verify", out / "made"]))
    shutil.rmtree(out)


def cases(small, verb, out):
    found = done(small.crashes.run(words_of(small, verb, out), roots=[out])).operations
    assert tree(out) == straight(small, verb)
    shutil.rmtree(out)
    return [
        (number, torn)
        for number, operation in enumerate(found)
        for torn in ((False, True) if operation.startswith("write ") else (False,))
    ]


def survives(small, verb, out, number, torn, row):
    words = words_of(small, verb, out)
    row.cases += 1
    assert small.crashes.run(words, roots=[out], at=number, torn=torn).status == KILLED
    recovers(small, verb, out, words, row)


@pytest.mark.parametrize("verb", ["corpus", "tokenizer"])
def test_a_kill_at_some_operations(small, out, tally, verb):
    row = tally(f"{verb}: SIGKILL at some file operations")
    found = cases(small, verb, out)
    for number, torn in (found[3], found[len(found) // 2], found[-1]):
        survives(small, verb, out, number, torn, row)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["corpus", "tokenizer"])
def test_a_kill_at_every_operation(small, out, tally, verb):
    row = tally(f"{verb}: SIGKILL at every file operation, and half way through every write")
    for number, torn in cases(small, verb, out):
        survives(small, verb, out, number, torn, row)


@pytest.mark.slow
def test_building_by_two_processes_is_killed_at_random_times(small, out, tally):
    row = tally("corpus: SIGKILL at random times, two processes")
    words = words_of(small, "corpus", out, "--workers", 2)
    began = time.monotonic()
    done(small.crashes.run(words))
    seconds = time.monotonic() - began
    shutil.rmtree(out)
    rng = random.Random(1)
    while row.cases < 10:
        ended = small.crashes.killed_after(words, rng.uniform(0, seconds))
        if ended.status == KILLED:
            row.cases += 1
            recovers(small, "corpus", out, words, row)
        else:
            assert ended.status == 0, ended.err
            shutil.rmtree(out)
