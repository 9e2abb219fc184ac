"""The k nearest of any number of vectors, by cosine, exactly: all are compared, in blocks of bounded memory.

Dimensions: Q queries, N vectors, K kept, D vector size.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pretune.core.errors import InputError

Floats = NDArray[np.float32]

BLOCK_ROWS = 4096
"""Queries and vectors that are compared at once: 64 MiB of cosines."""


class TopK:
    """The best k of the vectors seen so far, for each query. Of equal cosines, which stay is not said.

    >>> found = TopK(np.array([[1.0, 0.0]], np.float32), k=2)
    >>> found.add(np.array([[0.0, 1.0], [2.0, 0.0]], np.float32))
    >>> found.add(np.array([[3.0, 4.0]], np.float32))
    >>> [(number, round(score, 3)) for number, score in found.rows()[0]]
    [(1, 1.0), (2, 0.6)]
    """

    def __init__(self, queries_QD: Floats, k: int) -> None:
        if k < 1:
            raise InputError(f"k is {k}: ask for at least 1")
        self.queries_QD = _unit(queries_QD)
        self.k = k
        self.num_seen = 0
        self.scores_QK = torch.zeros(len(queries_QD), 0)
        self.numbers_QK = torch.zeros(len(queries_QD), 0, dtype=torch.int64)

    def add(self, vectors_ND: Floats) -> None:
        """Compares more vectors, an array or a part of a memory-mapped one; they are numbered on."""
        for start in range(0, len(vectors_ND), BLOCK_ROWS):
            block_ND = _unit(vectors_ND[start : start + BLOCK_ROWS])
            parts = range(0, max(len(self.queries_QD), 1), BLOCK_ROWS)
            best = [self._best(slice(part, part + BLOCK_ROWS), block_ND) for part in parts]
            self.scores_QK, self.numbers_QK = (torch.cat(column) for column in zip(*best, strict=True))
            self.num_seen += len(block_ND)

    def _best(self, rows: slice, block_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Of some queries, the best of what they had and of a block."""
        scores = self.queries_QD[rows] @ block_ND.T
        numbers = (torch.arange(len(block_ND)) + self.num_seen).expand_as(scores)
        scores = torch.cat([self.scores_QK[rows], scores], 1)
        numbers = torch.cat([self.numbers_QK[rows], numbers], 1)
        best, places = scores.topk(min(self.k, scores.shape[1]), 1)
        return best, numbers.gather(1, places)

    def rows(self) -> list[list[tuple[int, float]]]:
        """(number, cosine) of the best of each query, best first."""
        pairs = zip(self.numbers_QK.tolist(), self.scores_QK.tolist(), strict=True)
        return [list(zip(numbers, scores, strict=True)) for numbers, scores in pairs]

    def numbers(self) -> set[int]:
        """The vectors that are among the best of any query."""
        return set(np.unique(self.numbers_QK.numpy()).tolist())


def _unit(vectors_ND: Floats) -> Tensor:
    return F.normalize(torch.from_numpy(np.array(vectors_ND, np.float32)), dim=-1)
