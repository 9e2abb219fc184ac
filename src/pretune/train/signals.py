"""Signals: SIGTERM, SIGUSR1 and SIGINT ask a run to save and leave; a second one leaves at once.

Schedulers send SIGTERM (or, where asked, SIGUSR1) some time before they kill. The loop looks at `received` between two
steps and between two micro-batches, whose step is then given up: the weights are untouched until its end. What may take
long and can be repeated (an evaluation) runs inside `interruptible`, where the signal raises `Interrupted` at once. So
the wait is that of one micro-batch and one save.

Another kind of signal within two seconds of the first is the same request: a launcher that passes on Ctrl-C as SIGTERM
to processes that the terminal has told already. Python runs handlers in the main thread only; elsewhere nothing is
installed.

Where several processes train together (`is_shared`) nothing is raised: one that left in the middle of a step would
leave the others waiting. They tell each other of a signal before the next step, and all save and leave there.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from pretune.core.errors import RunError

ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGINT") if hasattr(signal, name))
SAME_REQUEST_SECONDS = 2.0


class Interrupted(BaseException):
    """Raised where the run asked for it; no handler of ordinary errors may swallow it."""


class Stopped(RunError):
    """A run that a signal ended. Exit status 130 after Ctrl-C, as shells have it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"stopped by {name} {message}")
        if name == "SIGINT":
            self.exit_status = 130


class Signals:
    """Handlers while the `with` block runs; the ones before are put back. received: the first signal's name."""

    def __init__(self) -> None:
        self.received: str | None = None
        self.before: dict[int, Any] = {}
        self.first = 0
        self.since = 0.0
        self.raises = False
        self.is_shared = False

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._handle) for number in ASKING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    @property
    def number(self) -> int:
        """Of the signal that came; 0: none has."""
        return self.first if self.received is not None else 0

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self.received is not None and not self.is_shared:
            raise Interrupted(self.received)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A stretch that a signal ends at once."""
        self.raises = not self.is_shared
        try:
            self.check()
            yield
        finally:
            self.raises = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if number != self.first and time.monotonic() - self.since < SAME_REQUEST_SECONDS:
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.first, self.since = number, time.monotonic()
        self.received = signal.Signals(number).name
        if self.raises:
            raise Interrupted(self.received)


@contextmanager
def held_back() -> Iterator[None]:
    """Signals wait until the end of the block. Processes started in it never get them: they inherit the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_only(parent: int) -> None:
    """In a thread of a process started while signals were held back: ends the process when `parent` asks, not when a
    signal was sent to the whole group (the parent still wants batches while it saves)."""
    if not hasattr(signal, "sigwaitinfo"):  # macOS does not tell who sent it
        return
    while signal.sigwaitinfo(ASKING).si_pid != parent:
        pass
    os._exit(1)
