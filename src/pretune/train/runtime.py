"""What a training process asks of its memory allocator and its garbage collector; given back when training is over.

A step allocates and frees the same blocks again. glibc gives a large block that was freed back to the kernel, page by
page, and takes the next one from there: a fresh page is cleared and faulted in when it is first written. With a
vocabulary of 30,522 a step of a small model faults in some 15,000 pages, 6 % of its time. While a model trains on CPU,
blocks up to KEPT_BYTES therefore come from the heap, and the heap keeps what was freed. Small objects that settle
between them may keep it from fitting the next block there, so that it holds several of a size; hence the limit.

Python's collector looks through all the objects of the process from time to time, most of which are the imported
libraries' and live as long as it does: those that are there when training starts are left out.

Does not: touch other allocators than glibc's (jemalloc, musl's, macOS's), which have no such `mallopt`.
"""

import contextlib
import ctypes
import gc
import platform
from collections.abc import Iterator

import torch

KEPT_BYTES = 64 << 20

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Numbers of mallopt's parameters (malloc.h)."""
_IN_TRAINING = {_MMAP_THRESHOLD: KEPT_BYTES, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 64 << 20}
_AFTERWARDS = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10}
"""Where glibc's own adjustment ends in a process that has freed a block of 32 MB; what it was cannot be asked."""


@contextlib.contextmanager
def in_training(device: torch.device) -> Iterator[None]:
    """Makes the process quick at doing the same over and over, as long as the block runs. device: that trains."""
    libc = _glibc() if device.type == "cpu" else None
    gc.collect()
    gc.freeze()
    _set(libc, _IN_TRAINING)
    try:
        yield
    finally:
        _set(libc, _AFTERWARDS)
        gc.unfreeze()
        if libc is not None:
            libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _set(libc: ctypes.CDLL | None, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        if libc is not None:
            libc.mallopt(parameter, value)
