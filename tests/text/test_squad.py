"""SQuAD JSON and answers in tables: questions with their answers, or errors that say which question and what to do."""

import gzip
import json
from collections import Counter

import pytest

from pretune.core.errors import InputError
from pretune.text.answers import Answer, answers_of, place_of
from pretune.text.records import Record, read_records

CONTEXT = "Zoë ran. 🙂 The cat saw Zoë."


def question(number="q1", **changes):
    return {"id": number, "question": "Who ran?", "answers": [{"text": "Zoë", "answer_start": 0}]} | changes


def file_of(path, *questions, context=CONTEXT, **changes):
    tree = {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}
    path.write_text(json.dumps(tree | changes), "utf-8")
    return path


def test_questions_become_records(tmp_path):
    last = {"id": 7, "question": "Why?"}
    none = question("q2", answers=[], is_impossible=True, plausible_answers=[{"text": "x", "answer_start": 1}])
    path = file_of(tmp_path / "dev.json", question(), none, last)
    records = read_records(path)
    assert records == [
        {
            "id": "q1",
            "title": "T",
            "context": CONTEXT,
            "question": "Who ran?",
            "answers": [{"text": "Zoë", "start": 0}],
        },
        {"id": "q2", "title": "T", "context": CONTEXT, "question": "Who ran?", "answers": []},
        {"id": 7, "title": "T", "context": CONTEXT, "question": "Why?"},
    ]
    assert [(record.path, record.line) for record in records] == [(str(path), number) for number in (1, 2, 3)]
    assert answers_of(records[0]) == [Answer("Zoë", 0)] and answers_of(records[1]) == []
    with pytest.raises(InputError, match=r"dev.json:3: question 7: the answers are missing"):
        answers_of(records[2])
    packed = tmp_path / "dev.json.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
    assert read_records(packed) == records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"answers": [{"text": "cat", "answer_start": 14}]},
            r"'cat' is said to stand at 14, where the context has ' ca'; it stands at 15",
        ),
        ({"answers": [{"text": "Zoë", "answer_start": 1}]}, r"is said to stand at 1, where the context has 'oë '\)"),
        ({"answers": [{"text": "dog", "answer_start": 400}]}, r"where the context has nothing; it stands nowhere"),
        ({"answers": [{"text": "Zoë", "answer_start": -4}]}, r"at -4, where the context has nothing"),
        ({"answers": [{"text": "Zoë"}]}, r"answer_start is None, not a whole number"),
        ({"answers": [{"text": "Zoë", "answer_start": True}]}, r"answer_start is True"),
        ({"answers": [{"text": " ", "answer_start": 3}]}, r"the text of an answer is ' '"),
        ({"answers": ["Zoë"]}, r"an answer is a str, not an object"),
        ({"answers": {"text": ["Zoë"]}}, r"answers is a dict, not a list"),
        ({"is_impossible": True}, r"is_impossible, with 1 answers"),
        ({"is_impossible": False, "answers": []}, r"said to have an answer, and has none"),
        ({"is_impossible": "no"}, r"is_impossible is 'no'"),
        ({"question": None}, r"its question is nothing, not text"),
    ],
)
def test_questions_at_fault(tmp_path, changes, message):
    path = file_of(tmp_path / "dev.json", question("q1"), question("q2", **changes), question("q3"))
    with pytest.raises(InputError, match=rf"dev.json:2: .*question 'q2': .*{message}"):
        read_records(path)
    skipped = Counter()
    kept = read_records(path, on_error="skip", skipped=skipped)
    assert [record["id"] for record in kept] == ["q1", "q3"] and skipped.total() == 1


def test_ids_are_there_once(tmp_path):
    with pytest.raises(InputError, match=r"dev.json:2: id twice \(question 'q1'"):
        read_records(file_of(tmp_path / "dev.json", question(), question()))
    with pytest.raises(InputError, match=r"dev.json:1: .*question 'data\[0\].paragraphs\[0\].qas\[0\]': it has no id"):
        read_records(file_of(tmp_path / "dev.json", question(None)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "a list, not an object"),
        ('{"rows": []}', "data is nothing, not a list"),
        ('{"data": [3]}', r"data\[0\] is a int, not an object"),
        (
            '{"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}',
            r"data\[0\].paragraphs\[0\].context is a int, not text",
        ),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', r"data\[0\].paragraphs\[0\].qas is nothing, not a list"),
        ('{"data": [], "data": []}', "stands twice"),
        ('{"data": NaN}', "NaN"),
        ('{"data": "\\ud800"}', "half a surrogate pair"),
        ('{"text": "a"}\n{"text": "b"}', "Extra data"),
        (b'{"data": "\xff"}', "invalid UTF-8 at byte 10"),
    ],
)
def test_what_is_no_squad_file(tmp_path, text, message):
    path = tmp_path / "dev.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"dev.json: not SQuAD JSON \(.*{message}.*jsonl"):
        read_records(path)
    with pytest.raises(InputError, match="no such file"):
        read_records(tmp_path / "none.json")


def test_a_file_without_questions_is_empty(tmp_path):
    with pytest.raises(InputError, match="dev.json:1: empty file"):
        read_records(file_of(tmp_path / "dev.json"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"answers": [{"text": "cat", "start": 15}, {"text": "Zoë"}]}, [Answer("cat", 15), Answer("Zoë")]),
        ({"answers": {"text": ["cat"], "answer_start": [15]}}, [Answer("cat", 15)]),
        ({"answers": {"text": [], "answer_start": []}}, []),
        ({"answer": "cat", "answer_start": "15"}, [Answer("cat", 15)]),
        ({"answer": "cat", "answer_start": ""}, [Answer("cat")]),
        ({"answer": "", "answer_start": ""}, []),
        ({"answer": None}, []),
        ({"is_impossible": True}, []),
    ],
)
def test_layouts_of_tables(row, expected):
    assert answers_of(Record({"context": CONTEXT} | row)) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "the answers are missing: write"),
        ({"answers": "cat"}, "'cat', which is no list of answers"),
        ({"answers": {"text": ["cat"], "answer_start": [1, 2]}}, "no list of answers"),
        ({"answer": "cat", "answer_start": 2}, "said to stand at 2.*it stands at 15"),
        ({"answer": "cat", "answer_start": 2.5}, "answer_start is 2.5"),
        ({"answer": 3, "answer_start": 2}, "an answer is 3"),
        ({"answer": "cat", "answer_start": 15, "is_impossible": True}, "say one or the other"),
    ],
)
def test_tables_at_fault(row, message):
    with pytest.raises(InputError, match=rf"train.csv:4: question 5: .*{message}"):
        answers_of(Record({"context": CONTEXT, "id": 5} | row, "train.csv", 4))


def test_an_answer_without_a_place_must_stand_once():
    record = Record({"context": CONTEXT}, "train.csv", 4)
    assert place_of(record, Answer("cat")) == (15, 18)
    with pytest.raises(InputError, match="train.csv:4: the answer 'Zoë' stands 2 times"):
        place_of(record, Answer("Zoë"))
    with pytest.raises(InputError, match="stands 0 times"):
        place_of(record, Answer("dog"))
