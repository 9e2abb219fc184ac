"""metrics.jsonl: a line a logged step, without gaps or repeats when a run is continued."""

import json
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

from pretune.checkpoint.disk import STOP, OnFull
from pretune.checkpoint.store import still_on_disk
from pretune.core.errors import RunError
from pretune.core.finite import finite


class MetricsFile:
    """Appends records to a JSON Lines file. Every record has a `step`, and steps never decrease.

    A line is in the file whole or not at all, also when the disk is full (`on_full`). Raises RunError, which says what
    is safe, when the disk refuses.
    """

    def __init__(self, path: Path, on_full: OnFull = STOP) -> None:
        self.path, self.on_full = path, on_full
        self.file: FileIO | None = None

    def open_after(self, step: int) -> None:
        """Opens the file for appending behind its lines of steps up to `step`; later or broken lines are cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (closed by `close`)
        self.file.truncate(_end_of(self.path, step))

    def append(self, record: dict[str, Any]) -> None:
        assert self.file is not None, "open_after comes first"
        line = (json.dumps(finite(record), ensure_ascii=False) + "\n").encode()
        file, end = self.file, self.file.seek(0, os.SEEK_END)

        def attempt() -> None:
            try:
                written = 0
                while written < len(line):  # near a full disk a part may be written before the error comes
                    written += file.write(line[written:]) or 0
            except OSError:
                file.truncate(end)
                raise

        self._write(attempt, len(line))

    def sync(self) -> None:
        """Forces the lines onto the disk: called before a checkpoint, so that none before it can be missing."""
        if self.file is not None:
            descriptor = self.file.fileno()
            self._write(lambda: os.fsync(descriptor), 0)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def _write(self, attempt: Callable[[], None], num_bytes: int) -> None:
        def safe() -> str:
            return f"its lines so far are whole; {still_on_disk(self.path.parent / 'checkpoints')}"

        try:
            self.on_full.write(attempt, self.path.parent, str(self.path), lambda: max(num_bytes, 1 << 16), safe)
        except OSError as error:
            raise RunError(f"{self.path} could not be written: {error}; {safe()}") from error


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
