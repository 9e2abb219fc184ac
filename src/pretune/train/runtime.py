"""What a training process asks of its memory allocator and its garbage collector; given back when training is over.

A step allocates and frees the same blocks again. glibc gives a large block that was freed back to the kernel, page by
page, and takes the next one from there: a fresh page is cleared and faulted in when it is first written. With a
vocabulary of 30,522 a step of a small model faults in some 15,000 pages, 6 % of its time. While a model trains on CPU,
blocks up to KEPT_BYTES therefore come from the heap, and the heap keeps what was freed. Small objects that settle
between them may keep it from fitting the next block there, so that it holds several of a size; hence the limit. Where
steps differ in size this goes on and on (question answering at 384 tokens: 2.2 GB after 3 steps, 3.2 after 70, 7.7
after 625), so that what is free is given back whenever the process has grown by a tenth.

Python's collector looks through all the objects of the process from time to time, most of which are the imported
libraries' and live as long as it does: those that are there when training starts are left out.

Does not: touch other allocators than glibc's (jemalloc, musl's, macOS's), which have no such `mallopt`.
"""

import contextlib
import ctypes
import gc
import platform
import resource
from collections.abc import Iterator

import torch

KEPT_BYTES = 64 << 20
GROWTH, SLACK_BYTES = 1.1, 32 << 20
"""The process may grow to so many times what it was, and by this more, before free memory is given back."""
SETTLING_STEPS = 3
"""After so many steps a process has what it needs: the optimizer's state, and the largest blocks of most steps."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Numbers of mallopt's parameters (malloc.h)."""
_IN_TRAINING = {_MMAP_THRESHOLD: KEPT_BYTES, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 64 << 20}
_AFTERWARDS = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10}
"""Where glibc's own adjustment ends in a process that has freed a block of 32 MB; what it was cannot be asked."""


class Heap:
    """Watches what a training process holds; `after_step` gives back what is free where it has grown too far."""

    def __init__(self, libc: ctypes.CDLL | None) -> None:
        self._libc = libc
        self._needed = 0
        self._settling = SETTLING_STEPS

    def after_step(self) -> None:
        held = own_bytes() if self._libc is not None else 0
        if self._settling:  # at first, and in the step after memory was given back, which tells what steps need now
            self._settling -= 1
            self._needed = max(self._needed, held)
        elif self._libc is not None and held > GROWTH * self._needed + SLACK_BYTES:
            self._libc.malloc_trim(0)
            self._settling = 1


def own_bytes() -> int:
    """Memory that this process holds alone, without mapped files; 0 where /proc does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            _, resident, shared, *_ = file.read().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


@contextlib.contextmanager
def in_training(device: torch.device) -> Iterator[Heap]:
    """Makes the process quick at doing the same over and over, as long as the block runs. device: that trains. What it
    gives is to be told of every step."""
    libc = _glibc() if device.type == "cpu" else None
    gc.collect()
    gc.freeze()
    _set(libc, _IN_TRAINING)
    try:
        yield Heap(libc)
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
