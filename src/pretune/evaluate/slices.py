"""Where a model is wrong: its score on slices of the scored records, each with its size and a 95 % interval.

By length (quarters by words), by what training has seen of a text (the same row; every word; fewer), by true label;
choices and answers also by what `record_groups.py` says.
Slices of fewer than `FEW` records have no interval: they tell nothing. Many slices are looked at, so that one interval
in twenty misses by chance.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pretune.evaluate.judgements import Judgement
from pretune.evaluate.record_groups import answer_groups, choice_groups
from pretune.metrics.intervals import Interval, bootstrap_mean
from pretune.tasks.task import Task
from pretune.text.contents import Contents
from pretune.text.lengths import IntArray, num_words
from pretune.text.overlap import fingerprints
from pretune.text.records import Record

FEW = 10
MAX_LABELS = 20
NUM_RESAMPLES = 500
Z = 1.96
SEEN = (("every word seen", 1.0), ("75 % of words or more", 0.75), ("fewer words", 0.0))
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Slice:
    """group: what it is cut by. score: None for too few records."""

    group: str
    name: str
    num_records: int
    score: Interval | None


def slices(
    task: Task,
    predictions: Sequence[Any],
    records: Sequence[Record],
    train: Sequence[Record],
    *,
    rng: np.random.Generator,
) -> list[Slice]:
    """Scores are the task's main metric."""

    def scored(group: str, name: str, rows: IntArray) -> Slice:
        chosen = rows.tolist()
        score = None
        if len(chosen) >= FEW:
            items = task.items([predictions[row] for row in chosen], [records[row] for row in chosen])
            score = widened(items.interval(rng=rng, num_resamples=NUM_RESAMPLES), len(chosen))
        return Slice(group, name, len(chosen), score)

    held = [task.contents(record) for record in records]
    found = [("length in words", *part) for part in by_length(np.array([num_words(one.texts) for one in held]))]
    found += [("seen in training", *part) for part in by_overlap(records, train, task.contents)]
    if predictions and isinstance(first := predictions[0], dict) and "choice" in first:
        found += choice_groups(records)
    elif predictions and isinstance(first, dict) and "answer" in first:
        found += answer_groups(records, by_length)
    return [scored(*part) for part in found]


def by_length(words_N: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Quarters; fewer where lengths repeat.

    >>> [(name, len(rows)) for name, rows in by_length(np.array([1, 2, 3, 4, 5, 6, 7, 8]))]
    [('up to 2', 2), ('3 to 4', 2), ('5 to 6', 2), ('7 or more', 2)]
    """
    ends = np.unique(np.percentile(words_N, (25, 50, 75), method="lower")).tolist()
    low = -1
    for end in ends:
        name = f"up to {end}" if low < 0 else f"{low + 1} to {end}" if low + 1 < end else f"{end}"
        yield name, np.flatnonzero((words_N > low) & (words_N <= end))
        low = end
    rows = np.flatnonzero(words_N > low)
    if len(rows):
        yield f"{low + 1} or more", rows


def by_overlap(
    records: Sequence[Record], train: Sequence[Record], contents: Callable[[Record], Contents]
) -> Iterator[tuple[str, IntArray]]:
    """By what the training records have of a text; words without regard to case."""
    known = fingerprints(train, contents)
    vocabulary = {word for record in train for word in words_of(contents(record))}
    kinds: dict[str, list[int]] = {"the same row": [], **{name: [] for name, _ in SEEN}}
    for row, (record, key) in enumerate(zip(records, fingerprints(records, contents).near, strict=True)):
        if key in known.first:
            kinds["the same row"].append(row)
            continue
        words = words_of(contents(record))
        share = len(words & vocabulary) / len(words) if words else 1.0
        kinds[next(name for name, least in SEEN if share >= least)].append(row)
    for name, rows in kinds.items():
        if rows:
            yield name, np.array(rows, np.int64)


def words_of(held: Contents) -> set[str]:
    return {word for text in held.texts for word in _WORD.findall((text or "").lower())}


def by_label(judged: Sequence[Judgement], *, rng: np.random.Generator) -> list[Slice]:
    """The share that is right of each true label (its recall); the most frequent labels."""
    right: dict[str, list[bool]] = {}
    for one in judged:
        right.setdefault(one.gold, []).append(one.is_right)
    names = sorted(right, key=lambda name: (-len(right[name]), name))[:MAX_LABELS]
    return [Slice("true label", name, len(right[name]), _mean(right[name], rng)) for name in names]


def _mean(right: Sequence[bool], rng: np.random.Generator) -> Interval | None:
    if len(right) < FEW:
        return None
    return widened(bootstrap_mean(right, rng=rng, num_resamples=NUM_RESAMPLES), len(right))


def widened(interval: Interval, num_records: int) -> Interval:
    """Where all are right, or all wrong, a bootstrap sees no spread: the far end is then Wilson's (1927), z = 1.96.

    >>> str(widened(Interval(1.0, 1.0, 1.0), 10)), str(widened(Interval(0.5, 0.4, 0.6), 10))
    ('1.000 [0.722, 1.000]', '0.500 [0.400, 0.600]')
    """
    if interval.low < interval.high or interval.estimate not in (0.0, 1.0):
        return interval
    share = Z * Z / (num_records + Z * Z)
    if interval.estimate == 1.0:
        return replace(interval, low=1.0 - share)
    return replace(interval, high=share)
