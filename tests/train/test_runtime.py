"""What training asks of the allocator and the collector, seen in page faults and frozen objects."""

import gc
import json
import platform
import subprocess
import sys

import pytest
import torch

from pretune.train import runtime
from pretune.train.runtime import SLACK_BYTES, in_training

ROUNDS = 8
MEASURE = """
import json, resource, torch
from pretune.train import runtime
from pretune.train.runtime import SLACK_BYTES, in_training

numbers = 12 << 20  # 48 MB: more than glibc would ever keep by itself
pages = numbers * 4 // resource.getpagesize()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        torch.empty(numbers).fill_(1.0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / pages

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) / pages

told = {"without": faults()}
with in_training(torch.device("cpu")):
    for _ in range(2):  # the heap settles: a few small objects may come to lie between the blocks
        faults()
    told |= {"within": faults(), "kept": resident()}
print(json.dumps(told | {"left": resident()}))
"""
"""In blocks: page faults of allocating, writing and freeing a block over and over, and what is in memory."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_a_step_freed_is_there_for_the_next():
    """In a process of its own: the heap that other tests leave may hold such a block already."""
    code = MEASURE.replace("ROUNDS", str(ROUNDS))
    told = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert told["without"] > ROUNDS - 1, "without it every round faults its pages in"
    assert told["within"] < 2
    assert told["left"] < told["kept"] - 0.75, "and it is given back afterwards"


def test_objects_that_were_there_are_left_out_of_collections_until_the_end():
    frozen = gc.get_freeze_count()
    with pytest.raises(KeyError), in_training(torch.device("cpu")):
        assert gc.get_freeze_count() > frozen + 10_000
        raise KeyError
    assert gc.get_freeze_count() == 0 == frozen


GROWING = """
import json, random, torch
from pretune.train import runtime

random.seed(0)
pins, held = [], []
with runtime.in_training(torch.device("cpu")) as heap:
    for step in range(400):
        size = random.uniform(0.3, 1.0)
        blocks = [torch.empty(int(size * random.randrange(1 << 16, 1 << 22))).fill_(1.0) for _ in range(6)]
        pins.append(torch.empty(random.randrange(3000, 30_000)).fill_(1.0))  # stays, and lies above them
        del blocks
        if TOLD:
            heap.after_step()
        held.append(runtime.own_bytes())
print(json.dumps({"first": max(held[:10]), "last": held[-1], "most": max(held)}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_what_unequal_steps_leave_does_not_pile_up():
    """Without it, this process comes to hold several times what its steps need."""
    told, untold = (
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for code in (GROWING.replace("TOLD", "True"), GROWING.replace("TOLD", "False"))
    )
    assert untold["most"] > 1.5 * untold["first"], "the heap does not grow here, so nothing is shown"
    assert told["most"] < 1.15 * untold["first"] + SLACK_BYTES


class Libc:
    """Counts what it is asked to give back."""

    def __init__(self):
        self.times = 0

    def malloc_trim(self, _):
        self.times += 1


@pytest.mark.parametrize(
    ("held", "trims"),
    [
        ([500, 900, 1000, 1090, 1010, 1095], 0),  # within a tenth
        ([500, 900, 1000, 1200, 1010, 1090, 1140], 2),  # grown; then less again; then more again
        ([500, 900, 1000, 1200, 1200, 1290, 1300, 1310], 1),  # steps need more now: asked once
        ([500, 900, 1000, 1200, 1200, 1200, 1400, 1400, 1400], 2),
    ],
)
def test_memory_is_given_back_where_the_process_has_grown_by_a_tenth(monkeypatch, held, trims):
    monkeypatch.setattr(runtime, "SLACK_BYTES", 0)
    told = iter(held)
    monkeypatch.setattr(runtime, "own_bytes", lambda: next(told))
    libc = Libc()
    heap = runtime.Heap(libc)
    for _ in held:
        heap.after_step()
    assert libc.times == trims


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(runtime, "own_bytes", lambda: pytest.fail("nothing can be done, so nothing is looked at"))
    runtime.Heap(None).after_step()
