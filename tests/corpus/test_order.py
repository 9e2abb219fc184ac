"""The order of an epoch: a permutation, everywhere at once, well spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from pretune.core.randomness import derive_key
from pretune.corpus.order import shuffled
from timing import fastest


@given(st.integers(1, 3000), st.integers(0, 2**128 - 1))
def test_bijection(num_samples: int, key: int) -> None:
    order = shuffled(np.arange(num_samples), num_samples, key)
    assert np.array_equal(np.sort(order), np.arange(num_samples))
    some = range(0, num_samples, 1 + num_samples // 10)
    assert [shuffled(place, num_samples, key) for place in some] == order[list(some)].tolist()


@given(st.integers(1, 2**62), st.integers(0, 2**128 - 1), st.data())
def test_one_place_equals_many(num_samples: int, key: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, num_samples - 1), max_size=4))
    many = shuffled(np.array(places, np.int64), num_samples, key)
    assert many.tolist() == [shuffled(place, num_samples, key) for place in places]
    assert all(0 <= number < num_samples for number in many)


def test_seek_is_immediate_and_needs_no_memory() -> None:
    key = derive_key(1, "order", 0)
    assert 0 <= shuffled(10**9, 3 * 10**9, key) < 3 * 10**9
    assert fastest(lambda: shuffled(10**9, 3 * 10**9, key)) < 0.01


@pytest.mark.parametrize("num_samples", [4, 10, 23])
def test_every_number_is_as_likely_at_every_place(num_samples: int) -> None:
    orders = np.array([shuffled(np.arange(num_samples), num_samples, derive_key(3, epoch)) for epoch in range(3000)])
    for place in (0, 1, num_samples - 1):
        assert chisquare(np.bincount(orders[:, place], minlength=num_samples)).pvalue > 1e-4


def test_neighbours_are_spread() -> None:
    order = shuffled(np.arange(100_000), 100_000, derive_key(5))
    gaps = np.abs(np.diff(order))
    assert abs(gaps.mean() - 100_000 / 3) < 500  # of two uniform numbers in [0, n): n / 3
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.arange(100_000), order)[0, 1]) < 0.02


def test_keys_give_other_orders_and_bad_places_are_refused() -> None:
    a, b = (shuffled(np.arange(1000), 1000, derive_key(7, epoch)) for epoch in (0, 1))
    assert (a == b).mean() < 0.02
    for place, num_samples in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(ValueError):
            shuffled(place, num_samples, 1)
    with pytest.raises(ValueError):
        shuffled(np.array([0, 5]), 5, 1)
