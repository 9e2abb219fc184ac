"""What a verb tells while it works, on standard error: a line rewritten on a terminal, now and then elsewhere."""

import sys
import time
from typing import TextIO


class Counting:
    """Called with what is counted, how many are done and how many there will be (None: not known)."""

    def __init__(self, title: str, stream: TextIO | None = None, every_seconds: float = 10.0) -> None:
        self.title = title
        self.stream = stream or sys.stderr
        self.every_seconds = 0.2 if self.stream.isatty() else every_seconds
        self.last_line = time.monotonic()
        self.width = 0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if time.monotonic() - self.last_line < self.every_seconds:
            return
        self.last_line = time.monotonic()
        share = f" of {total:,} ({done / total:.0%})" if total else ""
        self._show(f"{self.title}: {done:,}{share} {what}")

    def _show(self, line: str) -> None:
        if self.stream.isatty():
            print("\r" + line.ljust(self.width), end="", file=self.stream, flush=True)
            self.width = len(line)
        else:
            print(line, file=self.stream, flush=True)

    def close(self) -> None:
        """Clears the rewritten line."""
        if self.width:
            print("\r" + " " * self.width + "\r", end="", file=self.stream, flush=True)
            self.width = 0

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def say(line: str) -> None:
    """One line of news on standard error."""
    print(line, file=sys.stderr, flush=True)
