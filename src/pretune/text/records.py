"""Labelled files to records: dicts that remember their file and line, with columns renamed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, bad_line
from pretune.text.faults import Faults, OnError, faults_for, missing_columns
from pretune.text.lines import MAX_LINE_BYTES, plain_suffix
from pretune.text.race import article_files, is_article, questions_of, read_article
from pretune.text.squad import read_squad
from pretune.text.tables import format_of, read_rows

TEXTS = ("text", "text_b")


class Record(dict[str, Any]):
    """A row of a labelled file, with the place it came from."""

    __slots__ = ("path", "line")

    def __init__(self, values: Mapping[str, Any], path: str = "", line: int = 0) -> None:
        super().__init__(values)
        self.path = path
        self.line = line

    def error(self, what: str, todo: str) -> InputError:
        """An error about this record, as `file:line: what: what to do`."""
        return bad_line(self.path, self.line, what, todo)

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (dict(self), self.path, self.line)


def read_records(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    required: Iterable[str] = (),
    format: str | None = None,
    on_error: OnError = "raise",
    skipped: Counter[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> list[Record]:
    """The records of a JSONL, CSV, TSV, Parquet, CoNLL, CoNLL-U, SQuAD JSON or text file (a line a record, as `text`).

    columns: our name -> the file's, for example {"text": "sentence"}; every other column keeps its name. CoNLL columns
    are numbers from 1: {"tags": "4"}. A directory is a part of RACE, a file an article (`race.py`).
    required: our names that every record must have, with a value.
    Raises InputError for a missing column or a bad line; `on_error="skip"` leaves bad lines out and counts them.
    """
    return list(
        iterate_records(
            path,
            columns,
            required=required,
            format=format,
            on_error=on_error,
            skipped=skipped,
            max_line_bytes=max_line_bytes,
        )
    )


def iterate_records(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    required: Iterable[str] = (),
    format: str | None = None,
    on_error: OnError | Faults = "raise",
    skipped: Counter[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Record]:
    """`read_records` one at a time, for files of any size."""
    columns = dict(columns or {})
    faults = faults_for(on_error, skipped)
    if Path(path).is_dir():
        for article in article_files(Path(path)):
            yield from iterate_records(article, columns, required=required, format="race", on_error=faults)
        return
    kind = record_format(path, format)
    wanted = list(dict.fromkeys([*columns, *required]))
    empty = True
    if kind == "squad":
        rows = read_squad(path, faults)
    elif kind == "race":
        rows = read_article(Path(path), faults)
    else:
        rows = _questions(path, faults, read_rows(path, kind, faults, columns=columns, max_line_bytes=max_line_bytes))
    for number, row in rows:
        values = row if kind == "conll" else _renamed(row, columns)
        missing = [name for name in wanted if name not in values]
        if missing and kind != "jsonl":
            raise missing_columns(path, [columns.get(name, name) for name in missing], list(row))
        problem = _problem(values, missing, required, columns)
        if problem is None:
            empty = False
            yield Record(values, str(path), number)
        else:
            faults.report(path, number, *problem)
    if empty:
        faults.report(path, 1, "empty file", "no record in it")


def _questions(
    path: str | Path, faults: Faults, rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, with a row a question in place of a whole article of RACE."""
    for number, row in rows:
        if not is_article(row):
            yield number, row
            continue
        try:
            yield from ((number, question) for question in questions_of(row))
        except ValueError as error:
            faults.report(path, number, "wrong type", str(error))


def record_format(path: str | Path, given: str | None = None) -> str:
    """The format of a labelled file: as given, else by its suffix; `.json` is SQuAD's. InputError where none is known.

    >>> record_format("dev-v2.0.json.gz"), record_format("train.csv")
    ('squad', 'csv')
    """
    if given == "race":
        return given
    return "squad" if given is None and plain_suffix(path) == ".json" else format_of(path, given)


def _renamed(row: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    if not columns:
        return row
    taken = set(columns.values()) | set(columns)
    kept = {name: value for name, value in row.items() if name not in taken}
    return {name: row[column] for name, column in columns.items() if column in row} | kept


def _problem(
    values: Mapping[str, Any], missing: list[str], required: Iterable[str], columns: Mapping[str, str]
) -> tuple[str, str] | None:
    """(reason, detail) of the first thing wrong with a record."""
    if missing:
        return "missing value", f"no {columns.get(missing[0], missing[0])!r} in the object"
    for name in TEXTS:
        if name in values and values[name] is not None and not isinstance(values[name], str):
            return "wrong type", f"{name!r} is {type(values[name]).__name__}, not text"
        if "\0" in (values.get(name) or ""):
            return "NUL byte", f"in {name!r}"
    for name in required:
        value = values[name]
        if value is None or (
            isinstance(value, str | list) and not len(value if isinstance(value, list) else value.strip())
        ):
            return "missing value", f"{name!r} is empty"
    return None
