"""A directory that one process at a time may write in: `with claimed(directory, what):`. Imports no torch.

The owner keeps `run.lock` in the directory, a line of JSON that says who it is, and holds flock(2) on it for its life.
The kernel drops an flock with its owner, however that ends, so a claimant under the same kernel (boot id), in another
container too, that gets the flock knows that the owner is dead, and takes over at once. An flock that was taken on
another machine may not be seen over a network file system. Therefore the owner also counts in its file, every BEAT
seconds: a claimant from another machine, or on a file system without flock, watches for WATCH seconds and takes over
only if nothing moved; then it writes its name, waits until slower claimants have written theirs, and whose name stands
there then has the directory. Clocks are never compared.

A file is removed only by the owner it names, while it holds the flock; whoever gets an flock makes sure that the file
still has its name, so that two never hold two files.

Does not: keep out programs that do not ask; see an owner that was stopped (SIGSTOP, a network away) for more than WATCH
seconds while another machine took over. Such an owner notices at its next beat: `Lock.check` raises.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import stat
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pretune.core.errors import InputError, PretuneError, RunError

NAME = "run.lock"
BEAT, WATCH, SETTLE = 10.0, 60.0, 2.0
"""Seconds between an owner's beats, of watching one that may be on another machine, and of waiting for rivals."""

_NO_FLOCK = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_MAX_BYTES = 1 << 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """Who holds a directory, as its file says. boot: the kernel it runs under; id: of this one claim."""

    id: str
    host: str
    boot: str
    pid: int
    since: str
    command: str

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host}, since {self.since})"

    def line(self, beat: int) -> bytes:
        """The file's content; its length does not depend on the beat, so that a beat never moves what follows."""
        rest = json.dumps(vars(self), ensure_ascii=False)
        return f'{{"beat": {beat:>12}, {rest[1:]}\n'.encode()


@dataclass(frozen=True)
class Pace:
    """Seconds: see BEAT, WATCH and SETTLE."""

    beat: float = BEAT
    watch: float = WATCH
    settle: float = SETTLE


@contextlib.contextmanager
def claimed(directory: Path, what: str, *, pace: Pace | None = None) -> Iterator["Lock"]:
    """Holds a directory, which is made where there is none, as long as the block runs.

    what: the command, as others will be told. InputError, with the owner's name, where another process has the
    directory, and where it cannot be written in; RunError on a full disk.
    """
    made = not directory.exists()
    try:
        lock = _take(directory, what, pace or Pace())
        try:
            lock.start()
            yield lock
        finally:
            lock.release()
    finally:
        if made:
            with contextlib.suppress(OSError):  # not empty: what the run left
                directory.rmdir()


class Lock:
    """A held directory. taken_over_from: the dead owner whose file was found there, if any."""

    def __init__(self, path: Path, descriptor: int, owner: Owner, pace: Pace, taken_over_from: str | None) -> None:
        self.path, self.descriptor, self.owner, self.pace = path, descriptor, owner, pace
        self.taken_over_from = taken_over_from
        self.lost_to: str | None = None
        self._count = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name=f"beat of {path}", daemon=True)
        self._process = os.getpid()
        _HELD.add(self)

    def check(self) -> None:
        """RunError where another process has taken the directory over since."""
        if self.lost_to is not None:
            raise RunError(
                f"{self.path.parent} was taken over by {self.lost_to} while this process stood still: it stops here; "
                f"checkpoints written before are safe"
            )

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """Counts on in the file, unless another name stands there or the file is gone."""
        found = _read(self.path)
        rival = _parse(found)
        if found is None or (rival is not None and rival.id != self.owner.id):
            self.lost_to = "someone who removed its run.lock" if found is None else str(rival)
            log.error("%s was taken over by %s", self.path.parent, self.lost_to)
            return
        self._count += 1
        with contextlib.suppress(OSError):  # a full disk or a network away: the next beat tries again
            os.pwrite(self.descriptor, self.owner.line(self._count), 0)
            os.fsync(self.descriptor)

    def _beat_on(self) -> None:
        while self.lost_to is None and not self._over.wait(self.pace.beat):
            self.beat()

    def release(self) -> None:
        """Gives the directory back: removes the file where it still is this owner's, then the flock."""
        if os.getpid() != self._process:
            return
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if has_name(self.descriptor, self.path) and self.owner.id.encode() in (_read(self.path) or b""):
                self.path.unlink()
        _HELD.discard(self)
        os.close(self.descriptor)


