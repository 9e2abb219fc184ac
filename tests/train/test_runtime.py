"""What training asks of the allocator and the collector, seen in page faults and frozen objects."""

import gc
import platform
import resource

import pytest
import torch

from pretune.train.runtime import in_training

ROUNDS, NUMBERS = 8, 12 << 20
"""48 MB: more than glibc would ever keep by itself."""
PAGES = NUMBERS * 4 // resource.getpagesize()


def resident():
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def faults_of_rounds():
    """Page faults of allocating, writing and freeing a block over and over."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        torch.empty(NUMBERS).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_a_step_freed_is_there_for_the_next():
    assert faults_of_rounds() > (ROUNDS - 1) * PAGES, "without it every round faults its pages in"
    with in_training(torch.device("cpu")):
        for _ in range(2):  # the heap settles: a few small objects may come to lie between the blocks
            faults_of_rounds()
        assert faults_of_rounds() < 2 * PAGES
        kept = resident()
    assert resident() < kept - NUMBERS * 3, "and it is given back afterwards"


def test_objects_that_were_there_are_left_out_of_collections_until_the_end():
    frozen = gc.get_freeze_count()
    with pytest.raises(KeyError), in_training(torch.device("cpu")):
        assert gc.get_freeze_count() > frozen + 10_000
        raise KeyError
    assert gc.get_freeze_count() == 0 == frozen
