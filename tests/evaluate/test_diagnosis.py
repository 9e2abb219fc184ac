"""Confusion, calibration, slices and confident mistakes: the figures by hand, the drawings well-formed and escaped."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pretune.evaluate.diagnosis import diagnose
from pretune.evaluate.forest import Forest
from pretune.evaluate.forest import as_svg as forest_svg
from pretune.evaluate.judgements import judgements
from pretune.evaluate.matrix import MAX_CLASSES, matrix_of
from pretune.evaluate.matrix import as_svg as matrix_svg
from pretune.evaluate.report import Report, as_html
from pretune.evaluate.slices import FEW, by_length, by_overlap
from pretune.tasks.task import open_task
from pretune.text.contents import contents_of
from pretune.text.records import Record

EVIL = '<script>alert("x")</script>'


def rng():
    return np.random.default_rng(1)


def case():
    """40 test rows: of the 20 short ones 15 are right, of the 20 long ones 5; of the latter, 10 are in training."""
    train = [
        Record({"text": f"long text with many words {n}", "label": "ab"[n % 2]}, "train.csv", n + 2) for n in range(10)
    ]
    texts = [*("short one" for _ in range(20)), *(f"long text with many words {n}" for n in range(20))]
    records = [Record({"text": f"{text}", "label": "ab"[n % 2]}, "test.csv", n + 2) for n, text in enumerate(texts)]
    predictions = []
    for n, record in enumerate(records):
        is_right = n < 15 or 20 <= n < 25
        label = record["label"] if is_right else {"a": "b", "b": "a"}[record["label"]]
        predictions.append({"label": label, "score": 0.9 if n != 39 else 0.99})
    return train, records, predictions, open_task("classify").fit_labels(records)


def test_slices_are_the_scores_of_their_rows():
    train, records, predictions, task = case()
    found = diagnose(task, predictions, records, train, 0.5, rng=rng())
    told = {one["slice"]: one for one in found.slices}
    assert (told["up to 2"]["examples"], told["up to 2"]["score"]) == (20, 0.75)
    assert (told["3 to 6"]["examples"], told["3 to 6"]["score"]) == (20, 0.25)
    assert (told["the same row"]["examples"], told["the same row"]["score"]) == (10, 0.5)
    assert told["a"]["score"] == sum(predictions[n]["label"] == "a" for n in range(0, 40, 2)) / 20
    assert all(one["low"] <= one["score"] <= one["high"] for one in found.slices if "score" in one)
    assert told["a"]["low"] < told["a"]["high"]


def test_calibration_is_that_of_the_predictions():
    train, records, predictions, task = case()
    figures = diagnose(task, predictions, records, train, 0.5, rng=rng()).calibration
    assert figures["share_right"] == 0.5
    assert figures["mean_confidence"] == pytest.approx((39 * 0.9 + 0.99) / 40)
    # two bins: (0.8, 0.9] with 39 predictions, 20 right; (0.9, 1.0] with one, wrong
    assert figures["expected_calibration_error"] == pytest.approx((39 * (0.9 - 20 / 39) + 0.99) / 40)


def test_the_most_confident_mistake_comes_first_with_its_line():
    train, records, predictions, task = case()
    records[39]["text"] = EVIL
    found = diagnose(task, predictions, records, train, 0.5, rng=rng())
    mistakes = found.sections[-1]
    assert mistakes.title == "Most confident mistakes"
    assert mistakes.rows[0] == (0.99, "b", "a", EVIL, "test.csv:41")
    page = as_html(Report("t", found.sections))
    assert "<script" not in page and "&lt;script&gt;" in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(drawing)
    assert len(re.findall("<svg", page)) == 4


def test_confusions_are_counted_by_row_and_column():
    matrix = matrix_of([("cat", "dog"), ("cat", "dog"), ("dog", "dog"), ("dog", "cow")])
    assert matrix.labels == ("cat", "cow", "dog")
    assert matrix.counts == ((0, 0, 2), (0, 0, 0), (0, 1, 1))
    svg = matrix_svg(matrix)
    assert "cat as dog: 2 of 2" in svg and "dog as cow: 1 of 2" in svg


def test_many_classes_are_capped_and_the_rest_is_said():
    pairs = [(f"c{n:02}", f"c{n:02}") for n in range(30) for _ in range(30 - n)]
    matrix = matrix_of(pairs)
    assert len(matrix.labels) == MAX_CLASSES and matrix.labels[-1] == "others"
    assert sum(map(sum, matrix.counts)) == len(pairs)
    assert matrix.counts[-1][-1] == sum(30 - n for n in range(MAX_CLASSES - 1, 30))
    assert "the other 16" in matrix.notes[1] and "right or wrong" in matrix.notes[2]
    assert matrix_svg(matrix).count('class="right"') == MAX_CLASSES - 1


def test_names_in_drawings_are_escaped():
    svg = matrix_svg(matrix_of([(EVIL, "b"), ("b", EVIL)]))
    assert "<script" not in svg
    ElementTree.fromstring(svg)


def test_lengths_part_the_rows():
    for lengths in ([1], [3, 3, 3], [0, 0, 1, 2, 2, 9], list(range(100))):
        parts = [rows.tolist() for _, rows in by_length(np.array(lengths))]
        assert sorted(sum(parts, [])) == list(range(len(lengths)))
        assert all(parts)


def test_overlap_parts_the_rows():
    train = [Record({"text": "the cat sat on a mat"})]
    rows = ["The cat sat on a mat!", "a cat sat", "the cat sat there", "dogs bark", "!"]
    found = {
        name: part.tolist() for name, part in by_overlap([Record({"text": row}) for row in rows], train, contents_of)
    }
    assert found == {
        "the same row": [0],
        "every word seen": [1, 4],
        "75 % of words or more": [2],
        "fewer words": [3],
    }


def test_few_records_have_no_interval():
    train, records, predictions, task = case()
    found = diagnose(task, predictions[: FEW - 1], records[: FEW - 1], train, 1.0, rng=rng())
    assert all("score" not in one for one in found.slices)
    forest = next(section for section in found.sections if isinstance(section, Forest))
    assert "too few" in forest_svg(forest)
    ElementTree.fromstring(forest_svg(forest))


def test_tags_are_judged_word_by_word():
    record = Record({"words": ["Anna", "ran"], "tags": ["B-PER", "O"]}, "t.conll", 1)
    guess = [{"word": "Anna", "entity": "O", "score": 0.75}, {"word": "ran", "entity": "O", "score": 0.5}]
    first, second = judgements([guess], [record], contents_of)
    assert (first.gold, first.predicted, first.word, first.is_right, second.is_right) == (
        "B-PER",
        "O",
        "Anna",
        False,
        True,
    )


def test_values_have_slices_and_no_classes():
    texts = [f"{'word ' * (n % 7 + 1)}{n}" for n in range(40)]
    records = [Record({"text": text, "label": n / 3}, "t.tsv", n + 2) for n, text in enumerate(texts)]
    task = open_task("regress").fit_labels(records)
    found = diagnose(task, [{"value": float(n)} for n in range(40)], records, records[:5], 1.0, rng=rng())
    assert found.calibration == {} and [type(section).__name__ for section in found.sections] == [
        "Scatter",
        "Forest",
        "Table",
    ]
    assert {one["by"] for one in found.slices} == {"length in words", "seen in training"}
    assert all(one["score"] == pytest.approx(1.0) for one in found.slices if "score" in one)
