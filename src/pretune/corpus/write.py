"""The files of a split, written in one pass over the encoded text.

tokens-SPLIT.bin     ids, little-endian uint16 or uint32, end to end          (datatrove's .ds)
documents-SPLIT.idx  int64 ends of the documents, in tokens                   (datatrove's .ds.index)
marks-SPLIT.bin      uint8, `core.marks` of each token
sentences-SPLIT.idx  int64 places at which sentences start
unigrams-SPLIT.bin   int64 [V], how often each id occurs
"""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.corpus.holdout import Ranges

CHUNK_TOKENS = 1 << 22
FILES = ("tokens-{}.bin", "documents-{}.idx", "marks-{}.bin", "sentences-{}.idx", "unigrams-{}.bin")


class OnDisk:
    """An array in a file, read slice by slice: unlike a memory map it never counts as this process's memory."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self.path, self.dtype = path, dtype

    def __getitem__(self, places: slice) -> NDArray[Any]:
        return np.fromfile(self.path, self.dtype, places.stop - places.start, offset=places.start * self.dtype.itemsize)


class HashedFile:
    """A file that is hashed while it is written and synced when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._sha = hashlib.sha256()
        self.num_bytes = 0

    def write(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).data.cast("B")
        self._file.write(data)
        self._sha.update(data)
        self.num_bytes += len(data)

    def __enter__(self) -> "HashedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest keeps of it."""
        return {"bytes": self.num_bytes, "sha256": self._sha.hexdigest()}


def write_split(
    folder: Path, split: str, ranges: Ranges, ids_T: OnDisk, marks_T: OnDisk, vocab_size: int
) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """Writes one split's documents. Returns its counts and, for each file, size and sha256."""
    ends_D = np.cumsum(ranges[:, 1] - ranges[:, 0])
    starts_D = np.concatenate([[0], ends_D])  # once: a split of scattered documents has a chunk for each
    counts_V = np.zeros(vocab_size, np.int64)
    num_words = num_sentences = done = 0
    paths = [folder / name.format(split) for name in FILES]
    with (
        HashedFile(paths[0]) as tokens,
        HashedFile(paths[1]) as documents,
        HashedFile(paths[2]) as marks,
        HashedFile(paths[3]) as sentences,
        HashedFile(paths[4]) as unigrams,
    ):
        for start, end in _chunks(ranges):
            ids, marked = np.asarray(ids_T[start:end]), np.array(marks_T[start:end])
            first, last = np.searchsorted(ends_D, [done, done + len(ids)], side="right")
            starts = starts_D[first : last + 1] - done
            marked[starts[(starts >= 0) & (starts < len(ids))]] |= SENTENCE_START
            places = np.flatnonzero(marked & SENTENCE_START)
            tokens.write(ids)
            marks.write(marked)
            sentences.write((places + done).astype("<i8"))
            counts_V += np.bincount(ids, minlength=vocab_size)
            num_sentences += len(places)
            num_words += int(np.count_nonzero(marked & WORD_START))
            done += len(ids)
        documents.write(ends_D.astype("<i8"))
        unigrams.write(counts_V.astype("<i8"))
        written = (tokens, documents, marks, sentences, unigrams)
    counts = {"documents": len(ranges), "sentences": num_sentences, "words": num_words, "tokens": done}
    return counts, {file.path.name: file.entry for file in written}


def _chunks(ranges: Ranges) -> list[tuple[int, int]]:
    """Ranges that touch joined, and long ones cut, so that each read is of a useful size."""
    joined: list[tuple[int, int]] = []
    breaks = np.flatnonzero(ranges[1:, 0] != ranges[:-1, 1]) + 1
    firsts = np.concatenate([[0], breaks])
    lasts = np.append(breaks, len(ranges)) - 1
    for start, end in zip(ranges[firsts, 0].tolist(), ranges[lasts, 1].tolist(), strict=True):
        joined += [(at, min(at + CHUNK_TOKENS, end)) for at in range(start, end, CHUNK_TOKENS)]
    return joined
