"""Answers as spans of a context, read from a record of any layout and checked against the text. Imports no torch.

Layouts: `answers`, a list of {"text", "start"} (or "answer_start", SQuAD's name) or the two lists {"text": [...],
"answer_start": [...]} that Hugging Face's datasets make of it; or the columns `answer` and `answer_start`, one answer a
record. No answer: an empty list, or an empty `answer`. Offsets count characters (code points), not bytes.
"""

from typing import Any

from pretune.text.offsets import Answer, offset_problem, places_of
from pretune.text.records import Record

LAYOUTS = (
    'write "answers": [{"text": ..., "start": ...}] or columns answer, answer_start; or name them: columns.answer=NAME'
)


def answers_of(record: Record) -> list[Answer]:
    """The answers of a record; [] where it says that there is none. InputError where it does not say, or says wrong.

    >>> answers_of(Record({"context": "No way!", "answers": [{"text": "way", "start": 3}]}))
    [Answer(text='way', start=3)]
    >>> answers_of(Record({"context": "No way!", "answer": "way", "answer_start": "3"}))
    [Answer(text='way', start=3)]
    >>> answers_of(Record({"context": "No way!", "answers": []}))
    []
    """
    found = [_answer(record, text, start) for text, start in _pairs(record)]
    context = record.get("context")
    for answer in found:
        if isinstance(context, str) and (problem := offset_problem(context, answer)):
            raise record.error(f"{named(record)}{problem}", "correct answer_start (in characters) or the answer")
    if found and record.get("is_impossible") is True:
        raise record.error(f"{named(record)}is_impossible, but there is an answer", "say one or the other")
    return found


def named(record: Record) -> str:
    """How an error calls a record that has an id, with a colon behind it.

    >>> named(Record({"id": "5a"})), named(Record({}))
    ("question '5a': ", '')
    """
    return f"question {record['id']!r:.80}: " if record.get("id") is not None else ""


def place_of(record: Record, answer: Answer) -> tuple[int, int]:
    """Characters [start, end) of an answer. InputError where it has no start and its text stands in several places."""
    start = answer.start
    if start is None:
        places = places_of(record["context"], answer.text)
        if len(places) != 1:
            raise record.error(
                f"{named(record)}the answer {answer.text!r:.60} stands {len(places)} times in the context",
                "say where: answer_start, in characters",
            )
        start = places[0]
    return start, start + len(answer.text)


def _pairs(record: Record) -> list[tuple[Any, Any]]:
    """(text, start) as the record has them."""
    given = record.get("answers")
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        texts, starts = given["text"], given.get("answer_start", given.get("start"))
        starts = [None] * len(texts) if starts is None else starts
        if isinstance(starts, list) and len(starts) == len(texts):
            return list(zip(texts, starts, strict=True))
    elif isinstance(given, list) and all(isinstance(each, dict) and "text" in each for each in given):
        return [(each["text"], each.get("start", each.get("answer_start"))) for each in given]
    elif given is None and "answer" in record:
        return [] if record["answer"] in (None, "") else [(record["answer"], record.get("answer_start"))]
    elif given is None and record.get("is_impossible") is True:
        return []
    what = "the answers are missing" if given is None else f"answers is {given!r:.80}, which is no list of answers"
    raise record.error(named(record) + what, LAYOUTS)


def _answer(record: Record, text: Any, start: Any) -> Answer:
    if not isinstance(text, str) or not text.strip():
        raise record.error(f"{named(record)}an answer is {text!r:.60}", "write its text; for no answer, an empty list")
    if isinstance(start, str) and start.strip().isdecimal():
        start = int(start)
    elif start in (None, ""):
        start = None
    if start is not None and type(start) is not int:
        raise record.error(f"{named(record)}answer_start is {start!r:.60}", "write a whole number of characters")
    return Answer(text, start)
