"""predict, fill and embed over lists, and over files of any size, a few thousand lines at a time."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pretune.core.config import parse_assignments
from pretune.core.errors import unknown
from pretune.text.records import Record, iterate_records
from pretune.verbs.predictions import predict_records, task_of
from pretune.verbs.pretrained import load

AT_ONCE = 4096


def predict_file(
    task: str, *, model: str, file: str | Path, settings: Sequence[str] | Mapping[str, Any] = ()
) -> Iterator[Any]:
    """A prediction for each record of a file (or of standard input, `-`: a text a line), in order, as they come."""
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    for key in given.keys() - {"columns"}:
        raise unknown("setting of predict,", key, ["columns"])
    pretrained = load(model)
    _, opened = task_of(pretrained.bundle, task)
    if str(file) == "-":
        rows: Iterable[Record] = (Record({"text": text}, "<stdin>", n) for n, text in enumerate(_stdin(), 1))
    else:
        rows = iterate_records(file, columns=given.get("columns", {}))
    for part in _parts(rows):
        yield from predict_records(pretrained.bundle, opened, part)


def fill_file(*, model: str, file: str | Path, top_k: int = 5) -> Iterator[Any]:
    """The most probable pieces for the blanks of each line."""
    pretrained = load(model)
    for text in _lines(file):
        yield pretrained.fill(text, top_k=top_k)


def embed_file(
    *, model: str, file: str | Path, pooling: str = "mean", out: str | Path | None = None, truncate: bool = False
) -> Iterator[list[float]]:
    """A vector for each line; with `out` they go there as one array and nothing is yielded."""
    pretrained = load(model)
    kept = []
    for part in _parts(_lines(file)):
        vectors_ND = pretrained.embed(part, pooling=pooling, truncate=truncate)
        if out is None:
            yield from ([float(value) for value in row] for row in vectors_ND)
        else:
            kept.append(vectors_ND)
    if out is not None:
        hidden_size = pretrained.model.body.config.hidden_size
        with open(out, "wb") as target:
            np.save(target, np.concatenate(kept) if kept else np.zeros((0, hidden_size), np.float32))


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while part := list(islice(rest, AT_ONCE)):
        yield part


def _lines(file: str | Path) -> Iterator[str]:
    if str(file) == "-":
        yield from _stdin()
    else:
        yield from (record["text"] for record in iterate_records(file, format="txt"))


def _stdin() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")
