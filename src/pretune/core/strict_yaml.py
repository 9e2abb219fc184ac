"""YAML from files that somebody may have edited: plain values, one meaning, or an error with its line. No torch.

Left out of YAML 1.1 on purpose: anchors and aliases (a small file could unfold without bound), tags (`!!python/...`
asks for objects), merge keys, keys that stand twice, keys that are no plain values, more than 32 levels, halves of
surrogate pairs. A config needs none of them.
"""

from pathlib import Path
from typing import Any

import yaml

from pretune.core.errors import InputError

MAX_DEPTH = 32
MAX_DIGITS = 400


def parse_yaml(text: str, name: str | Path) -> Any:
    """The value of a YAML text. InputError `name:line: what` for anything that is not plain YAML.

    >>> parse_yaml("steps: 3", "run.yaml"), parse_yaml("", "run.yaml")
    ({'steps': 3}, None)
    """
    loader: Any = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line, what = text.count("\n", 0, error.position) + 1, f"the character U+{int(error.character):04X}"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, what = (mark.line + 1 if mark else 1), " ".join(str(error.problem or error.context).split())
    except (ValueError, OverflowError, LookupError, RecursionError) as error:  # an escape that is no character
        line, what = loader.line + 1, str(error)
    raise InputError(f"{name}:{line}: not plain YAML: {what:.300}: mend it")


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _wrong("anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _wrong("tags (!) are not allowed", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _wrong(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _wrong("merge keys (<<) are not allowed", key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise _wrong(f"{key!r:.60} cannot be a key", key_node.start_mark)
            if key in seen:
                raise _wrong(f"duplicate key {key!r:.60}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if is_number and len(node.value) > MAX_DIGITS:  # base 60 (1:30) takes time quadratic in its length
            raise _wrong(f"a number of more than {MAX_DIGITS} digits", node.start_mark)
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except (ValueError, OverflowError, LookupError) as error:  # a date that is none, a number of 5000 digits
            raise _wrong(f"a value that cannot be read ({error})", node.start_mark) from error
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise _wrong("half a surrogate pair, which is not valid Unicode", node.start_mark)
        return value


def _wrong(what: str, mark: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, mark)
