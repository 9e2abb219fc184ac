"""Rows of JSONL, CSV, TSV, Parquet, CoNLL and CoNLL-U files, each with the line it starts at.

TSV has a header and no quoting (QUOTE_NONE): a tab always ends a cell, a line end always ends a row, and a quote is an
ordinary character. CSV has a header and the usual quoting (RFC 4180): a quoted cell may hold commas, line ends and
doubled quotes; where quotes are wrong, the line is at fault and the next one begins a row. Wholly blank lines are
ignored in both. A row with too few or too many cells is an error.

CoNLL: a token and its tag a line, separated by a tab (or, where the first line has none, by spaces: CoNLL-2003), a
blank line between sentences. The first column holds the tokens, the last one the tags, unless numbered otherwise from
1. `-DOCSTART-` lines are left out; so are comments: lines that start with `#` and have no tab, where tabs separate or
before the first token. CoNLL-U: `conllu.py`.
"""

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, need_extra, unknown
from pretune.core.strict_json import half_surrogate, parse
from pretune.text.conllu import read_conllu
from pretune.text.faults import Faults, missing_columns
from pretune.text.lines import MAX_LINE_BYTES, open_bytes, plain_suffix, read_lines

FORMATS = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".conllu": "conllu",
}
"""Suffix (before .gz or .zst) -> format."""

Row = dict[str, Any]


def format_of(path: str | Path, given: str | None = None, default: str | None = None) -> str:
    """The format of a file: as given, else by its suffix, else the default. InputError where none is known."""
    if given is not None:
        if given not in FORMATS.values():
            raise unknown("format", given, set(FORMATS.values()))
        return given
    suffix = plain_suffix(path)
    if suffix == ".json":
        raise InputError(f"{path}: a JSON file is not read: write one object a line and name it .jsonl")
    found = FORMATS.get(suffix, default)
    if found is None:
        known = ", ".join(sorted(FORMATS))
        raise InputError(f"{path}: what format is this? Name it with one of the endings {known}")
    return found


