"""Learning curves: nested draws, intervals over draws and items, what the tables, sentences and pictures say."""

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.evaluate.chart import as_svg
from pretune.evaluate.learning_curve import (
    LearningCurve,
    class_of,
    curve_chart,
    curve_table,
    difference_table,
    draws,
    parse_sizes,
    verdicts,
)
from pretune.tasks.items import accuracy_items, spearman_items
from pretune.text.contents import contents_of
from pretune.text.records import Record

NUM_TEST = 200


def items(num_right):
    return accuracy_items(["x"] * NUM_TEST, ["x"] * num_right + ["y"] * (NUM_TEST - num_right))


def two_systems():
    """The network is far better with 16 and the same with 64."""
    found = LearningCurve("accuracy", "sentences")
    for size, network, other in [(16, (150, 156), (100, 110)), (64, (160, 170), (160, 170))]:
        for draw in range(2):
            found.add("pre-trained", size, items(network[draw]))
            found.add("majority", size, items(other[draw]))
    return found


def test_draws_of_a_seed_are_nested_and_hold_each_record_once():
    order = draws(50, 1)
    assert sorted(order.tolist()) == list(range(50)) and order.tolist() == draws(50, 1).tolist()
    assert order.tolist() != draws(50, 2).tolist()


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 5))
def test_stratified_draws_have_every_class_as_often_as_the_whole(classes, seed):
    order = draws(len(classes), seed, classes).tolist()
    assert sorted(order) == list(range(len(classes)))
    totals = Counter(classes)
    for size in range(1, len(classes) + 1):
        drawn = Counter(classes[number] for number in order[:size])
        for name, total in totals.items():
            assert abs(drawn[name] - total * size / len(classes)) <= 1.5


def test_only_single_classes_are_stratified():
    assert class_of(contents_of(Record({"text": "a", "label": 1}))) == "1"
    for row in ({"text": "a", "label": 1.5}, {"words": ["a", "b"], "tags": ["X", "Y"]}, {"text": "a"}):
        with pytest.raises(InputError, match="records of one class"):
            class_of(contents_of(Record(row)))


@pytest.mark.parametrize("text, message", [("16,x", "'x' is no number"), ("1", "not between 2"), ("99", "99 is not")])
def test_sizes_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        parse_sizes(text, 50)


def test_means_intervals_and_differences():
    found = two_systems()
    mean, over_draws = found.mean("pre-trained", 16)
    assert mean.estimate == pytest.approx(153 / NUM_TEST) and over_draws and mean.low < mean.estimate < mean.high
    assert found.scores("majority", 16) == [0.5, 0.55]
    difference = found.difference("pre-trained", "majority", 16)
    assert difference.difference.estimate == pytest.approx(48 / NUM_TEST) and difference.verdict == "beats"
    assert found.difference("pre-trained", "majority", 64).verdict == "not told apart"
    assert verdicts(found, "pre-trained") == (
        "The pre-trained model beats majority with 16; it does NOT measurably beat majority with 64 sentences.",
    )


def test_tables_have_a_row_a_size():
    table = curve_table(two_systems())
    assert table.columns == ("sentences", "draws", "pre-trained", "majority")
    assert [row[:2] for row in table.rows] == [(16, 2), (64, 2)]
    assert "over draws and test records" in table.notes[0]
    assert difference_table(two_systems(), "pre-trained").rows[0][1].startswith("+0.240 [")


def test_an_interval_over_items_alone_says_so():
    found = LearningCurve("spearman", "examples")
    for _ in range(2):
        found.add("pre-trained", 16, spearman_items([1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 4.0]))
    assert "over test records alone" in curve_table(found).notes[0]


def test_the_picture_has_a_band_for_every_system():
    chart = curve_chart(two_systems())
    svg = as_svg(chart)
    root = ElementTree.fromstring(svg)
    bands = [node for node in root.iter("polygon")]
    assert len(bands) == 2 and chart.x_scale == "log"
    low, high = chart.series[0].band[0][1:]
    places = [tuple(map(float, pair.split(","))) for pair in bands[0].attrib["points"].split()]
    assert len(places) == 4 and places[0][0] == places[-1][0] and places[0][1] < places[-1][1]
    (line,) = re.findall(r'polyline class="series series-1"[^>]*points="([^"]*)"', svg)
    first = tuple(map(float, line.split()[0].split(",")))
    assert first[0] == places[0][0] and places[0][1] < first[1] < places[-1][1]
    assert chart.numbers().rows[0][1].low == low and chart.numbers().rows[0][1].high == high
    assert np.isfinite([y for place in places for y in place]).all()


def test_two_draws_far_apart_give_no_interval_outside_the_metric():
    found = LearningCurve("accuracy", "sentences")
    for num_right in (20, 180):
        found.add("pre-trained", 16, items(num_right))
        found.add("majority", 16, items(NUM_TEST - num_right))
    (interval, over_draws), outcome = found.mean("pre-trained", 16), found.difference("pre-trained", "majority", 16)
    assert over_draws and (interval.low, interval.high) == (0.0, 1.0)
    assert (outcome.difference.low, outcome.difference.high) == (-1.0, 1.0)
