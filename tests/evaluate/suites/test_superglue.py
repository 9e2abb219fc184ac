"""SuperGLUE's objects as records, its official metrics by hand, its hostile files, and the answers for its server."""

import copy
import json
import random
import re

import numpy as np
import pytest

import published
from pretune.core.errors import InputError
from pretune.core.registry import find
from pretune.evaluate.suites import grouped
from pretune.evaluate.suites.standing import scores_of
from pretune.evaluate.suites.superglue_records import entity_of
from pretune.metrics.classification import macro_f1
from pretune.tasks.task import open_task
from pretune.text.choices import choices_of
from pretune.text.records import Record

PARTS = {part.name: part for part in find("pretune.evaluate.suites", "suite", "superglue").parts}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return published.superglue_files(tmp_path_factory.mktemp("superglue"))


def first(files, name, role="train", file="train"):
    return PARTS[name].layout.read(files / name / f"{file}.jsonl", role)[0]


def test_pairs(files):
    found = first(files, "BoolQ")
    assert (found["text_b"], found["label"], found["idx"]) == ("is it 0", "true", 0)
    assert set(first(files, "BoolQ", "submitted", "test")) == {"text", "text_b", "idx"}
    assert [row["label"] for row in PARTS["CB"].layout.read(files / "CB" / "val.jsonl", "scored")[:3]] == [
        "contradiction",
        "entailment",
        "neutral",
    ]
    for name in ("AX-b", "AX-g"):
        found = PARTS[name].layout.read(files / name / f"{name}.jsonl", "scored")
        assert [row["label"] for row in found[:4]] == ["entailment"] * 2 + ["not_entailment"] * 2


def test_marked_words(files):
    found = first(files, "WiC")
    assert found["text"].startswith('A "run" of ') and found["text_b"].startswith('They "ran" ')
    found = first(files, "WSC")
    assert found["text"].startswith("* Mark * told Pete that # he #, ") and found["text_b"] == "he refers to Mark"


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("he said Mark Twain is here .", ("Mark Twain", 2, "he", 0), "# he # said * Mark Twain * is here ."),
        ("The cup fell; it broke", ("the cup", 0, "it", 3), "* The cup * fell; # it # broke"),
        ("she saw him as she ran", ("him", 9, "she", 3), "she saw * him * as # she # ran"),  # both numbers are off
    ],
)
def test_spans_of_wsc(text, spans, expected):
    target = dict(zip(("span1_text", "span1_index", "span2_text", "span2_index"), spans, strict=True))
    row = Record({"text": text, "target": target, "idx": 0, "label": True})
    (found,) = PARTS["WSC"].layout.convert(row, "train")
    assert found["text"] == expected
    assert found["text_b"].lower() == f"{spans[2]} refers to {spans[0]}".lower()


def test_multirc_is_a_pair_an_answer(files):
    rows = PARTS["MultiRC"].layout.read(files / "MultiRC" / "train.jsonl", "train")
    assert len(rows) == 12 * 5 and [row["idx"] for row in rows[:6]] == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 2],
        [0, 1, 0],
        [0, 1, 1],
        [1, 0, 0],
    ]
    assert rows[0]["text"].startswith("0 ") and "<" not in rows[0]["text"] and "? " in rows[0]["text_b"]
    assert [row["label"] for row in rows[:3]] == ["false", "true", "false"]


def test_record_is_a_choice_of_entities(files):
    path = files / "ReCoRD" / "train.jsonl"
    bob, ann = PARTS["ReCoRD"].layout.read(path, "scored")[:2]
    assert bob["text"].startswith("Ann met Bob in Rome 0. Ann was ") and bob["entities"] == ["Ann", "Bob", "Rome"]
    assert [re.sub(".*saw", "saw", text) for text in bob["choices"]] == [
        f"saw {name} there" for name in bob["entities"]
    ]
    assert (bob["label"], bob["answers"], bob["idx"]) == (1, ["Bob"], 0)
    assert (ann["label"], ann["answers"], ann["idx"]) == (0, ["Ann", "Rome"], 1)
    learned = PARTS["ReCoRD"].layout.read(path, "train")[1]  # one gold entity alone, so that one choice is right
    assert (learned["entities"], learned["label"]) == (["Ann", "Bob"], 0)
    asked = PARTS["ReCoRD"].layout.read(files / "ReCoRD" / "test.jsonl", "submitted")[0]
    assert set(asked) == {"text", "idx", "entities", "choices"} and choices_of(asked).label is None


