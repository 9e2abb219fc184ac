"""Typed settings: every setting of a run is a documented field, set by dotted path, and an unknown key is an error.

`Settings` is a frozen pydantic model that forbids unknown fields. `resolve` builds one from defaults, a saved YAML and
`KEY=VALUE` assignments, in that order. Imports no torch.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pretune.core.errors import InputError, unknown
from pretune.core.strict_json import read_text
from pretune.core.strict_yaml import parse_yaml

_INTEGER = re.compile(r"-?[1-9][0-9]*|0")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
MAX_YAML_BYTES = 1 << 18
"""Some hundred times a run.yaml, and a few seconds of the reader at most."""


class Settings(BaseModel):
    """Base of every config: frozen; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,
    )


_TEXTS = ConfigDict(coerce_numbers_to_str=True)
S = TypeVar("S", bound=Settings)
T = TypeVar("T")


def fields(kind: type[Settings], prefix: str = "") -> dict[str, tuple[str, Any, str]]:
    """Dotted key -> (type as text, default, description) for every leaf of a settings class."""
    found: dict[str, tuple[str, Any, str]] = {}
    for name, field in kind.model_fields.items():
        inner = _settings_in(field.annotation)
        if inner is not None:
            found |= fields(inner, f"{prefix}{name}.")
        else:
            text = getattr(field.annotation, "__name__", None) if not get_args(field.annotation) else None
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            found[prefix + name] = (
                text or str(field.annotation).replace("typing.", ""),
                default,
                field.description or "",
            )
    return found


def _settings_in(annotation: Any) -> type[Settings] | None:
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, Settings):
            return option
    return None


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["optimizer.lr=3e-4", "steps=10"]` to a nested dict.

    A value is a number in decimal digits, true, false, null or nothing, a list or mapping in brackets (YAML), a text in
    quotes, or else a text as it stands: `yes`, `010`, `|` and dates are texts. Names of columns are always texts.

    >>> parse_assignments(["optimizer.lr=3e-4", "steps=10"])
    {'optimizer': {'lr': 0.0003}, 'steps': 10}
    >>> parse_assignments(["task.prefix=translate German to English: "])
    {'task': {'prefix': 'translate German to English: '}}
    >>> parse_assignments(['task.positive="0"', "task.separator=|", "columns.text=#1 String"])
    {'task': {'positive': '0', 'separator': '|'}, 'columns': {'text': '#1 String'}}
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"{assignment!r} is not a setting: write KEY=VALUE, for example optimizer.lr=3e-4")
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            inner = node.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise InputError(f"{key}: {parent} was set to a value before; set only its parts")
            node = inner
        if leaf in node:
            raise InputError(f"{key} is set twice")
        node[leaf] = _parse_value(text, is_text=parents[-1:] == ["columns"])
    return tree


def _parse_value(text: str, is_text: bool) -> Any:
    bare = text.strip()
    try:
        value = parse_yaml(text, "setting")
    except InputError:
        return text
    if bare[:1] in ("'", '"') and isinstance(value, str):
        return value
    if is_text:
        return text
    if bare[:1] in ("[", "{") or bare.lower() in ("true", "false", "null", ""):
        return value
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _DECIMAL.fullmatch(bare) else text


def assignment(key: str, value: Any) -> str:
    """`KEY=VALUE`, which `parse_assignments` reads as this value; a text stands in quotes only where it must.

    >>> assignment("task.positive", "1"), assignment("task.metric", "f1"), assignment("epochs", 1)
    ('task.positive="1"', 'task.metric=f1', 'epochs=1')
    """
    if not isinstance(value, str):
        return f"{key}={json.dumps(value, ensure_ascii=False)}"
    if _parse_value(value, is_text=key.split(".")[-2:-1] == ["columns"]) == value:
        return f"{key}={value}"
    quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return f"{key}={quoted.strip()}"


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts merged; `over` wins."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


def resolve(kind: type[S], *layers: Mapping[str, Any], assignments: Sequence[str] = ()) -> S:
    """A settings object from layers of nested dicts (later ones win) and `KEY=VALUE` assignments (these win over all).

    Raises InputError for an unknown key (naming the nearest known ones) and for a value of a wrong type or range.
    """
    tree: dict[str, Any] = {}
    for layer in (*layers, parse_assignments(assignments)):
        _refuse_unknown(kind, layer)
        tree = merge(tree, layer)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise InputError("; ".join(map(_in_words, error.errors()))) from error


def called(what: str, function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
    """`function(**arguments)`, each checked against its annotation first: where only a text is wanted, a number or a
    truth value is one. Raises InputError that begins with `what`.

    >>> def half(number: float) -> float:
    ...     return number / 2
    >>> called("half", half, {"number": 3})
    1.5
    """
    hints = _hints(function)
    checked = {}
    for name, value in arguments.items():
        try:
            if isinstance(value, bool) and hints[name] in (str, str | None):
                value = str(value).lower()
            checked[name] = TypeAdapter(hints[name], config=_TEXTS).validate_python(value)
        except ValidationError as error:
            raise InputError(f"{what}: {name}: {'; '.join(map(_in_words, error.errors()))}") from error
    try:
        return function(**checked)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}") from error


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


def _in_words(item: ErrorDetails) -> str:
    place = ".".join(str(part) for part in item["loc"])
    what = item["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    given = "" if isinstance(item["input"], Mapping) else f" (got {item['input']!r})"
    return (f"{place}: " if place else "") + what + given


def _refuse_unknown(kind: type[Settings], tree: Mapping[str, Any], prefix: str = "") -> None:
    for key, value in tree.items():
        if key not in kind.model_fields:
            raise unknown("setting", prefix + key, fields(kind, prefix))
        inner = _settings_in(kind.model_fields[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(inner, value, f"{prefix}{key}.")


def load_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from a file of at most 256 KiB: plain values only (`strict_yaml.py`). InputError `file:line`."""
    path = Path(path)
    tree = parse_yaml(read_text(path, "name a run.yaml that pretune wrote", MAX_YAML_BYTES), path)
    if not isinstance(tree, dict):
        raise InputError(f"{path}:1: expected a mapping of settings at the top")
    return tree


def dump_yaml(tree: Mapping[str, Any]) -> str:
    """YAML text with the keys in the given order."""
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, width=120)
