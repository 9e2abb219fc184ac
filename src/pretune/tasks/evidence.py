"""What a model says of a record before anything is decided: probabilities (or a value), which models of an ensemble
average.

An ensemble's evidence is the arithmetic mean of its members' (Lakshminarayanan et al. 2017, section 2.4: a uniform
mixture), aligned by the names of labels; the task then decides on it as on that of one model. Where rows are places in
a text (`answer`), they must be the same for all members, so these need one tokenizer; elsewhere they are words,
choices or the whole, which no tokenizer changes.

>>> first = Evidence(np.array([[0.9, 0.1]]), ("no", "yes"))
>>> second = Evidence(np.array([[0.3, 0.7]]), ("yes", "no"))
>>> mean_evidence([first, second], Record({})).values.round(2).tolist()
[[0.8, 0.2]]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray
from pretune.text.records import Record


@dataclass(frozen=True, eq=False)
class Evidence:
    """values [R, C]: probabilities, or with is_log their logarithms; a row for the whole, or for each word, choice or
    place. columns: names of the C values. rows [R, K]: what each row is, where models may differ in it."""

    values: FloatArray
    columns: tuple[str, ...]
    rows: IntArray | None = None
    is_log: bool = False


def mean_evidence(each: Sequence[Evidence], record: Record) -> Evidence:
    """Of several models on one record. InputError where they do not speak of the same things."""
    first = each[0]
    found = []
    for one in each:
        if set(one.columns) != set(first.columns):
            raise record.error(
                f"the models' labels differ ({', '.join(sorted(set(one.columns) ^ set(first.columns)))})",
                "an ensemble needs models of the same labels",
            )
        if one.values.shape != first.values.shape or (
            first.rows is not None and one.rows is not None and not np.array_equal(one.rows, first.rows)
        ):
            raise record.error(
                "the models cut this text in different pieces or windows",
                "an ensemble of this task needs models with one tokenizer, max_length and stride",
            )
        found.append(one.values[:, [one.columns.index(name) for name in first.columns]])
    if first.is_log:
        return replace(first, values=np.logaddexp.reduce(found) - np.log(len(found)))
    return replace(first, values=np.mean(found, axis=0))