def read_rows(
    path: str | Path,
    kind: str,
    faults: Faults,
    *,
    columns: Mapping[str, str] | None = None,
    needed: Sequence[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[tuple[int, Row]]:
    """(line, {column: value}) for each row of a table; Parquet counts rows from 1.

    needed: the only columns to read, where the format can tell them apart. columns: read by CoNLL (see above).
    """
    if kind == "parquet":
        return _parquet(path, faults, needed)
    if kind == "jsonl":
        return _jsonl(path, faults, max_line_bytes)
    if kind == "conll":
        return _conll(path, faults, columns or {}, max_line_bytes)
    if kind == "conllu":
        return read_conllu(path, faults, max_line_bytes)
    if kind == "txt":
        return _txt(path, faults, max_line_bytes)
    rows = _csv_cells(path, faults, max_line_bytes) if kind == "csv" else _tsv_cells(path, faults, max_line_bytes)
    return _with_header(path, rows, faults)


def _txt(path: str | Path, faults: Faults, max_line_bytes: int) -> Iterator[tuple[int, Row]]:
    for number, line in read_lines(path, faults, max_line_bytes):
        if line is not None and line.strip():
            yield number, {"text": line}


def _jsonl(path: str | Path, faults: Faults, max_line_bytes: int) -> Iterator[tuple[int, Row]]:
    for number, line in read_lines(path, faults, max_line_bytes):
        if line is None or not line.strip():
            continue
        try:
            row = parse(line)
            half = half_surrogate(line, row)
        except ValueError as error:
            faults.report(path, number, "invalid JSON", str(error))
            continue
        if not isinstance(row, dict):
            faults.report(path, number, "not an object", f"a {type(row).__name__}")
        elif half:
            faults.report(path, number, "half a surrogate pair", f"{half} without its other half")
        else:
            yield number, row


def _tsv_cells(path: str | Path, faults: Faults, max_line_bytes: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path, faults, max_line_bytes):
        if line:
            yield number, line.split("\t")


class _CsvFeed:
    """Lines for csv.reader, which asks for more while a quote is open; knows the lines of the row it is in."""

    def __init__(self, lines: Iterator[tuple[int, str | None]]) -> None:
        self.lines = lines
        self.again: deque[tuple[int, str | None]] = deque()
        self.row: list[tuple[int, str]] = []
        self.damaged = False

    @property
    def start(self) -> int:
        return self.row[0][0]

    def begin_row(self) -> None:
        self.row, self.damaged = [], False

    def give_back(self) -> None:
        """Lines behind the first one of a row whose quotes are wrong are rows of their own again."""
        self.again.extendleft(reversed(self.row[1:]))

    def __iter__(self) -> "_CsvFeed":
        return self

    def __next__(self) -> str:
        while True:
            number, line = self.again.popleft() if self.again else next(self.lines)
            if line is None:
                self.damaged = self.damaged or bool(self.row)
                continue
            self.row.append((number, line))
            return line + "\n"


def _csv_cells(path: str | Path, faults: Faults, max_line_bytes: int) -> Iterator[tuple[int, list[str]]]:
    feed = _CsvFeed(read_lines(path, faults, max_line_bytes))
    csv.field_size_limit(max(csv.field_size_limit(), max_line_bytes))
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.report(path, feed.start, "quotes", str(error))
            feed.give_back()
            reader = csv.reader(feed, strict=True)
            continue
        if cells and not feed.damaged:
            yield feed.start, cells


def _with_header(path: str | Path, rows: Iterator[tuple[int, list[str]]], faults: Faults) -> Iterator[tuple[int, Row]]:
    _, header = next(rows, (1, None))
    if header is None:
        return
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InputError(f"{path}:1: column {doubled[0]!r} stands twice in the header: rename one of them")
    for number, cells in rows:
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        else:
            faults.report(path, number, "wrong number of cells", f"{len(cells)}, the header has {len(header)}")


def _parquet(path: str | Path, faults: Faults, needed: Sequence[str] | None) -> Iterator[tuple[int, Row]]:
    parquet = need_extra("pyarrow.parquet", "data")
    arrow = need_extra("pyarrow", "data")
    number = 0
    try:
        with open_bytes(path), parquet.ParquetFile(path) as file:
            present = file.schema_arrow.names
            missing = [name for name in needed or () if name not in present]
            if missing:
                raise missing_columns(path, missing, present)
            for batch in file.iter_batches(batch_size=1024, columns=None if needed is None else list(needed)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a Parquet file that can be read: {error}") from error


def _conll(
    path: str | Path, faults: Faults, columns: Mapping[str, str], max_line_bytes: int
) -> Iterator[tuple[int, Row]]:
    rows: list[list[str]] = []
    start, width, tabs, damaged = 0, 0, True, False
    for number, line in read_lines(path, faults, max_line_bytes):
        if line is None:
            damaged = True
        elif not line.strip():
            if rows and not damaged:
                yield start, _sentence(path, rows, columns)
            rows, damaged = [], False
        else:
            if line.startswith("-DOCSTART-") or (tabs and line.startswith("#") and "\t" not in line):
                continue
            if not width:
                tabs = "\t" in line
            cells = line.split("\t") if tabs else line.split()
            width = width or len(cells)
            start = start if rows else number
            if len(cells) != width or not all(cells):
                faults.report(path, number, "wrong number of cells", f"{sum(map(bool, cells))} filled of {width}")
                damaged = True
            rows.append(cells)
    if rows and not damaged:
        yield start, _sentence(path, rows, columns)


def _sentence(path: str | Path, rows: list[list[str]], columns: Mapping[str, str]) -> Row:
    width = len(rows[0])
    places = {"words": 1} if width == 1 else {"words": 1, "tags": width}
    for name, text in columns.items():
        if not text.isdecimal() or not 1 <= int(text) <= width:
            raise InputError(f"{path}: columns.{name}={text}: give the number of a column, 1 to {width}")
        places[name] = int(text)
    return {name: [row[place - 1] for row in rows] for name, place in places.items()}
