"""Selectors: which positions of an example are predicted.

A selector is called `select(stream, maskable_T, rng)` and gives rows_M, ascending, among the true rows of `maskable_T`;
it sees the stream because some choose by words or spans (`stream.marks_T`).
Dimensions: T tokens, V vocabulary, M predictions.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.stream import Stream
from pretune.core.vocab import Vocab


class Selector(Protocol):
    def __call__(
        self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.int64]: ...


def maskable(stream: Stream, vocab: Vocab) -> NDArray[np.bool_]:
    """[T] True where an objective may predict: neither put there by a template nor special in the vocabulary.

    [UNK] is special, so never predicted; the original code skips only [CLS] and [SEP].
    """
    marks_T: NDArray[np.uint8] = stream.marks_T
    special_T: NDArray[np.bool_] = vocab.is_special_V[stream.ids_T]
    special_T |= (marks_T & SPECIAL).astype(np.bool_)
    return ~special_T


@dataclass(frozen=True)
class Exactly:
    """`round(rate * n)` of n maskable tokens, at least one if there is one, at most `max_predictions`.

    Source: google-research/bert, create_pretraining_data.py. The paper (Devlin et al. 2019, section 3.1) says "15 % of
    all WordPiece tokens ... at random"; the code rounds as here, half to even, but counts [CLS] and [SEP] in n, though
    it never masks them. We count only what can be masked, which is the paper's 15 %.
    """

    rate: float
    max_predictions: int | None = None

    def __call__(self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
        rows_C = maskable_T.nonzero()[0]
        num_chosen = min(len(rows_C), max(1, round(self.rate * len(rows_C))))
        if self.max_predictions is not None:
            num_chosen = min(num_chosen, self.max_predictions)
        if num_chosen == len(rows_C):
            return rows_C
        chosen: NDArray[Any] = rng.random(len(rows_C)).argpartition(num_chosen)[:num_chosen]
        chosen.sort()
        rows_M: NDArray[np.int64] = rows_C[chosen]
        return rows_M


def exactly(rate: float, max_predictions: int | None = None) -> Exactly:
    """A share of the maskable tokens, the same number for every draw. InputError for a rate outside (0, 1].

    >>> from pretune.core.stream import bidirectional
    >>> stream = bidirectional(np.arange(10))
    >>> exactly(0.3)(stream, np.arange(10) > 5, np.random.default_rng(0))  # round(0.3 * 4) = 1 of rows 6, 7, 8, 9
    array([9])
    """
    if not 0 < rate <= 1:
        raise InputError(f"masking_rate is {rate}: it must be above 0 and at most 1")
    if max_predictions is not None and max_predictions < 1:
        raise InputError(f"max_predictions is {max_predictions}: it must be at least 1, or none for no limit")
    return Exactly(rate, max_predictions)
