"""Are the labels of one kind? Classes keep their names; numbers are finite.

In CSV and TSV every label is text, so a file whose labels are partly numbers and partly words ("1", "2", "good") is
taken for a mistake, as one that mixes types in JSONL is.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pretune.text.records import Record

LabelKind = Literal["class", "number"]


def check_labels(records: Sequence[Record], kind: LabelKind = "class", column: str = "label") -> list[str]:
    """The names of the classes in order (numeric order if all are whole numbers); [] for numbers.

    Raises InputError at the first record whose label is missing, of another kind than most, or not a finite number.

    >>> check_labels([Record({"label": "pos"}), Record({"label": "neg"}), Record({"label": "pos"})])
    ['neg', 'pos']
    """
    if kind == "number":
        for record in records:
            as_number(record, column)
        return []
    kinds = [_kind(record, column) for record in records]
    most = max(sorted(set(kinds)), key=kinds.count, default="")
    for record, found in zip(records, kinds, strict=True):
        if found != most:
            raise record.error(
                f"mixed label types: {record[column]!r} is {found}, most labels are {most}",
                "write all labels as words, or all as whole numbers",
            )
    names = {label_name(record[column]) for record in records}
    return sorted(names, key=(lambda name: (int(name), name)) if most == "a whole number" else str)


def label_name(label: Any) -> str:
    """The name of a class: text as it is, whole numbers and truth values as JSON writes them."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def as_number(record: Record, column: str = "label") -> float:
    """A label as a finite float. Raises InputError that names the line."""
    value = record.get(column)
    try:
        number = float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise record.error(f"label {value!r:.60} is not a finite number", "write a number, for example 3.5")
    return number


def check_correlation(records: Sequence[Record]) -> None:
    """InputError for a single record: its value correlates with nothing."""
    if len(records) == 1:
        raise records[0].error("the only record, and one value has no correlation", "give at least two records")


def _kind(record: Record, column: str) -> str:
    label = record.get(column)
    if label is None or label == "":
        raise record.error("the label is missing", f"fill in {column!r}")
    found = label_kind(label)
    if found is None:
        raise record.error(
            f"label {label!r} cannot be a class", "give a word or a whole number; for values use regress"
        )
    return found


def label_kind(label: Any) -> str | None:
    """What kind of name a label is; None for what cannot name a class.

    >>> label_kind("good"), label_kind("-1"), label_kind(True), label_kind(0.5)
    ('a word', 'a whole number', 'a truth value', None)
    """
    if isinstance(label, bool):
        return "a truth value"
    if isinstance(label, int):
        return "a whole number"
    if not isinstance(label, str):
        return None
    sign = label[1:] if label[:1] in "+-" else label
    return "a whole number" if sign.isdecimal() else "a word"
