"""The order of samples as a whole: the same for any workers and processes, each sample once an epoch, found at once."""

import statistics
import time

import pytest
from train_toys import ToySource

from pretune.train.feed import Feed, Phase

SIZES = [1, 2, 3, 31, 64, 97, 127, 128, 129, 1021, 4096]  # one, two, primes, powers of two and beside them


def feed_of(num_samples, batch_size, num_steps=None, **changes):
    return Feed((Phase(ToySource(num_samples), num_steps),), batch_size, 40, 5, **changes)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("num_samples", SIZES)
def test_the_processes_together_see_every_sample_once_an_epoch(num_samples, world):
    batch_size = max(world, 7)
    feeds = [feed_of(num_samples, batch_size, rank=rank, world=world) for rank in range(world)]
    seen = []
    for step in range(-(-2 * num_samples // batch_size)):
        parts = [feed.places(step) for feed in feeds]
        seen += [parts[position % world][position // world] for position in range(batch_size)]
    for epoch in (0, 1):
        places = seen[epoch * num_samples : (epoch + 1) * num_samples]
        assert sorted(place.number for place in places) == list(range(num_samples))
        assert {place.epoch for place in places} == {epoch}


def delivered(world, workers):
    """The sequence of samples as the loops of all processes get them, a list a step, in order of the step's places."""
    feeds = [feed_of(23, 8, 7, rank=rank, world=world, workers=workers) for rank in range(world)]
    steps = []
    for step, batches_of_rank in enumerate(zip(*(feed.steps(0, lambda _: 0.0) for feed in feeds), strict=True)):
        got = {}
        for feed, batches in zip(feeds, batches_of_rank, strict=True):
            numbers = sorted(number for batch in batches for number in batch.origin_E.tolist())
            places = feed.places(step)
            assert numbers == sorted(place.number for place in places)
            got |= dict(zip(range(feed.rank, 8, world), places, strict=True))
        steps.append([(got[position].epoch, got[position].number) for position in range(8)])
    return steps


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "world, workers",
    [(2, 0), (4, 0), *(pytest.param(world, workers, marks=slow) for world in (1, 2, 4) for workers in (1, 2))],
)
def test_the_sequence_is_equal_for_any_workers_and_processes(world, workers):
    assert delivered(world, workers) == delivered(1, 0)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_sample_a_milliard_is_sought_in_less_than_ten_milliseconds(batch_size):
    """From nothing: a new feed, the places of its step. A tenth of a millisecond a sample or less was seen."""
    seconds = []
    for _ in range(21):
        feed = feed_of(3 * 10**9, batch_size)
        began = time.perf_counter()
        places = feed.places(10**9 // batch_size)
        seconds.append(time.perf_counter() - began)
    assert len(places) == batch_size and all(0 <= place.number < 3 * 10**9 for place in places)
    assert statistics.median(seconds) < 0.01
