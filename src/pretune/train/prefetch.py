"""Prepares the steps of a feed ahead of the loop: in a thread, or in processes that each prepare whole steps.

Steps are handed out in order whatever prepares them. Processes are spawned (a fork of a process with threads may hang),
so a script that uses them needs `if __name__ == "__main__":`; they end with their parent even when it is killed.
"""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Protocol

from pretune.core.errors import RunError
from pretune.core.stream import Batch


class StepMaker(Protocol):
    def step(self, step: int, progress: float) -> list[Batch]: ...


def prefetched(
    maker: StepMaker, start: int, end: int | None, progress_of: Callable[[int], float], workers: int
) -> Iterator[list[Batch]]:
    """Steps start, start + 1, ... (before `end`). What a step raises is raised here; RunError when a worker dies."""
    executor = _executor(maker, workers)
    ahead: deque[Future[list[Batch]]] = deque()
    following = start
    try:
        while True:
            while len(ahead) < 2 + 2 * workers and (end is None or following < end):
                progress = progress_of(following)
                ahead.append(
                    executor.submit(_prepare, following, progress)
                    if workers
                    else executor.submit(maker.step, following, progress)
                )
                following += 1
            if not ahead:
                return
            yield ahead.popleft().result()
    except BrokenProcessPool as error:
        raise RunError("a process that prepares batches died (out of memory?): try a smaller `workers`") from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _executor(maker: StepMaker, workers: int) -> Executor:
    if workers == 0:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_adopt, initargs=(maker,))


_adopted: list[StepMaker] = []
"""In a worker process: the feed it prepares steps of."""


def _adopt(maker: StepMaker) -> None:
    _adopted[:] = [maker]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _prepare(step: int, progress: float) -> list[Batch]:
    return _adopted[0].step(step, progress)
