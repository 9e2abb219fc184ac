"""Exceptions that say what is wrong, where, and what to do, with the exit status the command line ends with.

`InputError` (exit 2): the request, a setting or a file is wrong, and the user can mend it.
`RunError` (exit 1): a run that was rightly asked for failed; its message says why and what is safe on disk.
"""

import difflib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType


class PretuneError(Exception):
    """Base of every error pretune raises on purpose."""

    exit_status = 1


class InputError(PretuneError, ValueError):
    """The request is wrong: a file, a setting or a name. The message says what to change."""

    exit_status = 2


class RunError(PretuneError, RuntimeError):
    """A run failed. The message says why and what is safe on disk."""

    exit_status = 1


def bad_line(path: str | Path, line: int, what: str, todo: str) -> InputError:
    """An error about one line of a file, as `file:line: what: what to do`.

    >>> str(bad_line("a.txt", 3, "not valid UTF-8", "convert the file to UTF-8"))
    'a.txt:3: not valid UTF-8: convert the file to UTF-8'
    """
    return InputError(f"{path}:{line}: {what}: {todo}")


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An error about an unknown name that offers the nearest known ones.

    >>> str(unknown("recipe", "brt", ["bert", "modern"]))
    "unknown recipe 'brt'; did you mean bert? Known: bert, modern"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    return InputError(f"unknown {kind} {name!r};{hint} Known: {', '.join(names)}")


def need_extra(module: str, extra: str) -> ModuleType:
    """Imports an optional dependency, or says exactly how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(f'this needs {module.split(".")[0]}: pip install "pretune[{extra}]"') from error
