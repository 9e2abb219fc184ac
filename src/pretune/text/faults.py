"""What is wrong with a line of a file: raised at once, or skipped and counted.

Every reader takes `on_error` ("raise" or "skip") and a Counter `skipped` that it fills by reason.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pretune.core.errors import InputError, bad_line, unknown

OnError = Literal["raise", "skip"]

ADVICE: Mapping[str, str] = {
    "invalid UTF-8": "convert the file to UTF-8, or skip such lines",
    "NUL byte": "the file is binary or damaged; remove the byte, or skip such lines",
    "line too long": "break the line, raise max_line_bytes, or skip such lines",
    "invalid JSON": "write one JSON object a line, or skip such lines",
    "half a surrogate pair": "not valid Unicode; write the other half too, or skip such lines",
    "not an object": 'write {"text": ...} on each line, or skip such lines',
    "wrong number of cells": "give every row as many cells as the header, or skip such rows",
    "word number": "number a sentence's words 1, 2, 3 ..., a range 2-3 before word 2, an empty node 2.1 behind it, "
    "or skip such sentences",
    "quotes": 'close every quote and double those inside a quoted cell (""), or skip such rows',
    "missing value": "fill it in, or skip such rows",
    "wrong type": "mend the value, or skip such rows",
    "id twice": "give every question an id of its own, or skip such questions",
    "answer contradicted": "mend is_impossible or the answers, or skip such questions",
    "answer not at its offset": "correct answer_start, which counts characters, or skip such questions",
    "empty file": "give a file with text, or skip such files",
}
"""Reason -> what to do: the reasons under which skipped lines, rows and files are counted."""


@dataclass
class Faults:
    """Decides what happens to a bad line. `skipped` counts by reason."""

    on_error: OnError = "raise"
    skipped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise unknown("on_error", str(self.on_error), get_args(OnError))

    def report(self, path: str | Path, line: int, reason: str, detail: str = "") -> None:
        """Raises InputError `path:line: reason (detail): what to do`, or counts the reason."""
        todo = ADVICE[reason]
        if self.on_error == "raise":
            raise bad_line(path, line, f"{reason} ({detail})" if detail else reason, todo)
        self.skipped[reason] += 1


def faults_for(on_error: OnError | Faults, skipped: Counter[str] | None) -> Faults:
    """Faults that count into the caller's Counter, if there is one; the caller's own Faults as they are."""
    if isinstance(on_error, Faults):
        return on_error
    return Faults(on_error) if skipped is None else Faults(on_error, skipped)


def missing_columns(path: str | Path, missing: list[str], present: list[str], option: str | None = None) -> InputError:
    """An error about columns a file does not have. option: what names one, with NAME for its name."""
    names = ", ".join(repr(name) for name in missing)
    return bad_line(
        path,
        1,
        f"no column {names}; the file has {', '.join(map(repr, present)) or 'none'}",
        f"rename it in the file, or say which one it is, for example {option or f'columns.{missing[0]}=NAME'}",
    )
