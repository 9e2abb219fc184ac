"""How a file's texts fit a model: sequence lengths in its pieces, what would be cut, what its vocabulary lacks.

Sequences are made as the task makes them for training (`featurize`), so windows, pairs and choices are counted as they
are. A large file is measured on `MAX_ROWS` rows spread evenly over it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.tasks.task import Task
from pretune.text.contents import Contents
from pretune.text.findings import MAX_PLACES, Finding, Severity, share
from pretune.text.lengths import IntArray, Lengths, estimated_pieces
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer, explained

MAX_ROWS = 10_000
NUM_SPECIAL = 3
"""Special tokens of a pair, for the estimate."""
MANY_CUT = 0.1
MANY_UNKNOWN = 0.01
"""A larger share of unknown pieces is a warning: BERT's vocabulary leaves less than 0.1 % of English unknown."""


@dataclass(frozen=True)
class Measured:
    """pieces_N: all pieces of each measured row's texts, without special tokens. num_cut: rows that lose something, by
    the task's rule. unknown: what the vocabulary lacks most often. unusable: what the task says of rows it cannot take.
    estimated: there was no tokenizer, and num_cut are the rows that are longer than max_length."""

    max_length: int
    num_rows: int
    pieces_N: IntArray
    num_cut: int
    num_unknown: int = 0
    unknown: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    num_unusable: int = 0
    estimated: bool = False

    @property
    def unknown_rate(self) -> float | None:
        """Share of pieces that stand for what the vocabulary lacks; None where it is not known."""
        return None if self.estimated else self.num_unknown / max(int(self.pieces_N.sum()), 1)

    def as_json(self) -> dict[str, object]:
        measured = max(len(self.pieces_N), 1)
        return {
            "of": "estimate" if self.estimated else "model",
            "max_length": self.max_length,
            "measured": len(self.pieces_N),
            "pieces": Lengths.of(self.pieces_N).percentiles,
            "longer": self.num_cut / measured if self.estimated else None,
            "cut": None if self.estimated else self.num_cut / measured,
            "unknown_rate": self.unknown_rate,
            "unknown": list(self.unknown),
        }

    def findings(self, part: str) -> list[Finding]:
        """What one should know of it."""
        measured, found = len(self.pieces_N), []
        on = "" if measured == self.num_rows else f" (measured on {measured:,} of {self.num_rows:,} rows)"
        if self.num_unusable:
            what = f"{self.num_unusable:,} rows cannot be used{on}"
            found.append(Finding("error", "unusable", part, what, self.num_unusable, self.unusable))
        if self.num_cut and self.estimated:
            what = f"{share(self.num_cut, measured)} rows are longer than max_length={self.max_length} by estimate{on}"
            found.append(Finding("remark", "long texts", part, f"{what}; --model says what is cut", self.num_cut))
        elif self.num_cut:
            many: Severity = "warning" if self.num_cut > MANY_CUT * measured else "remark"
            what = (
                f"{share(self.num_cut, measured)} rows do not fit in max_length={self.max_length} and lose a part{on}"
            )
            found.append(Finding(many, "truncation", part, what, self.num_cut))
        if self.num_unknown and (rate := self.unknown_rate or 0.0):
            what = f"{100 * rate:.2g} % of pieces are unknown to the vocabulary{on}, such as {', '.join(self.unknown)}"
            many = "warning" if rate > MANY_UNKNOWN else "remark"
            found.append(Finding(many, "unknown pieces", part, what, self.num_unknown))
        return found


def spread(records: Sequence[Record], most: int = MAX_ROWS) -> list[Record]:
    """At most so many records, spread evenly.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if len(records) <= most:
        return list(records)
    return [records[row] for row in np.linspace(0, len(records) - 1, most).astype(int).tolist()]


def measure(
    records: Sequence[Record],
    contents: Callable[[Record], Contents],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    task: Task | None = None,
) -> Measured:
    """With the model's tokenizer. Rows whose texts are missing are left out. Without a task, rows of one text or two
    are taken to be cut where they are too long."""
    usable = [(record, held.texts) for record in spread(records) if None not in (held := contents(record)).texts]
    rows = [[text for text in texts if text] for _, texts in usable]
    pieces, lacking = _counted(rows, tokenizer)
    cut, broken = 0, 0
    places: list[str] = []
    for (record, texts), length in zip(usable, pieces, strict=True):
        if task is None:
            cut += length + template.num_special(min(max(len(texts), 1), 2)) > max_length
            continue
        try:
            cut += task.featurize(record, tokenizer, template, max_length, labelled=False).num_cut > 0
        except InputError as error:
            broken += 1
            if len(places) < MAX_PLACES:
                places.append(str(error))
    with_unknown = [text for texts, number in zip(rows, lacking, strict=True) if number for text in texts]
    return Measured(
        max_length,
        len(records),
        np.array(pieces, np.int64),
        int(cut),
        sum(lacking),
        _unknown(with_unknown, tokenizer),
        tuple(places),
        broken,
    )


def estimate(records: Sequence[Record], contents: Callable[[Record], Contents], max_length: int) -> Measured:
    """Without a tokenizer."""
    pieces = [estimated_pieces(contents(record).texts) for record in spread(records)]
    num_long = sum(number + NUM_SPECIAL > max_length for number in pieces)
    return Measured(max_length, len(records), np.array(pieces, np.int64), num_long, estimated=True)


def _counted(rows: Sequence[Sequence[str]], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """How many pieces each row has, and how many of them are unknown."""
    flat = [text for texts in rows for text in texts]
    with explained(flat):
        each = iter(tokenizer.backend.encode_batch_fast(flat, add_special_tokens=False))
    unknown_id = tokenizer.special_ids.get("unk")
    pieces, lacking = [], []
    for texts in rows:
        ids = [number for _ in texts for number in next(each).ids]
        pieces.append(len(ids))
        lacking.append(ids.count(unknown_id) if unknown_id is not None else 0)
    return pieces, lacking


def _unknown(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[str, ...]:
    """What the vocabulary lacks, the most frequent first, in the first texts that have such."""
    number, found = tokenizer.special_ids.get("unk"), Counter[str]()
    for text in texts[:200]:
        encoding = tokenizer.backend.encode(text[:10_000], add_special_tokens=False)
        found.update(
            text[start:end] for one, (start, end) in zip(encoding.ids, encoding.offsets, strict=True) if one == number
        )
    return tuple(repr(word[:30]) for word, _ in found.most_common(MAX_PLACES))
