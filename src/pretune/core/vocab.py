"""Vocab: what objectives and heads know of a tokenizer. Imports no torch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Vocab:
    """Size, special ids and unigram frequencies of a vocabulary of V ids.

    size: V. A `*_id` is None where the tokenizer has no such token.
    is_special_V: bool; True for ids an objective must neither predict nor draw: [PAD], [CLS], [SEP], [MASK], [UNK],
    begin and end of a text, sentinels. sentinel_ids: what marks spans that were taken out, in the order of their use
    (T5's <extra_id_0>, <extra_id_1> ...).
    unigram_V: float64, sums to 1, relative frequency of each id in the corpus; None where no corpus is known.
    """

    size: int
    is_special_V: NDArray[np.bool_]
    pad_id: int | None = None
    unk_id: int | None = None
    cls_id: int | None = None
    sep_id: int | None = None
    mask_id: int | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    sentinel_ids: tuple[int, ...] = ()
    unigram_V: NDArray[np.float64] | None = None

    @property
    def end_id(self) -> int | None:
        """What ends a text: the end of a text, else [SEP]; None where there is neither."""
        return self.sep_id if self.eos_id is None else self.eos_id

    @cached_property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """Ids that are not special, ascending."""
        return np.flatnonzero(~self.is_special_V)

    @cached_property
    def ordinary_cumulative(self) -> NDArray[np.float64]:
        """Cumulative unigram distribution over `ordinary_ids`, ending in 1: what a draw by frequency searches."""
        if self.unigram_V is None:
            raise InputError("this vocabulary has no unigram frequencies: open it from a corpus")
        cumulative: NDArray[np.float64] = np.cumsum(self.unigram_V[self.ordinary_ids])
        if not len(cumulative) or not cumulative[-1] > 0:
            raise InputError("no ordinary token occurs in the corpus: nothing can be drawn by unigram frequency")
        cumulative /= cumulative[-1]
        return cumulative

    def unigram_entropy(self) -> float:
        """Entropy of the unigram distribution in nats: the loss of a model that knows only frequencies."""
        if self.unigram_V is None:
            raise ValueError("this vocabulary has no unigram frequencies: open it from a corpus")
        p = self.unigram_V[self.unigram_V > 0]
        return float(-(p * np.log(p)).sum())
