"""predict, fill and embed over lists, and over files of any size, a few thousand lines at a time.

A text file, and standard input (`-`), has a text a line and gives a result a line, blank lines included. Standard input
may also be JSONL, for pairs and words: its first line then begins with `{`.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from pretune.core.config import parse_assignments
from pretune.core.errors import InputError, bad_line, unknown
from pretune.text.faults import Faults
from pretune.text.lines import read_lines
from pretune.text.records import Record, iterate_records
from pretune.text.tables import format_of
from pretune.verbs.predictions import predict_records, task_of
from pretune.verbs.pretrained import load

AT_ONCE = 4096
STDIN = "<stdin>"


def predict_file(
    task: str, *, model: str, file: str | Path, settings: Sequence[str] | Mapping[str, Any] = ()
) -> Iterator[Any]:
    """A prediction for each record of a file, or of standard input, `-`, in order, as they come.

    settings: columns.* as `finetune` has them. Raises InputError for bad lines and a model of another task.
    """
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    for key in given.keys() - {"columns"}:
        raise unknown("setting of predict,", key, ["columns"])
    columns = given.get("columns", {})
    if not isinstance(columns, Mapping):
        raise InputError(f"columns is {columns!r}: name them one by one, for example columns.text=sentence")
    pretrained = load(model)
    _, opened = task_of(pretrained.bundle, task)
    for part in _parts(_records(file, {name: str(column) for name, column in columns.items()})):
        yield from predict_records(pretrained.bundle, opened, part)


def fill_file(*, model: str, file: str | Path, top_k: int = 5) -> Iterator[Any]:
    """The most probable pieces for the blanks of each line. InputError that names a line without a blank."""
    pretrained = load(model)
    for number, text in _lines(file):
        try:
            yield pretrained.fill(text, top_k=top_k)
        except InputError as error:
            raise InputError(f"{_name(file)}:{number}: {error}") from error


def embed_file(
    *, model: str, file: str | Path, pooling: str = "mean", out: str | Path | None = None, truncate: bool = False
) -> Iterator[list[float]]:
    """A vector for each line; with `out` they go there as one array and nothing is yielded.

    Raises InputError that names the line of a text the model cannot take whole, unless `truncate` cuts it.
    """
    pretrained = load(model)
    kept = [np.zeros((0, pretrained.model.body.config.hidden_size), np.float32)]
    beside = None if out is None else Path(f"{out}.partial")
    if beside is not None:
        beside.touch()  # a place that cannot be written to is known before the work
    for part in _parts(_lines(file)):
        try:
            vectors_ND = pretrained.embed([text for _, text in part], pooling=pooling, truncate=truncate)
        except InputError as error:
            raise InputError(f"{_name(file)}, counting texts from 0 at line {part[0][0]}: {error}") from error
        if out is None:
            yield from ([float(value) for value in row] for row in vectors_ND)
        else:
            kept.append(vectors_ND)
    if out is not None and beside is not None:
        with open(beside, "wb") as target:
            np.save(target, np.concatenate(kept))
        os.replace(beside, out)


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while part := list(islice(rest, AT_ONCE)):
        yield part


def _name(file: str | Path) -> str:
    return STDIN if str(file) == "-" else str(file)


def _records(file: str | Path, columns: Mapping[str, str]) -> Iterator[Record]:
    if str(file) != "-" and (Path(file).is_dir() or format_of(file) != "txt"):
        yield from iterate_records(file, columns=columns)
        return
    lines = _lines(file)
    first = next(lines, None)
    if first is None:
        return
    as_json = str(file) == "-" and first[1].lstrip().startswith("{")
    for number, line in chain([first], lines):
        if not as_json:
            yield Record({"text": line}, _name(file), number)
        elif line.strip():
            row = _json_row(line, number)
            yield Record(row | {name: row[column] for name, column in columns.items() if column in row}, STDIN, number)


def _json_row(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad_line(STDIN, number, f"invalid JSON ({error})", "write one JSON object a line") from error
    if not isinstance(row, dict):
        raise bad_line(STDIN, number, f"a {type(row).__name__}", 'write {"text": ...} on each line')
    return row


def _lines(file: str | Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of a text file or of standard input. InputError for bytes that are not text."""
    if str(file) != "-":
        if format_of(file, default="txt") != "txt":
            raise InputError(f"{file}: give a .txt file with a text a line")
        yield from ((number, line) for number, line in read_lines(file, Faults()) if line is not None)
        return
    faults = Faults()
    binary = getattr(sys.stdin, "buffer", None)  # a replaced sys.stdin may have text only
    lines = (line.encode() for line in sys.stdin) if binary is None else binary
    for number, raw in enumerate(lines, 1):
        if b"\0" in raw:
            faults.report(STDIN, number, "NUL byte")
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            faults.report(STDIN, number, "invalid UTF-8", str(error.reason))
