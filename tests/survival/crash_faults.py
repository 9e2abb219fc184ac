"""Fault points: kills its own process at the N-th file operation below some directories. Linux only.

Installed from outside, before a command begins; nothing in src/ knows of it. What changes the disk counts: opening a
file to write, each write, truncate, fsync, rename, remove, mkdir, rmdir, and a whole safetensors file (which native
code writes). Python's audit events tell of most; writes, fsync and safetensors are wrapped. SIGKILL comes before the
operation; `torn` lets the first half of a write reach the file and then kills.

Not seen: what native code writes otherwise (numpy's `tofile`; such files are empty or whole at a kill), and reading.
"""

import builtins
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
AUDITED = {"os.rename": 2, "os.remove": 1, "os.mkdir": 2, "os.rmdir": 1, "os.link": 2, "os.symlink": 2}
"""Event -> where the directory's descriptor stands among its arguments."""


class FaultPoints:
    """Counts operations below `roots` whose line ("what path") has `of` in it, a line each in `journal`.

    Kills at number `at` (from 0; None: never).
    """

    def __init__(self, roots: Sequence[str], journal: str, at: int | None, torn: bool, of: str) -> None:
        self.roots = tuple(os.path.realpath(root) + os.sep for root in roots)
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.at, self.torn, self.of = at, torn, of
        self.count = 0

    def point(self, what: str, path: str, tear: Callable[[], None] | None = None) -> None:
        if not (path + os.sep).startswith(self.roots) or self.of not in f"{what} {path}":
            return
        number, self.count = self.count, self.count + 1
        os.write(self.journal, f"{what} {path}\n".encode())
        if number != self.at:
            return
        if self.torn and tear is not None:
            tear()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self.point("open", _full(path))
        elif event in AUDITED:
            self.point(event.removeprefix("os."), _full(arguments[0], arguments[AUDITED[event]]))

    def install(self) -> None:
        sys.addaudithook(self.audit)
        self._wrap_fsync()
        self._wrap_open()
        self._wrap_safetensors()

    def _wrap_fsync(self) -> None:
        real = os.fsync

        def fsync(descriptor: int) -> None:
            self.point("fsync", _of_descriptor(descriptor))
            real(descriptor)

        os.fsync = fsync  # type: ignore[assignment]

    def _wrap_open(self) -> None:
        real = builtins.open

        def opened(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            handle = real(file, mode, *rest, **named)
            if set(mode) & set("wax+"):
                self._wrap_handle(handle)
            return handle

        builtins.open = io.open = opened  # type: ignore[assignment]

    def _wrap_handle(self, handle: Any) -> None:
        path, write, truncate = _of_descriptor(handle.fileno()), handle.write, handle.truncate

        def half(data: Any) -> None:
            write(data[: len(data) // 2])
            handle.flush()

        def written(data: Any) -> Any:
            self.point("write", path, lambda: half(data))
            return write(data)

        def truncated(*size: int) -> Any:
            self.point("truncate", path)
            return truncate(*size)

        handle.write, handle.truncate = written, truncated

    def _wrap_safetensors(self) -> None:
        import safetensors.torch

        real = safetensors.torch.serialize_file

        def serialize_file(tensors: Any, filename: Any, *rest: Any, **named: Any) -> None:
            path = _full(filename)

            def half() -> None:
                real(tensors, filename, *rest, **named)
                os.truncate(path, os.path.getsize(path) // 2)

            self.point("write", path, half)
            real(tensors, filename, *rest, **named)

        safetensors.torch.serialize_file = serialize_file


def _full(path: Any, folder: Any = -1) -> str:
    if isinstance(path, int):
        return _of_descriptor(path)
    text = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0:
        return os.path.join(_of_descriptor(folder), text)
    return os.path.join(os.path.realpath(os.path.dirname(text) or "."), os.path.basename(text))


def _of_descriptor(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
