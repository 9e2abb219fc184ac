"""Room on the disk: how much a checkpoint takes, whether there is so much, and what happens when there is not.

`require` refuses a run before its first step. `OnFull.write` is the one way in which a full disk is met later: it stops
the run with a message that says what is safe, or waits until there is room and writes again.

Does not: see quotas beforehand, which no portable call tells; a write that meets one is treated as a full disk.
"""

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from safetensors import SafetensorError

from pretune.checkpoint import state as states
from pretune.core.errors import InputError, RunError

OnDiskFull = Literal["stop", "wait"]

POLL_SECONDS = 2.0
OVERHEAD = 1 << 16
"""Bytes allowed for what is small in a checkpoint or run: manifest, file system blocks, lines of metrics.jsonl."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = tuple(text for code in _FULL for text in (f"os error {code})", os.strerror(code).lower()))

log = logging.getLogger(__name__)
T = TypeVar("T")


def checkpoint_bytes(state: Mapping[str, Any]) -> int:
    """Bytes that `store.save` writes for a state: at least what its files will have, at most a few blocks more."""
    skeleton, tensors = states.split(state)
    total = len(json.dumps(skeleton, ensure_ascii=False).encode()) + OVERHEAD
    for part, named in tensors.items():
        for name, tensor in named.items():
            total += tensor.numel() * tensor.element_size() + len(json.dumps(name)) + 128 + 24 * tensor.ndim
        total += len(part) + 16
    return total


def held_bytes(directory: Path) -> int:
    """Bytes of all files in a directory and below; 0 where there is none. Files that vanish meanwhile are left out."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there; a directory that is to be made counts as its nearest parent."""
    return shutil.disk_usage(_existing(directory)).free


def require(directory: Path, num_bytes: int, what: str, *, on_full: OnDiskFull = "stop") -> None:
    """InputError where so many bytes do not fit. what: what needs them, in words.

    With "wait" only what could never fit is refused; what does not fit now is said.
    """
    usage = shutil.disk_usage(_existing(directory))
    if num_bytes <= usage.free:
        return
    told = f"{directory}: {what} need {as_text(num_bytes)}, and {as_text(usage.free)} are free there"
    if on_full == "wait" and num_bytes <= usage.total:
        log.warning("%s: the run begins, and waits for room when it is needed", told)
        return
    raise InputError(f"{told}: free space, give an --out on another disk, or lower keep_checkpoints")


@dataclass(frozen=True)
class OnFull:
    """What a write does that meets a full disk. should_leave: whether to give up waiting, asked again and again."""

    mode: OnDiskFull = "stop"
    should_leave: Callable[[], bool] = lambda: False
    poll_seconds: float = POLL_SECONDS

    def write(
        self, attempt: Callable[[], T], where: Path, what: str, num_bytes: Callable[[], int], safe: Callable[[], str]
    ) -> T:
        """`attempt()`, which leaves nothing half-written behind when it raises.

        where: the directory it writes in; what: what it writes; num_bytes: how many bytes that needs; safe: what is on
        disk, for the message. Raises RunError when the disk is full and waiting is not asked for or was ended; an error
        of another kind is passed on.
        """
        waited = False
        while True:
            try:
                found = attempt()
            except (OSError, SafetensorError) as error:
                if not is_full(error):
                    raise
                if self.mode == "stop":
                    raise RunError(f"{what} could not be written: {error}; {safe()}") from error
                self._wait(where, what, num_bytes(), safe, quiet=waited)
                waited = True
            else:
                if waited:
                    log.warning("%s is written: the run goes on", what)
                return found

    def _wait(self, where: Path, what: str, num_bytes: int, safe: Callable[[], str], *, quiet: bool) -> None:
        """Returns when so many bytes are free, one poll at the earliest: under a quota free space tells nothing."""
        if not quiet:
            log.warning(
                "the disk is full: %s needs %s in %s, where %s are free; waiting until there is room (%s)",
                *(what, as_text(num_bytes), where, as_text(free_bytes(where)), safe()),
            )
        while True:
            if self.should_leave():
                raise RunError(f"{what} could not be written: the disk is full, and waiting was ended; {safe()}")
            time.sleep(self.poll_seconds)
            if free_bytes(where) >= num_bytes:
                return


STOP = OnFull()


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or a quota, is full; safetensors says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return isinstance(error, SafetensorError) and any(text in str(error).lower() for text in _FULL_TEXTS)


def as_text(num_bytes: int) -> str:
    """
    >>> as_text(512), as_text(2_500_000), as_text(3_200_000_000)
    ('512 bytes', '2.5 MB', '3.2 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"


def _existing(directory: Path) -> Path:
    directory = directory.absolute()
    return next(path for path in (directory, *directory.parents) if path.exists())
