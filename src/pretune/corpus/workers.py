"""Blocks encoded in order by any number of processes, a bounded number of blocks ahead.

Processes are spawned, not forked: the caller may hold threads. A worker imports no torch, and ends when its parent
does, even when that is killed: the pool by itself would leave it waiting for work for ever. The tokenizer goes to the
workers in a directory: what a process is started with must fit a pipe (64 KiB), or the parent waits for ever for one
that died at its start.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory

from pretune.core.errors import RunError
from pretune.corpus.blocks import Block, read_blocks
from pretune.corpus.encode import Encoded, Encoder, Unit
from pretune.text.documents import Part
from pretune.tokenizers.tokenizer import Tokenizer

_BLOCKS_AHEAD = 2

_encoder: Encoder | None = None


def _start_worker(tokenizer_dir: str, language: str | None) -> None:
    global _encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a worker is one core
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _encoder = Encoder(Tokenizer.load(tokenizer_dir), language)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encode_in_worker(units: Sequence[Unit]) -> Encoded:
    assert _encoder is not None
    return _encoder.encode(units)


def encode_all(
    parts: Iterable[Part], tokenizer: Tokenizer, language: str | None, workers: int, scratch: Path
) -> Iterator[tuple[Block, Encoded]]:
    """The blocks in order, each with its ids. At most a few blocks a worker are held. scratch: a folder for a while."""
    if workers == 1:
        encoder = Encoder(tokenizer, language)
        for block in read_blocks(parts):
            yield block, encoder.encode(block.units)
        return
    with TemporaryDirectory(dir=scratch) as folder:
        tokenizer.save(folder)
        yield from _encode_by(parts, folder, language, workers)


def _encode_by(
    parts: Iterable[Part], tokenizer_dir: str, language: str | None, workers: int
) -> Iterator[tuple[Block, Encoded]]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (tokenizer_dir, language))
    waiting: deque[tuple[Block, Future[Encoded]]] = deque()
    try:
        for block in read_blocks(parts):
            waiting.append((block, pool.submit(_encode_in_worker, block.units)))
            if len(waiting) > workers * _BLOCKS_AHEAD:
                block, future = waiting.popleft()
                yield block, future.result()
        for block, future in waiting:
            yield block, future.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died, perhaps for lack of memory; nothing was written. Try fewer workers "
            '(a script that calls this with several needs `if __name__ == "__main__":`)'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
