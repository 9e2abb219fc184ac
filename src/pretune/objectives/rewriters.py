"""Rewriters: what the input becomes at the chosen positions.

A rewriter is called `rewrite(ids_T, rows_M, vocab, rng)` and gives new ids; it leaves what it is given as it is.
Dimensions: T tokens, M chosen rows, V vocabulary.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError, unknown
from pretune.core.vocab import Vocab

Per = Literal["token", "span"]
"""What is drawn for once: each chosen token, or each run of chosen tokens without a gap."""

Replacement = Literal["uniform", "unigram"]
"""How a random token is drawn: each ordinary id alike, or by its frequency in the training corpus."""


class Rewriter(Protocol):
    def __call__(
        self, ids_T: NDArray[np.int64], rows_M: NDArray[np.int64], vocab: Vocab, rng: np.random.Generator
    ) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class MaskRandomKeep:
    """Each chosen token becomes [MASK], a random token, or stays, independently (Devlin et al. 2019, appendix A.1).

    mask, random: shares; the rest stays. per: "span", one choice for all tokens of a run, where random ones are still
    drawn one by one (Joshi et al. 2020, section 3.1). The original code draws random tokens from the whole vocabulary,
    special ones too; here never a special one. A random token may happen to be the original, as in the original.
    """

    mask: float
    random: float
    replacement: Replacement
    per: Per = "token"

    def __call__(
        self, ids_T: NDArray[np.int64], rows_M: NDArray[np.int64], vocab: Vocab, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rewritten_T = ids_T.copy()
        choice_M, which_M = rng.random((2, len(rows_M)))
        if self.per == "span" and len(rows_M):
            choice_M = choice_M[runs_of(rows_M)[0]]
        if self.mask > 0:
            if vocab.mask_id is None:
                raise InputError("the tokenizer has no [MASK] token: train one that has, or set mask=0")
            rewritten_T[rows_M[choice_M < self.mask]] = vocab.mask_id
        random_M = (choice_M >= self.mask) & (choice_M < self.mask + self.random)
        if self.random > 0 and random_M.any():
            rewritten_T[rows_M[random_M]] = draw_ids(vocab, which_M[random_M], self.replacement)
        return rewritten_T


def runs_of(rows_M: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of some ascending rows, which of them its run without a gap begins with, and which it ends with.

    >>> runs_of(np.array([2, 3, 4, 7, 9, 10]))
    (array([0, 0, 0, 3, 4, 4]), array([2, 2, 2, 3, 5, 5]))
    """
    starts = np.flatnonzero(np.diff(rows_M, prepend=rows_M[:1] - 2) != 1)
    sizes = np.diff(np.append(starts, len(rows_M)))
    return np.repeat(starts, sizes), np.repeat(starts + sizes - 1, sizes)


def draw_ids(vocab: Vocab, uniform_M: NDArray[np.float64], replacement: Replacement) -> NDArray[np.int64]:
    """Ordinary ids for numbers in [0, 1). InputError where there are none, or no frequencies to draw by.

    >>> vocab = Vocab(4, np.array([True, False, False, False]), unigram_V=np.array([0.5, 0.4, 0.0, 0.1]))
    >>> draw_ids(vocab, np.array([0.1, 0.5, 0.9]), "uniform")
    array([1, 2, 3])
    >>> draw_ids(vocab, np.array([0.1, 0.5, 0.9]), "unigram")
    array([1, 1, 3])
    """
    ordinary = vocab.ordinary_ids
    if not len(ordinary):
        raise InputError("the vocabulary has only special tokens: nothing can be drawn at random")
    if replacement == "uniform":
        return ordinary[(uniform_M * len(ordinary)).astype(np.int64)]
    return ordinary[vocab.ordinary_cumulative.searchsorted(uniform_M, "right")]


def mask_random_keep(
    mask: float = 0.8, random: float = 0.1, replacement: Replacement = "uniform", per: Per = "token"
) -> MaskRandomKeep:
    """BERT's 80/10/10. InputError for shares that are no shares or pass 1 together, and an unknown replacement.

    >>> vocab = Vocab(6, np.arange(6) < 2, mask_id=1)
    >>> mask_random_keep()(np.array([0, 2, 3, 4, 0]), np.array([1, 2, 3]), vocab, np.random.default_rng(2))
    array([0, 1, 1, 4, 0])
    """
    for name, share in (("mask", mask), ("random", random)):
        if not 0 <= share <= 1:
            raise InputError(f"{name} is {share}: it must be a share from 0 to 1")
    if mask + random > 1 + 1e-9:
        raise InputError(f"mask {mask} and random {random} are more than 1 together")
    if replacement not in get_args(Replacement):
        raise unknown("replacement", replacement, get_args(Replacement))
    return MaskRandomKeep(mask, random, replacement, per)