def test_a_query_without_a_wrong_entity_keeps_its_open_blank_as_one():
    row = published.record(random.Random(0), 0)
    row["passage"]["entities"] = row["passage"]["entities"][:1]
    (found,) = PARTS["ReCoRD"].layout.convert(Record(row | {"qas": row["qas"][1:]}), "scored")
    assert found["entities"] == ["Ann"] and found["choices"][1].startswith("@placeholder")
    assert choices_of(found).label == 0
    assert entity_of({"choice": 1, "scores": [0.1, 0.9]}, found) == "Ann"  # the open blank is no entity
    assert entity_of({"choice": 1}, found) == ""  # and wrong for a method without probabilities


def test_multirc_by_hand():
    """Questions: answers right and said. (1, 1, 0 said 1, 0, 0), (0, 1 said 0, 1), (0 said 1): F1a 2·2 / (3 + 3)."""
    gold = {(0, 0): "110", (0, 1): "01", (5, 0): "0"}
    said = {(0, 0): "100", (0, 1): "01", (5, 0): "1"}
    name = {"0": "false", "1": "true"}
    rows = [Record({"idx": [*at, n], "label": name[c]}) for at, each in gold.items() for n, c in enumerate(each)]
    predictions = [{"label": name[c]} for each in said.values() for c in each]
    f1a, exact = grouped.f1a(predictions, rows), grouped.exact_questions(predictions, rows)
    assert (f1a.num_items, exact.num_items) == (3, 3)
    assert f1a.metric(np.arange(3)) == pytest.approx(4 / 6) and exact.metric(np.arange(3)) == pytest.approx(1 / 3)
    assert f1a.metric(np.array([1, 1])) == 1.0 and exact.metric(np.array([0, 2])) == 0.0
    found = scores_of(PARTS["MultiRC"], open_task("pair", {"labels": ("false", "true")}), predictions, rows)
    assert (found["f1a"], found["exact_match"], found["accuracy"]) == pytest.approx((4 / 6, 1 / 3, 4 / 6))
    assert found["f1"] == pytest.approx(found["f1a"])  # over all answers, however they are grouped


def test_record_by_hand():
    """'the Obama family' against two golds: exact 0; F1 max(2·1/(2+1), 2·1/(2+2)) = 2/3. 'U.S.' equals 'US'."""
    rows = [
        Record({"entities": ["the Obama family", "Rome"], "answers": ["Obama", "Barack Obama"]}),
        Record({"entities": ["Rome", "U.S."], "answers": ["US"]}),
    ]
    said = [{"choice": 0, "scores": [0.6, 0.4]}, {"choice": 1, "scores": [0.1, 0.9]}]
    assert grouped.entity_f1(said, rows).metric(np.arange(2)) == pytest.approx((2 / 3 + 1) / 2)
    assert grouped.entity_exact_match(said, rows).metric(np.arange(2)) == pytest.approx(1 / 2)


def test_cb_and_gender_parity_by_hand():
    """CB: the plain mean of the F1 of three classes, 1, 2/3 and 0 (never said)."""
    gold = ["entailment"] * 2 + ["contradiction", "neutral"]
    said = ["entailment", "entailment", "contradiction", "contradiction"]
    assert macro_f1(gold, said) == pytest.approx((1 + 2 / 3 + 0) / 3)
    labels = ["entailment", "entailment", "entailment", "not_entailment", "not_entailment", "not_entailment"]
    found = grouped.gender_parity([{"label": label} for label in labels], [Record({})] * 6)
    assert found.num_items == 3 and found.metric(np.arange(3)) == pytest.approx(2 / 3)


def without(key):
    return lambda row: row.pop(key)


def with_(key, value):
    return lambda row: row.update({key: value})


def inside(change):
    return lambda row: change(row["passage"]["questions"][0]["answers"][0])


