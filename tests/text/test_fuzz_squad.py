"""SQuAD JSON, damaged and altered: questions whose answers stand where they should, or an error that names the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import LONG, SHORT, altered, damaged, survives
from pretune.text.records import read_records

QUESTIONS = [
    {"id": "1", "question": "Who?", "answers": [{"text": "Zoë", "answer_start": 0}], "is_impossible": False},
    {"id": "2", "question": "Why?", "answers": [], "is_impossible": True, "plausible_answers": []},
    {"id": 3, "question": "", "answers": [{"text": "ran", "answer_start": 4}, {"text": "🙂", "answer_start": 9}]},
]
TREE = {"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "Zoë ran. 🙂", "qas": QUESTIONS}]}]}
WHOLE = [json.dumps(TREE, ensure_ascii=True).encode(), json.dumps(TREE, ensure_ascii=False, indent=1).encode()]
KEYS = ("context", "qas", "answers", "answer_start", "text", "is_impossible", "id")


def check(folder, raw):
    path = folder / "file.json"
    path.write_bytes(raw)
    strict = survives(lambda: read_records(path), f"{path}:")
    lenient = survives(lambda: read_records(path, on_error="skip"), f"{path}:")
    if strict is not None:
        assert lenient == strict
    for record in lenient or ():
        assert isinstance(record["question"], str) and record["id"] not in (None, "")
        for answer in record.get("answers", ()):
            assert record["context"].startswith(answer["text"], answer["start"]) and answer["start"] >= 0


files = st.one_of(
    damaged(WHOLE), altered(TREE, KEYS).map(lambda tree: json.dumps(tree).encode("utf-8", "surrogatepass"))
)


def test_the_whole_files_are_right(tmp_path):
    for raw in WHOLE:
        check(tmp_path, raw)
        assert len(read_records(tmp_path / "file.json")) == 3


@SHORT
@given(raw=files)
def test_fuzz(tmp_path_factory, raw):
    check(tmp_path_factory.getbasetemp(), raw)


@pytest.mark.slow
@LONG
@given(raw=files)
def test_fuzz_long(tmp_path_factory, raw):
    check(tmp_path_factory.getbasetemp(), raw)
