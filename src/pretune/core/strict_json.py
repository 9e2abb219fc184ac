"""JSON from files that somebody else wrote: one meaning or an error. Imports no torch.

Python's own reader takes a key that stands twice (the last one wins), NaN and Infinity, any depth, and halves of
surrogate pairs. Other readers disagree on each of these, so here each is a ValueError: a file must not mean one thing
to whoever checks it and another to whoever uses it.
"""

import json
import re
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError

MAX_DEPTH = 64
MAX_BYTES = 64 << 20
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise ValueError(f"the key {twice[:60]!a} stands twice in an object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def parse(text: str) -> Any:
    """The value of a JSON text. ValueError for what is no JSON, for a key twice, NaN, and more than 64 levels.

    >>> parse('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' stands twice in an object
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def half_surrogate(text: str, value: Any) -> str | None:
    r"""A half of a surrogate pair that an escape of the text left in its value, as `\udxxx`; None for valid Unicode."""
    found = _HALF.search(json.dumps(value, ensure_ascii=False)) if _ESCAPED_HALF.search(text) else None
    return rf"\u{ord(found[0]):04x}" if found else None


def read_object(path: Path, todo: str = "fetch or write it again", max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object of a file. InputError `file: what: todo` for anything else.

    A link is followed, but only to an ordinary file: reading a pipe or a device might never end.
    """
    return parse_object(path, read_text(path, todo, max_bytes), todo)


def parse_object(path: Path, text: str, todo: str = "fetch or write it again") -> dict[str, Any]:
    """The JSON object of a file's text. InputError as `read_object`."""
    try:
        value = parse(text)
        half = half_surrogate(text, value)
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}): {todo}") from error
    if half:
        raise InputError(f"{path}: {half} is half a surrogate pair, not valid Unicode: {todo}")
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}: {todo}")
    return value


def read_text(path: Path, todo: str, max_bytes: int = MAX_BYTES) -> str:
    """The UTF-8 text of an ordinary file of at most `max_bytes`. InputError for anything else."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not an ordinary file: {todo}")
        if path.stat().st_size > max_bytes:
            raise InputError(f"{path}: larger than {max_bytes:,} bytes, so not what its name says: {todo}")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing: {todo}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not valid UTF-8 ({error.reason}): {todo}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}): {todo}") from error


def _is_deeper(value: Any, depth: int) -> bool:
    """Level by level, so that no value is too deep for the check itself."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
