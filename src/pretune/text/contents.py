"""What a labelled record holds, whatever its task: the texts a model reads and the gold labels.

A check of the data needs no more than this of a task (`tasks.task.Task.contents`); without a task it is guessed from
the usual columns.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pretune.text.labels import label_name
from pretune.text.records import Record

Gold = Literal["classes", "positions", "values", "texts"]
"""What gold labels are: names of classes, numbers of choices (which mean nothing by themselves), values, or answers."""
COUNTED: tuple[Gold, ...] = ("classes", "positions")

TEXT_COLUMNS = ("text", "text_b", "question", "context", "words", "choices")
GOLD_COLUMNS = ("label", "labels", "tags", "answers", "answer")
ANSWER_COLUMNS = ("answers", "answer")


@dataclass(frozen=True)
class Contents:
    """texts: what is read, in order; None where a text is missing. labels: gold labels as they stand in the file, one
    or (tags, several labels) more. gold: what these are. labelled: the row says what they are, if only that there is
    none."""

    texts: tuple[str | None, ...]
    labels: tuple[Any, ...]
    gold: Gold = "classes"
    labelled: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(label_name, self.labels))


def contents_of(record: Record, columns: Sequence[str] = (), gold: Gold | None = None) -> Contents:
    """columns: those that hold texts; none: the usual ones that the record has. gold: None where it is not known.

    >>> contents_of(Record({"text": "fine", "label": 1}))
    Contents(texts=('fine',), labels=(1,), gold='classes', labelled=True)
    >>> contents_of(Record({"words": ["Anna", "ran"], "tags": ["B-PER", "O"]}))
    Contents(texts=('Anna ran',), labels=('B-PER', 'O'), gold='classes', labelled=True)
    >>> contents_of(Record({"text": "a", "choices": ["b", "c"], "label": 0.5}), gold="values")
    Contents(texts=('a', 'b', 'c'), labels=(0.5,), gold='values', labelled=True)
    """
    present = columns or [name for name in TEXT_COLUMNS if name in record]
    if not columns and "words" in present and "text" in present:
        present = [name for name in present if name != "text"]
    texts = tuple(text for name in present for text in _texts(name, record.get(name)))
    column = next((name for name in GOLD_COLUMNS if record.get(name) is not None), None)
    if column is None or (record[column] == "" and column != "answer"):
        return Contents(texts, (), gold or "classes", labelled=False)
    labels = _labels(column, record[column])
    return Contents(texts, labels, gold or _guess(column, labels))


def _texts(name: str, value: Any) -> Iterable[str | None]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return (" ".join(value),) if name == "words" else tuple(value)
    return (None,)


def _labels(column: str, value: Any) -> tuple[Any, ...]:
    if column in ANSWER_COLUMNS:
        return (json.dumps(value, sort_keys=True, ensure_ascii=False, default=str),)
    if column == "tags" and isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list):
        return tuple(value)
    return (value,)


def _guess(column: str, labels: Sequence[Any]) -> Gold:
    if column in ANSWER_COLUMNS:
        return "texts"
    return "values" if len(labels) == 1 and _is_fraction(labels[0]) else "classes"


def _is_fraction(label: Any) -> bool:
    """Whether a label is a number that is written with a fraction: nobody names a class 3.25."""
    if isinstance(label, float):
        return True
    if not isinstance(label, str) or "." not in label:
        return False
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False
