"""Lines and records of a file or of standard input, `-`, in blocks of bounded size.

A text file, and standard input, has a text a line, blank lines included. Standard input may also be JSONL, for pairs
and words: its first line then begins with `{`. Imports no torch.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any, TextIO, TypeVar, cast

from pretune.core import strict_json
from pretune.core.errors import InputError, bad_line
from pretune.core.heap import give_back
from pretune.text.faults import Faults
from pretune.text.lines import checked_lines, read_lines
from pretune.text.records import Record, iterate_records, record_format
from pretune.text.tables import format_of

STDIN = "<stdin>"
BLOCK_ROWS = 4096
BLOCK_CHARS = 1 << 22
"""A block ends with the row that brings it to so many rows or characters, so one more line is the most it holds."""

Line = tuple[int, str]
"""(number from 1, text)."""

Row = TypeVar("Row")


def blocks(rows: Iterable[Row], num_chars: Callable[[Row], int]) -> Iterator[list[Row]]:
    """The rows in blocks; what the work on a block has freed is given back before the next one is read.

    Where reading fails, the rows before the bad one come first, then the error.
    """
    held: list[Row] = []
    chars = 0
    try:
        for row in rows:
            held.append(row)
            chars += num_chars(row)
            if len(held) >= BLOCK_ROWS or chars >= BLOCK_CHARS:
                yield held
                held, chars = [], 0
                give_back()
    except InputError:
        if held:
            yield held
        raise
    if held:
        yield held


def line_blocks(file: str | Path) -> Iterator[list[Line]]:
    """Blocks of lines of a text file or of standard input. InputError for bytes that are not text."""
    return blocks(read_texts(file), lambda line: len(line[1]))


def record_blocks(file: str | Path, columns: Mapping[str, str]) -> Iterator[list[Record]]:
    """Blocks of records; columns as in `text.records`. InputError for bad lines."""
    return blocks(_records(file, columns), _chars_of)


def name_of(file: str | Path) -> str:
    """What errors call a file."""
    return STDIN if str(file) == "-" else str(file)


def read_texts(file: str | Path) -> Iterator[Line]:
    """The lines of a text file or of standard input. InputError for bytes that are not text."""
    if str(file) != "-":
        if format_of(file, default="txt") != "txt":
            raise InputError(f"{file}: give a .txt file with a text a line")
        lines = read_lines(file, Faults())
    else:
        binary = getattr(sys.stdin, "buffer", None)  # a replaced sys.stdin may have text only
        stream = _Encoding(sys.stdin) if binary is None else binary
        lines = checked_lines(cast(IO[bytes], stream), STDIN, Faults())
    yield from ((number, line) for number, line in lines if line is not None)


class _Encoding:
    """The lines of a stream of text as bytes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def readline(self, size: int) -> bytes:
        return self.stream.readline(size).encode()


def _chars_of(record: Record) -> int:
    """The characters of a record's texts and words; a cell of another type counts as one."""
    return sum(
        len(value) if isinstance(value, str) else sum(map(len, map(str, value))) if isinstance(value, list) else 1
        for value in record.values()
    )


def _records(file: str | Path, columns: Mapping[str, str]) -> Iterator[Record]:
    if str(file) != "-" and (Path(file).is_dir() or record_format(file) != "txt"):
        yield from iterate_records(file, columns=columns)
        return
    lines = read_texts(file)
    first = next(lines, None)
    if first is None:
        return
    as_json = str(file) == "-" and first[1].lstrip().startswith("{")
    for number, line in chain([first], lines):
        if not as_json:
            yield Record({"text": line}, name_of(file), number)
        elif line.strip():
            row = _json_row(line, number)
            for name, column in columns.items():
                if column not in row:
                    raise bad_line(
                        STDIN, number, f"no {column!r} in the object", f"columns.{name} names it: correct one"
                    )
            yield Record(row | {name: row[column] for name, column in columns.items()}, STDIN, number)


def _json_row(line: str, number: int) -> dict[str, Any]:
    try:
        row = strict_json.parse(line)
        if half := strict_json.half_surrogate(line, row):
            raise ValueError(f"half a surrogate pair, {half} without its other half")
    except ValueError as error:
        raise bad_line(STDIN, number, f"invalid JSON ({error})", "write one JSON object a line") from error
    if not isinstance(row, dict):
        raise bad_line(STDIN, number, f"a {type(row).__name__}", 'write {"text": ...} on each line')
    return row
