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
from pretune.train.signals import heed_only, held_back


class WorkerDied(RunError):
    """A process that prepares batches is gone."""


class StepMaker(Protocol):
    def step(self, step: int, progress: float) -> list[Batch]: ...


def prefetched(
    maker: StepMaker, start: int, end: int | None, progress_of: Callable[[int], float], workers: int
) -> Iterator[list[Batch]]:
    """Steps start, start + 1, ... (before `end`). What a step raises is raised here; WorkerDied when a worker does."""
    executor = _executor(maker, workers)
    ahead: deque[Future[list[Batch]]] = deque()
    following = start
    try:
        while True:
            while len(ahead) < 2 + 2 * workers and (end is None or following < end):
                progress = progress_of(following)
                ahead.append(_submitted(executor, maker, workers, following, progress))
                following += 1
            if not ahead:
                return
            yield ahead.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerDied("a process that prepares batches died (out of memory?): try a smaller `workers`") from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _submitted(executor: Executor, maker: StepMaker, workers: int, step: int, progress: float) -> Future[list[Batch]]:
    if workers == 0:
        return executor.submit(maker.step, step, progress)
    with held_back():  # the first call starts the processes
        return executor.submit(_prepare, step, progress)


def _executor(maker: StepMaker, workers: int) -> Executor:
    if workers == 0:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
    context = multiprocessing.get_context("spawn")
    with held_back():  # the queues start a process too, which keeps track of them
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_adopt, initargs=(maker,))


_adopted: list[StepMaker] = []
"""In a worker process: the feed it prepares steps of."""


def _adopt(maker: StepMaker) -> None:
    _adopted[:] = [maker]
    threading.Thread(target=heed_only, args=(os.getppid(),), daemon=True).start()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _prepare(step: int, progress: float) -> list[Batch]:
    return _adopted[0].step(step, progress)
