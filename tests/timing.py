"""How tests hold a speed on machines that are busy: the fastest of several runs, never one.

A pause (the collector over a heap that thousands of tests have filled, a neighbour on the machine) makes one run slow,
not all of them. Bounds are far from what was seen and near what would be a mistake: work a text or a token that was
meant to be done once, or time that grows with the square of the length.
"""

import gc
import time
from collections.abc import Callable


def fastest(call: Callable[[], object], times: int = 7) -> float:
    """Seconds of processor time of the fastest of `times` calls, after one that is not counted."""
    call()
    enabled = gc.isenabled()
    gc.disable()
    try:
        return min(_seconds(call) for _ in range(times))
    finally:
        if enabled:
            gc.enable()


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
