"""Names of classes: bound in training, checked afterwards; what was never seen is listed.

Labels keep their names: text as it is, whole numbers and truth values as JSON writes them ("1", "true"). Their order,
and so that of the head's outputs, is numeric where all are whole numbers, else by code point.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pretune.core.errors import InputError
from pretune.text.labels import label_name
from pretune.text.records import Record


def at_least_two(labels: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    """The labels, if there is something to tell apart. InputError otherwise."""
    if len(labels) < 2:
        raise InputError(
            f"{records[0].path if records else 'the training data'}: all {len(records)} records have the same label "
            f"({', '.join(labels) or 'none'}): there is nothing to learn; is it the right column?"
        )
    return tuple(labels)


def label_number(record: Record, label: Any, labels: Sequence[str]) -> int:
    """The number of a record's label among the labels. InputError where it is missing or not one of them."""
    if label is None or label == "":
        raise record.error("the label is missing", "fill it in, or leave the record out")
    name = label_name(label)
    try:
        return labels.index(name)
    except ValueError:
        raise record.error(f"label {name!r} is none of {', '.join(labels)}", "correct it, or train with it") from None


def refuse_unseen(named: Iterable[tuple[str, Record]], labels: Sequence[str]) -> None:
    """InputError that lists the labels that are not among the known ones, how often each occurs and where first."""
    known = set(labels)
    unseen = [(name, record) for name, record in named if name not in known]
    if not unseen:
        return
    counts = Counter(name for name, _ in unseen)
    first = {name: record for name, record in reversed(unseen)}
    listed = "; ".join(
        f"{name!r} ({counts[name]} times, first at {first[name].path}:{first[name].line})"
        for name in sorted(counts)[:20]
    )
    more = f" and {len(counts) - 20} more" if len(counts) > 20 else ""
    raise InputError(
        f"{len(counts)} labels were never seen in training: {listed}{more}. Known labels: {', '.join(labels)}. "
        "Correct the file, train on records that have them, or name all labels beforehand: task.labels=[...]"
    )
