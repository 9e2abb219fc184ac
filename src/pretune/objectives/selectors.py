"""Selectors: which positions of an example are predicted. Those that choose whole words are in `word_spans.py`.

A selector is called `select(stream, maskable_T, rng, progress)` and gives rows_M, ascending, among the true rows of
`maskable_T`; it sees the stream because some choose by words or spans (`stream.marks_T`), and the share of the run that
is done, which a scheduled rate follows.
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
        self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator, progress: float = 0.0
    ) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class Budget:
    """How many of n tokens are predicted: `round(rate * n)`, at least one if there is one, at most `max_predictions`.

    rate, final_rate: the rate at the start and at the end of the run, and on the straight line between them meanwhile
    (Ankner et al. 2024, "Dynamic masking rate schedules": 30 % to 15 %); final_rate None: the same rate throughout. It
    follows the share of the run that is done, a function of the step alone, so a resumed run has the same masks;
    evaluation has the final rate. The number is rounded half to even.
    """

    rate: float
    final_rate: float | None = None
    max_predictions: int | None = None

    def of(self, num_tokens: int, progress: float = 0.0) -> int:
        """
        >>> falling = Budget(0.3, 0.15)
        >>> [falling.of(100, progress) for progress in (0.0, 0.5, 1.0)]
        [30, 22, 15]
        """
        final = self.rate if self.final_rate is None else self.final_rate
        rate = self.rate + (final - self.rate) * progress
        number = min(num_tokens, max(1, round(rate * num_tokens)))
        return number if self.max_predictions is None else min(number, self.max_predictions)


def budget(rate: float, final_rate: float | None = None, max_predictions: int | None = None) -> Budget:
    """InputError for a rate outside (0, 1] and for a limit below 1."""
    for name, share in (("masking_rate", rate), ("final_masking_rate", final_rate)):
        if share is not None and not 0 < share <= 1:
            raise InputError(f"{name} is {share}: it must be above 0 and at most 1")
    if max_predictions is not None and max_predictions < 1:
        raise InputError(f"max_predictions is {max_predictions}: it must be at least 1, or none for no limit")
    return Budget(rate, final_rate, max_predictions)


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
    """As many of the maskable tokens as the budget says, each as likely as any other.

    Source: google-research/bert, create_pretraining_data.py. The paper (Devlin et al. 2019, section 3.1) says "15 % of
    all WordPiece tokens ... at random"; the code rounds as here, half to even, but counts [CLS] and [SEP] in n, though
    it never masks them. We count only what can be masked, which is the paper's 15 %.
    """

    budget: Budget

    def __call__(
        self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator, progress: float = 0.0
    ) -> NDArray[np.int64]:
        rows_C = maskable_T.nonzero()[0]
        num_chosen = self.budget.of(len(rows_C), progress)
        if num_chosen == len(rows_C):
            return rows_C
        chosen: NDArray[Any] = rng.random(len(rows_C)).argpartition(num_chosen)[:num_chosen]
        chosen.sort()
        rows_M: NDArray[np.int64] = rows_C[chosen]
        return rows_M


def exactly(rate: float, max_predictions: int | None = None, final_rate: float | None = None) -> Exactly:
    """A share of the maskable tokens, the same number for every draw. InputError for a rate outside (0, 1].

    >>> from pretune.core.stream import bidirectional
    >>> stream = bidirectional(np.arange(10))
    >>> exactly(0.3)(stream, np.arange(10) > 5, np.random.default_rng(0))  # round(0.3 * 4) = 1 of rows 6, 7, 8, 9
    array([9])
    """
    return Exactly(budget(rate, final_rate, max_predictions))
