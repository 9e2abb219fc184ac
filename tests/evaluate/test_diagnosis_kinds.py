"""What pages show of several labels, choices, answers and values: figures by hand, drawings well-formed and escaped."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pretune.evaluate.chart import Chart
from pretune.evaluate.diagnosis import diagnose
from pretune.evaluate.report import Report, as_html
from pretune.evaluate.scatter import MAX_DOTS, Scatter, as_svg, tenths
from pretune.tasks.task import open_task
from pretune.text.records import Record

EVIL = '<script>alert("x")</script>'


def shown(task, predictions, records, overall=0.5):
    found = diagnose(task, predictions, records, records[:3], overall, rng=np.random.default_rng(1))
    page = as_html(Report("t", found.sections))
    assert "<script" not in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(drawing)
    return found, {section.title: section for section in found.sections}


def several():
    """60 texts: the label a is always found; b is on every other, given to every third with 0.6."""
    records, predictions = [], []
    for n in range(60):
        records.append(Record({"text": f"text {n}", "label": ["a", "b"] if n % 2 else ["a"]}, "t.jsonl", n + 1))
        b = 0.6 if n % 3 == 0 else 0.1
        given = ["a", "b"] if b > 0.5 else ["a"]
        predictions.append({"labels": [{"label": label} for label in given], "scores": {"a": 0.9, "b": b}})
    task = open_task("classify", {"multi_label": True}).fit_labels(records)
    return task, predictions, records


def test_several_labels_have_a_confusion_each_and_one_calibration():
    found, sections = shown(*several())
    # b: gold on 30 (odd n), given to 20 (n % 3 == 0), both on 10
    assert sections["By label"].rows == (
        ("a", 60, 60, 0, 0, 0, 1.0, 1.0, 1.0),
        ("b", 30, 10, 10, 20, 20, 0.5, 1 / 3, 0.4),
    )
    # decisions: a 60 right at 0.9; b "yes" 20 at 0.6 of which 10 right; b "no" 40 at 0.9 of which 20 right
    assert found.calibration["share_right"] == pytest.approx(90 / 120)
    assert found.calibration["mean_confidence"] == pytest.approx((100 * 0.9 + 20 * 0.6) / 120)
    assert found.calibration["expected_calibration_error"] == pytest.approx((100 * 0.1 + 20 * 0.1) / 120)
    assert "Decisions on all labels by confidence" in sections["Calibration"].notes[1]
    assert sections["Most confident mistakes"].rows[0][:3] == (pytest.approx(0.9), "yes", "no")
    assert sections["Most confident mistakes"].rows[0][3].startswith("b: text")
    assert "Confusion matrix" not in sections


def choices():
    """60 records of two or three choices; right on those whose gold choice is the first."""
    records, predictions = [], []
    for n in range(60):
        texts = ["one", "two", EVIL][: 2 + n % 2]
        label = n // 2 % 2
        records.append(Record({"text": f"text {n}", "choices": texts, "label": label}, "t.jsonl", n + 1))
        predictions.append({"choice": 0, "text": "one", "score": 0.75})
    return open_task("choose"), predictions, records


def test_choices_have_calibration_and_slices_of_their_own():
    found, sections = shown(*choices())
    assert found.calibration["share_right"] == 0.5 and found.calibration["mean_confidence"] == 0.75
    told = {(one["by"], one["slice"]): one for one in found.slices}
    assert (told["choices", "2"]["examples"], told["choices", "3"]["examples"]) == (30, 30)
    assert told["place of the right choice", "1."]["score"] == 1.0
    assert told["place of the right choice", "2."]["score"] == 0.0
    assert sections["Most confident mistakes"].rows[0][1:3] == ("two", "one")
    assert "Confusion matrix" not in sections


def answers():
    """60 questions, a third without an answer; "who" questions are right, by another article than the gold answer."""
    records, predictions = [], []
    for n in range(60):
        context = f"In {1900 + n} the Rhine rose{' very much' * (n % 4)}."
        asked = "who rose" if n % 2 else f"what {EVIL}"
        gold = [] if n % 3 == 2 else [{"text": "the Rhine", "start": context.index("the Rhine")}]
        records.append(Record({"question": asked, "context": context, "answers": gold}, "t.jsonl", n + 1))
        said = ("Rhine" if n % 2 else "In") if gold else "" if n % 2 else "rose"
        predictions.append({"answer": said, "start": 0, "end": 0, "score": 0.8, "null_odds": 0.0})
    task = open_task("answer", {"metric": "exact_match"}).fit_labels(records)
    return task, predictions, records


def test_answers_have_calibration_and_slices_of_their_own():
    found, sections = shown(*answers())
    assert found.calibration["share_right"] == 0.5 and found.calibration["mean_confidence"] == pytest.approx(0.8)
    told = {(one["by"], one["slice"]): one for one in found.slices}
    assert told["question word", "who"]["score"] == 1.0 and told["question word", "what"]["score"] == 0.0
    assert (told["answer", "has an answer"]["examples"], told["answer", "has none"]["examples"]) == (40, 20)
    assert sum(one["examples"] for (by, _), one in told.items() if by == "words of the context") == 60
    assert sum(one["examples"] for (by, _), one in told.items() if by == "words of the answer") == 40
    mistakes = sections["Most confident mistakes"].rows
    assert {row[1:3] for row in mistakes} == {("the Rhine", "In"), ("(no answer)", "rose")}


def values(number=100):
    records = [Record({"text": f"text {n}", "label": n}, "t.tsv", n + 2) for n in range(number)]
    predictions = [{"value": number / 2 + 0.5 * (n - number / 2)} for n in range(number)]
    predictions[-1] = {"value": -50.0}
    return open_task("regress").fit_labels(records), predictions, records


def test_values_are_drawn_against_the_true_ones():
    found, sections = shown(*values())
    scatter, chart = sections["Predicted against true values"], sections["Error by true value"]
    svg = as_svg(scatter)
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"><title>true ([\d.]+), predicted ([-\d.]+)<', svg)
    assert len(dots) == 100 and dots[0][2:] == ("0", "25")
    assert float(dots[0][0]) < float(dots[50][0]) and float(dots[0][1]) > float(dots[50][1])
    assert isinstance(chart, Chart) and len(chart.series[0].points) == 10
    first, last = chart.series[0].points[0], chart.series[0].points[-2]
    assert first == (4.5, pytest.approx(22.75)) and last == (84.5, pytest.approx(-17.25))
    table = scatter.numbers()
    assert table.rows[0][:3] == ("0 to 9", 10, pytest.approx(22.75)) and sum(row[1] for row in table.rows) == 100
    worst = sections["Largest errors"].rows[0]
    assert worst[:3] == (-149.0, 99.0, -50.0) and worst[4] == "t.tsv:101"
    assert found.calibration == {}


def test_many_values_are_thinned_and_equal_ones_stay_together():
    found, sections = shown(*values(3 * MAX_DOTS))
    scatter = sections["Predicted against true values"]
    assert as_svg(scatter).count("<circle") == MAX_DOTS and "1,000 of 3,000" in scatter.notes[1]
    same = np.array([1.0] * 50 + [2.0] * 50)
    assert [len(part) for part in tenths(same)] == [50, 50]
    assert [len(part) for part in tenths(np.ones(7))] == [7]
    ElementTree.fromstring(as_svg(Scatter("t", np.ones(3), np.ones(3))))