HOSTILE = {
    "no text": ("BoolQ", without("passage"), "no 'passage'"),
    "text is a number": ("BoolQ", with_("question", 7), "'question' is 7, not str"),
    "no idx": ("BoolQ", without("idx"), "no 'idx'"),
    "idx is text": ("CB", with_("idx", "0"), "'idx' is '0', not int"),
    "idx twice": ("RTE", with_("idx", 1), "idx 1 stands in line 1 already"),
    "no label": ("RTE", without("label"), "the label is missing"),
    "label of another set": ("RTE", with_("label", "neutral"), "label 'neutral' is none of entailment, not_entailment"),
    "label is no truth": ("WiC", with_("label", "maybe"), "label 'maybe' is none of false, true"),
    "label is no choice": ("COPA", with_("label", 2), "label '2' is none of 0, 1"),
    "word outside": ("WiC", with_("end2", 999), "the word is at 5 to 999 of"),
    "spans overlap": (
        "WSC",
        with_("target", {"span1_text": "Pete that he", "span1_index": 2, "span2_text": "he", "span2_index": 4}),
        "the noun and the pronoun overlap",
    ),
    "span nowhere": (
        "WSC",
        with_("target", {"span1_text": "Ann", "span1_index": 0, "span2_text": "he", "span2_index": 4}),
        "'Ann' stands nowhere in the text",
    ),
    "no target": ("WSC", without("target"), "no 'target'"),
    "no answers": ("MultiRC", lambda row: row["passage"]["questions"][1].pop("answers"), "no 'answers'"),
    "answer without idx": ("MultiRC", inside(without("idx")), "no 'idx'"),
    "answer's idx twice": ("MultiRC", inside(with_("idx", 1)), r"idx \[0, 0, 1\] stands in line 2 already"),
    "answer's label": ("MultiRC", inside(with_("label", 2)), "label '2' is none of 0, 1"),
    "no blank": ("ReCoRD", lambda row: row["qas"][0].update(query="nothing"), "query 0 has no @placeholder"),
    "entity outside": (
        "ReCoRD",
        lambda row: row["passage"]["entities"].append({"start": 3, "end": 999}),
        "an entity is at 3 to 999 of",
    ),
    "no entities": ("ReCoRD", lambda row: row["passage"].update(entities=[]), "the passage has no entities"),
    "answer is no entity": (
        "ReCoRD",
        lambda row: row["qas"][0].update(answers=[{"start": 0, "end": 0, "text": "Zoe"}]),
        "no answer of query 0 is an entity of its passage",
    ),
    "query's idx twice": ("ReCoRD", lambda row: row["qas"][0].update(idx=1), "idx 1 stands in line 2 already"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_named_with_their_line(tmp_path, name):
    part, change, message = HOSTILE[name]
    rng = random.Random(0)
    rows = [published.SUPERGLUE[part](rng, n) for n in (1, 0)]
    bad = copy.deepcopy(rows)
    change(bad[1])
    path = published.lines(tmp_path / "bad.jsonl", bad)
    with pytest.raises(InputError, match=rf"bad\.jsonl:2: .*{message}"):
        PARTS[part].layout.read(path, "scored")
    assert PARTS[part].layout.read(published.lines(path, rows), "scored")


def test_minimal_pairs_must_be_pairs(tmp_path):
    rng = random.Random(0)
    rows = [published.ax(rng, n, "premise", "hypothesis", f"It is {n // 2}.") for n in range(4)]
    layout = PARTS["AX-g"].layout
    assert len(layout.read(published.lines(tmp_path / "a.jsonl", rows), "scored")) == 4
    with pytest.raises(InputError, match=r"a\.jsonl:3: the last line has no other"):
        layout.read(published.lines(tmp_path / "a.jsonl", rows[:3]), "scored")
    with pytest.raises(InputError, match=r"a\.jsonl:2: another hypothesis"):
        layout.read(published.lines(tmp_path / "a.jsonl", [rows[0], *rows[2:], rows[1]]), "scored")


SAID = {
    "BoolQ": ({"label": "true"}, {"idx": 4, "label": "true"}),
    "WSC": ({"label": "false"}, {"idx": 4, "label": "False"}),
    "COPA": ({"choice": 1}, {"idx": 4, "label": 1}),
    "AX-b": ({"label": "not_entailment"}, {"idx": 4, "label": "not_entailment"}),
}


@pytest.mark.parametrize("name", SAID)
def test_answers_for_the_server(name):
    prediction, expected = SAID[name]
    (answers,) = PARTS[name].submitted.values()
    assert json.loads(answers.write([prediction], [Record({"idx": 4})])) == expected


def test_answers_of_multirc_and_record():
    rows = [Record({"idx": idx}) for idx in ([0, 0, 0], [0, 0, 1], [0, 1, 0], [7, 0, 0])]
    said = [{"label": label} for label in ("true", "false", "false", "true")]
    found = PARTS["MultiRC"].submitted["MultiRC.jsonl"].write(said, rows).splitlines()
    assert [json.loads(line) for line in found] == [
        {
            "idx": 0,
            "passage": {
                "questions": [
                    {"idx": 0, "answers": [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]},
                    {"idx": 1, "answers": [{"idx": 0, "label": 0}]},
                ]
            },
        },
        {"idx": 7, "passage": {"questions": [{"idx": 0, "answers": [{"idx": 0, "label": 1}]}]}},
    ]
    row = Record({"idx": 3, "entities": ["Zoë", "Bob"]})
    said = [{"choice": 0, "scores": [0.7, 0.3]}]
    assert PARTS["ReCoRD"].submitted["ReCoRD.jsonl"].write(said, [row]) == '{"idx": 3, "label": "Zoë"}\n'