_HELD: "weakref.WeakSet[Lock]" = weakref.WeakSet()
"""A forked child shares the flock, and would keep it when the owner dies: it closes its copies at birth."""


def _let_go_in_child() -> None:
    for lock in _HELD:
        with contextlib.suppress(OSError):
            os.close(lock.descriptor)


os.register_at_fork(after_in_child=_let_go_in_child)


def _take(directory: Path, what: str, pace: Pace) -> Lock:
    path = directory / NAME
    owner = Owner(uuid.uuid4().hex, socket.gethostname(), _boot(), os.getpid(), _now(), what)
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            opened = _open(path)
        except OSError as error:
            raise _unwritable(directory, error) from error
        if opened is None:
            continue
        descriptor, is_new = opened
        try:
            lock = _try(path, descriptor, is_new, owner, pace)
        except OSError as error:
            if is_new:
                path.unlink(missing_ok=True)
            os.close(descriptor)
            raise _unwritable(directory, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        if lock is not None:
            return lock
        os.close(descriptor)


def _try(path: Path, descriptor: int, is_new: bool, owner: Owner, pace: Pace) -> Lock | None:
    """The lock; None where the file changed hands meanwhile, so that one has to begin anew."""
    has_flock = try_flock(descriptor)
    if has_flock is False:
        _refuse(path, _read(path))
    if not has_name(descriptor, path):
        return None
    before = None if is_new else _read(path)
    earlier = _parse(before)
    is_proof = is_new or (has_flock and earlier is not None and earlier.boot == owner.boot)
    if not is_proof and not _stands_still(path, before or b"", pace):
        return None
    line = owner.line(0)
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))
    os.fsync(descriptor)
    if not is_proof:
        time.sleep(pace.settle)
        if not has_name(descriptor, path) or owner.id.encode() not in (_read(path) or b""):
            return None
    if before:
        log.warning("%s was left by %s, which no longer runs: taken over", path.parent, _named(before))
    return Lock(path, descriptor, owner, pace, _named(before) if before else None)


def _stands_still(path: Path, before: bytes, pace: Pace) -> bool:
    """Whether a file of an owner that cannot be asked stays as it is. InputError when it counts on; False when gone.

    An empty file is of a claimant that is just about to write its name, or was killed there.
    """
    seconds = pace.watch if before else pace.settle
    if before:
        what = f"{path.parent} was claimed by {_named(before)}"
        log.warning("%s; watching for %g s whether it still runs", what, seconds)
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, max(pace.beat / 10, 0.01)))
        now = _read(path)
        if now is None:
            return False
        if now != before:
            _refuse(path, now)
    return True


def _refuse(path: Path, found: bytes | None) -> NoReturn:
    raise InputError(
        f"{path.parent} is in use by {_named(found)}: wait until it ends or stop it, or give another directory"
    )


def _open(path: Path) -> tuple[int, bool] | None:
    """(descriptor, whether the file is new); None where it came and went in between."""
    with contextlib.suppress(FileExistsError):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), True
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, f"{NAME} is not a file")
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), False
    return None


def try_flock(descriptor: int) -> bool | None:
    """Whether the flock was got; None on a file system that has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return None
        raise
    return True


def has_name(descriptor: int, path: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _read(path: Path) -> bytes | None:
    """The file's first bytes, opened anew, since a network file system looks for changes when a file is opened."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None


def _parse(found: bytes | None) -> Owner | None:
    try:
        told = json.loads((found or b"").split(b"\n")[0])
        del told["beat"]
        return Owner(**told)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _named(found: bytes | None) -> str:
    return str(_parse(found) or "a process that could not be named")


def _boot() -> str:
    """Names the running kernel: the same in all of a machine's containers, another after a restart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return socket.gethostname()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z")


def _unwritable(directory: Path, error: OSError) -> PretuneError:
    if error.errno in _NO_SPACE:
        return RunError(f"{directory}: no room for {NAME} ({error}): free space there; nothing was changed")
    return InputError(f"{directory} cannot be written in ({error}): give another directory, or mend its rights")
