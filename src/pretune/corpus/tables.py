"""Tables that are made from a corpus once and kept beside it: places of samples, for an arrangement and its length.

A file is an .npy, so that it can be memory-mapped, and then the sha256 of it. It is written beside its name, synced and
renamed. Opening a table looks at its size only, as opening a corpus does; `damaged_tables` hashes.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.npy import GrowingArray
from pretune.core.processes import remove_left_by_dead, unique_to_process

FOLDER = "tables"
_DIGEST_BYTES = hashlib.sha256().digest_size


def load_table(path: Path) -> NDArray[np.int64] | None:
    """The table, memory-mapped where it is not empty; None where there is none or it is not whole."""
    try:
        table: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        header = table.offset  # type: ignore[attr-defined]
    except (OSError, ValueError, EOFError):
        return _load_empty(path)
    is_whole = table.dtype == np.int64 and path.stat().st_size == header + table.nbytes + _DIGEST_BYTES
    return np.asarray(table) if is_whole else None


def _load_empty(path: Path) -> NDArray[np.int64] | None:
    try:
        table = np.load(path, allow_pickle=False)  # an empty array cannot be mapped
    except (OSError, ValueError, EOFError):
        return None
    return table if table.dtype == np.int64 and table.size == 0 else None


def save_table(path: Path, pieces: Iterable[NDArray[np.int64]]) -> NDArray[np.int64] | None:
    """Writes a table [N] piece by piece, in bounded memory, and opens it; None where nothing can be written."""
    beside = path.with_name(unique_to_process(f".{path.name}."))
    try:
        path.parent.mkdir(exist_ok=True)
        remove_left_by_dead(path.parent, f".{path.name}.")
        with beside.open("w+b") as file:
            table = GrowingArray(file, np.dtype(np.int64))
            for piece in pieces:
                table.write(piece)
            table.finish()
            file.seek(0)
            file.write(hashlib.file_digest(file, "sha256").digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:  # a read-only directory or a full disk
        with suppress(OSError):
            beside.unlink()
        return None
    return load_table(path)


def damaged_tables(corpus: Path) -> list[str]:
    """Names of the tables of a corpus's directory that are not as they were written."""
    found = sorted((corpus / FOLDER).glob("*.npy")) if (corpus / FOLDER).is_dir() else []
    return [f"{FOLDER}/{path.name}" for path in found if not _is_intact(path)]


def _is_intact(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size < _DIGEST_BYTES:
        return False
    sha, left = hashlib.sha256(), path.stat().st_size - _DIGEST_BYTES
    with path.open("rb") as file:
        while block := file.read(min(left, 1 << 22)):
            sha.update(block)
            left -= len(block)
        return file.read() == sha.digest()
