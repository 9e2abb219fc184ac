"""Raw text and tables to documents.

A document of a text file is a block between blank lines, a line, or the file; of a table, a row. The lines of a
document are joined by a line feed; none stands at its ends. Skipped lines are left out of their document.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pretune.core.errors import unknown
from pretune.text.faults import Faults, OnError, faults_for, missing_columns
from pretune.text.lines import MAX_LINE_BYTES, read_lines
from pretune.text.tables import format_of, read_rows

Documents = Literal["blank-line", "line", "file"]
PART_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """A document and the line it starts at (the row, in Parquet)."""

    text: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a document: whole lines. All but the first part of a document start with a line feed."""

    text: str
    path: str
    line: int
    ends: bool


def read_documents(
    paths: str | Path | Iterable[str | Path],
    *,
    documents: Documents = "blank-line",
    column: str = "text",
    format: str | None = None,
    on_error: OnError = "raise",
    skipped: Counter[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Document]:
    """The documents of files in their order, each held in memory whole.

    column: where JSONL, CSV, TSV and Parquet keep the text. format: of all the files; by default their suffixes tell,
    and an unknown suffix is plain text. skipped: filled with counts by reason where `on_error` is "skip".
    Raises InputError `file:line: what: what to do`.
    """
    held: list[Part] = []
    parts = read_parts(
        paths,
        documents=documents,
        column=column,
        format=format,
        on_error=on_error,
        skipped=skipped,
        max_line_bytes=max_line_bytes,
    )
    for part in parts:
        held.append(part)
        if part.ends:
            text = part.text if len(held) == 1 else "".join(piece.text for piece in held)
            yield Document(text, part.path, held[0].line)
            held.clear()


def read_parts(
    paths: str | Path | Iterable[str | Path],
    *,
    documents: Documents = "blank-line",
    column: str = "text",
    format: str | None = None,
    on_error: OnError = "raise",
    skipped: Counter[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
    part_chars: int = PART_CHARS,
) -> Iterator[Part]:
    """The documents in parts of about `part_chars` characters, so that a document of any size fits in memory.

    Where parts are cut depends on the document alone. Arguments and errors as `read_documents`.
    """
    if documents not in get_args(Documents):
        raise unknown("documents", documents, get_args(Documents))
    faults = faults_for(on_error, skipped)
    for path in [paths] if isinstance(paths, str | Path) else paths:
        kind = format_of(path, format, default="txt")
        if kind == "txt":
            parts = _text_parts(str(path), documents, faults, max_line_bytes, part_chars)
        elif kind in ("conll", "conllu"):
            parts = _sentence_parts(str(path), kind, faults, max_line_bytes)
        else:
            parts = _table_parts(str(path), kind, column, faults, max_line_bytes)
        empty = True
        for part in parts:
            empty = False
            yield part
        if empty:
            faults.report(path, 1, "empty file", "no text in it")


def _text_parts(
    path: str, documents: Documents, faults: Faults, max_line_bytes: int, part_chars: int
) -> Iterator[Part]:
    lines: list[str] = []
    start, chars, blanks = 0, 0, 0
    for number, line in read_lines(path, faults, max_line_bytes):
        if line is None:
            continue
        if not line or line.isspace():
            if documents == "blank-line" and lines:
                yield Part("\n".join(lines), path, start, True)
                lines, chars = [], 0
            blanks = blanks + 1 if lines else 0
        elif documents == "line":
            yield Part(line, path, number, True)
        else:
            start = start if lines else number
            if chars >= part_chars:
                yield Part("\n".join(lines), path, start, False)
                lines, chars = [""], 0
            if documents == "file":
                lines += [""] * blanks
            lines.append(line)
            chars += len(line) + 1
            blanks = 0
    if lines:
        yield Part("\n".join(lines), path, start, True)


def _table_parts(path: str, kind: str, column: str, faults: Faults, max_line_bytes: int) -> Iterator[Part]:
    for number, row in read_rows(path, kind, faults, needed=[column], max_line_bytes=max_line_bytes):
        if column not in row:
            if kind != "jsonl":
                raise missing_columns(path, [column], list(row), "column=NAME")
            faults.report(path, number, "missing value", f"no {column!r} in the object")
        elif not isinstance(text := row[column], str):
            faults.report(path, number, "wrong type", f"{column!r} is {type(text).__name__}, not text")
        elif "\0" in text:
            faults.report(path, number, "NUL byte", f"in {column!r}")
        elif text.strip():
            yield Part(text.replace("\r\n", "\n").strip("\n"), path, number, True)
        else:
            faults.report(path, number, "missing value", f"{column!r} is empty")


def _sentence_parts(path: str, kind: str, faults: Faults, max_line_bytes: int) -> Iterator[Part]:
    for number, row in read_rows(path, kind, faults, max_line_bytes=max_line_bytes):
        yield Part(" ".join(row["words"]), path, number, True)
