"""Results as text for people, or as one JSON object on standard output for programs."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, PretuneError, RunError
from pretune.core.finite import finite


def emit(result: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Prints one or the other. Progress never goes to standard output, so `--json` is all that stands there.

    An empty result is that of a process that only helped another to train: nothing is printed.
    """
    if result:
        print(json.dumps(finite(result), ensure_ascii=False) if as_json else text)


def emit_lines(rows: Iterable[Any], out: Path | None = None) -> None:
    """JSONL: one value a line, as it comes, to standard output or to a file that is named when it is whole.

    An error says how many lines stand before it. Standard output is flushed every second or so.
    """
    from pretune.verbs.outputs import JsonLines, beside

    written, last_flush = 0, time.monotonic()
    try:
        if out is None:
            for row in rows:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
                if time.monotonic() - last_flush > 1:
                    sys.stdout.flush()
                    last_flush = time.monotonic()
        else:
            with JsonLines(out) as file:
                for row in rows:
                    file.write(row)
                    written += 1
    except PretuneError as error:
        where = "" if out is None else f" to {beside(out)}"
        kind = InputError if isinstance(error, InputError) else RunError
        told = f" ({written:,} results before it were written{where})" if written else ""
        raise kind(f"{error}{told}") from error
    finally:
        if out is None:
            sys.stdout.flush()
