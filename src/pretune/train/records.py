"""metrics.jsonl: a line a logged step, without gaps or repeats when a run is continued."""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from pretune.core.finite import finite


class MetricsFile:
    """Appends records to a JSON Lines file. Every record has a `step`, and steps never decrease."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None

    def open_after(self, step: int) -> None:
        """Opens the file for appending behind its lines of steps up to `step`; later or broken lines are cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "ab")  # noqa: SIM115 (closed by `close`)
        self.file.truncate(_end_of(self.path, step))

    def append(self, record: dict[str, Any]) -> None:
        assert self.file is not None, "open_after comes first"
        self.file.write((json.dumps(finite(record), ensure_ascii=False) + "\n").encode())
        self.file.flush()

    def sync(self) -> None:
        """Forces the lines onto the disk: called before a checkpoint, so that none before it can be missing."""
        if self.file is not None:
            os.fsync(self.file.fileno())

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _end_of(path: Path, step: int) -> int:
    """Bytes of the lines of steps up to `step`."""
    end = 0
    with open(path, "rb") as lines:
        for line in lines:
            try:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
    return end
