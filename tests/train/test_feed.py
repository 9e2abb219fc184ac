"""Order: computed from the step's number alone, each sample once an epoch, equal for any workers and processes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_toys import ToySource, toy_feed, toy_settings

from pretune.core.errors import InputError, RunError
from pretune.train.feed import Feed, Phase, cut, make_feed, mean_tokens


def feed_of(num_samples, batch_size, num_steps=None, seed=0, **changes):
    return Feed((Phase(ToySource(num_samples), num_steps),), batch_size, 12, seed, **changes)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
def test_every_sample_exactly_once_an_epoch(num_samples, batch_size, seed):
    feed = feed_of(num_samples, batch_size, seed=seed)
    steps = -(-2 * num_samples // batch_size)
    seen = Counter((place.epoch, place.number) for step in range(steps) for place in feed.places(step))
    for epoch in (0, 1):
        assert {number for e, number in seen if e == epoch} == set(range(num_samples))
    assert set(seen.values()) == {1}


def test_epochs_and_seeds_have_their_own_order():
    def order(seed, epoch):
        return [place.number for place in feed_of(50, 50, seed=seed).places(epoch)]

    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_a_step_across_the_border_takes_from_both_epochs():
    epochs = [place.epoch for place in feed_of(10, 6).places(1)]
    assert epochs == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_a_step(world):
    whole = feed_of(10, 7)
    shares = [feed_of(10, 7, rank=rank, world=world) for rank in range(world)]
    for step in range(4):
        parts = [share.places(step) for share in shares]
        assert Counter(place for part in parts for place in part) == Counter(whole.places(step))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_phases_follow_each_other_with_fresh_epochs():
    settings = toy_settings(steps=10, short_length=4, max_length=8)
    feed = toy_feed(settings, num_samples=20)
    assert [phase.num_steps for phase in feed.phases] == [9, 1]
    assert [feed.places(step)[0].phase for step in (0, 8, 9)] == [0, 0, 1]
    assert feed.places(8)[-1].epoch == 2 and feed.places(9)[0].epoch == 3
    assert max(batch.source.lengths_N.max() for batch in feed.step(8, 0.0)) <= 4
    with pytest.raises(IndexError):
        feed.places(10)


def test_length_from_epochs_and_tokens():
    assert toy_feed(toy_settings(steps=None, epochs=3), 20).num_steps == 10
    assert toy_feed(toy_settings(steps=None, seconds=3), 20).num_steps is None
    feed = toy_feed(toy_settings(steps=None, tokens=3000), 20)
    given_tokens = sum(batch.num_tokens for step in range(feed.num_steps) for batch in feed.step(step, 0.0))
    assert given_tokens == pytest.approx(3000, rel=0.03)
    assert mean_tokens(ToySource(20), 0) == np.mean([2 + number % 7 for number in range(20)])


def test_cut_keeps_all_and_stays_below_the_limit():
    source = ToySource(40)
    examples = [source.example(number, 0, 0.0) for number in range(40)]
    parts = cut(examples, 12)
    assert sorted(e.origin_E[0] for part in parts for e in part) == list(range(40))
    assert all(sum(e.num_tokens for e in part) <= 12 for part in parts)
    assert [[e.num_tokens for e in part] for part in cut(examples[5:8], 1)] == [[8], [7], [2]]


def _described(steps):
    return [
        [(b.origin_E.tolist(), b.source.ids_T.tolist(), {h: t.at_MK.tolist() for h, t in b.predict.items()}) for b in s]
        for s in steps
    ]


def test_equal_for_any_number_of_workers():
    def delivered(workers, start):
        feed = feed_of(10, 6, num_steps=9, workers=workers)
        return _described(feed.steps(start, lambda step: step / 9))

    thread = delivered(0, 0)
    assert thread == _described(feed_of(10, 6).step(step, 0.0) for step in range(9))
    assert delivered(1, 0) == thread
    assert delivered(2, 4) == thread[4:]


class BrokenSource(ToySource):
    def example(self, number, epoch, progress):
        raise InputError("bad record 7")


def test_an_error_in_preparation_reaches_the_loop():
    feed = Feed((Phase(BrokenSource(5), 3),), 2, 12, 0)
    with pytest.raises(InputError, match="bad record 7"):
        next(feed.steps(0, lambda step: 0.0))


def test_a_dead_worker_is_an_error_not_a_hang(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "dying_source.py").write_text(
        "import os\nfrom train_toys import ToySource\nclass Dying(ToySource):\n"
        "    def example(self, number, epoch, progress):\n        os._exit(9)\n"
    )
    from dying_source import Dying

    with pytest.raises(RunError, match="died"):
        next(Feed((Phase(Dying(5), 3),), 2, 12, 0, workers=1).steps(0, lambda step: 0.0))


def test_state_is_the_place_and_other_data_is_refused():
    feed = feed_of(10, 6, num_steps=9)
    state = feed.state(2)
    assert state == {"fingerprint": feed.fingerprint, "seed": 0, "epoch": 1, "sample": 2}
    feed.check(state, 2)
    with pytest.raises(InputError, match="not what this run began with"):
        feed_of(11, 6, num_steps=9).check(state, 2)
    with pytest.raises(InputError, match="these settings lead to"):
        feed_of(10, 6, num_steps=9, seed=1).check(state, 2)
    feed.check(feed.state(9), 9)


def test_impossible_feeds_are_refused():
    with pytest.raises(InputError, match="no training sample"):
        feed_of(0, 2)
    with pytest.raises(InputError, match="no training sample"):
        make_feed([ToySource(0)], toy_settings(steps=None, tokens=10))
    with pytest.raises(InputError, match="without a sample"):
        feed_of(5, 2, world=3)
    with pytest.raises(InputError, match="rank 2"):
        feed_of(5, 2, rank=2, world=2)
