"""Results as text for people, or as one JSON object on standard output for programs."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pretune.core.finite import finite


def emit(result: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Prints one or the other. Progress never goes to standard output, so `--json` is all that stands there."""
    print(json.dumps(finite(result), ensure_ascii=False) if as_json else text)


def emit_lines(rows: Iterable[Any]) -> None:
    """JSONL: one value a line, as it comes."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.flush()
