"""What training asks of the allocator and the collector, seen in page faults and frozen objects."""

import gc
import json
import platform
import subprocess
import sys

import pytest
import torch

from pretune.train.runtime import in_training

ROUNDS = 8
MEASURE = """
import json, resource, torch
from pretune.train.runtime import in_training

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
