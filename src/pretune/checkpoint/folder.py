"""A directory that is replaced whole or not at all: written beside its final name, synced, then renamed.

Between its two renames neither the old nor the new one has the name, and a reader says that there is none; `restore`
puts the old one back where a save was killed just there. One process writes at a time: the unfinished folder is locked.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from pretune.checkpoint.disk import STOP, OnFull
from pretune.checkpoint.store import sync
from pretune.core.errors import InputError, RunError
from pretune.core.lock import has_name, try_flock


def replace_folder(
    final: Path, write: Callable[[Path], None], *, ours: Collection[str], marker: str, on_full: OnFull = STOP
) -> None:
    """Calls `write` with a folder beside `final`, syncs what it wrote, and gives the folder its final name.

    What is there before is replaced if it has the file `marker` and no other files than `ours`, and stays as it is
    until then. Raises InputError where `final` holds anything else or another process is writing it, and RunError when
    the disk refuses; with `on_full` waiting, `write` is called again when there is room.
    """
    restore(final)
    _refuse_strangers(final, ours, marker)
    size = 1 << 20

    def attempt() -> None:
        nonlocal size
        with _unfinished(final) as folder:
            try:
                write(folder)
            finally:
                size = max(size, 2 * sum(path.stat().st_size for path in folder.rglob("*")))
            for path in (*folder.rglob("*"), folder):
                sync(path)
            _give_name(folder, final)

    safe = "nothing there was changed"
    try:
        on_full.write(attempt, final.parent, str(final), lambda: size, lambda: safe)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{final} could not be written: {error}; {safe}") from error
    finally:
        restore(final)
        shutil.rmtree(_beside(final, "discarded"), ignore_errors=True)


def restore(final: Path) -> None:
    """Puts the earlier folder back where a save was killed just before the new one got its name."""
    if not final.exists() and _beside(final, "discarded").is_dir():
        os.rename(_beside(final, "discarded"), final)


@contextmanager
def _unfinished(final: Path) -> Iterator[Path]:
    """An empty folder beside the final name that is this process's alone; removed unless it got another name."""
    folder = _beside(final, "unfinished")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if try_flock(descriptor) is False or not has_name(descriptor, folder):
            raise InputError(f"{final} is being written by another process: wait until it ends")
        for path in folder.iterdir():  # of a save that was killed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield folder
        finally:
            if has_name(descriptor, folder):
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _give_name(folder: Path, final: Path) -> None:
    if final.exists():
        os.rename(final, _beside(final, "discarded"))
    os.rename(folder, final)
    sync(final.parent)


def _beside(final: Path, what: str) -> Path:
    return final.with_name(f".{what}-{final.name}")


def _refuse_strangers(final: Path, ours: Collection[str], marker: str) -> None:
    if not final.exists():
        return
    if not final.is_dir():
        raise InputError(f"{final} is a file: name a directory")
    there = {path.name for path in final.iterdir()}
    if there and (marker not in there or there - set(ours)):
        stray = sorted(there - set(ours) or there)
        raise InputError(f"{final} holds {', '.join(stray[:3])}, which saving would delete: choose another directory")
