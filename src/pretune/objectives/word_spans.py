"""Whole words and spans of them as what is predicted: all pieces of a word together, for any tokenizer.

Word starts are marks of the corpus, so nothing here knows how a tokenizer spells the inside of a word ("##", "\u0120").
A sample may cut a word: what is left of it is a word all the same. Words never reach over a special token.

Spans are drawn until the budget is used up: a word that is not chosen yet, each as likely, is where a span starts; its
length in words is drawn from `lengths`; it ends early before a special token, before a word that is chosen already, and
where one more word would pass the budget. A word that passes it alone is left out and another drawn, as Google's code
does (google-research/bert, create_pretraining_data.py; albert has the same for n-grams): the rate stays that of single
tokens. Where every word passes it, one of them is predicted all the same (the code then predicts nothing).

Dimensions: T tokens, W words, M predictions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL, WORD_START
from pretune.core.stream import Stream
from pretune.objectives.selectors import Budget


@dataclass(frozen=True)
class WordSpans:
    """A selector. lengths: the probabilities of spans of 1, 2, ... words."""

    budget: Budget
    lengths: tuple[float, ...] = (1.0,)

    def __call__(
        self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator, progress: float = 0.0
    ) -> NDArray[np.int64]:
        firsts_W, ends_W, last_W = words_of(stream, maskable_T)
        draws_W = rng.random(len(firsts_W))
        lengths_W = 1 + np.cumsum(self.lengths[:-1]).searchsorted(draws_W, "right")
        order_W = rng.permutation(len(firsts_W))
        left = self.budget.of(int(maskable_T.sum()), progress)
        chosen_W = _draw(order_W.tolist(), lengths_W.tolist(), (ends_W - firsts_W).tolist(), last_W.tolist(), left)
        if not chosen_W.any() and self.budget.max_predictions is None:
            chosen_W[order_W[:1]] = True
        chosen_T = np.zeros(len(maskable_T), np.bool_)
        for first, end in zip(firsts_W[chosen_W], ends_W[chosen_W], strict=True):
            chosen_T[first:end] = True
        rows_M: NDArray[np.int64] = (chosen_T & maskable_T).nonzero()[0]
        return rows_M


def words_of(
    stream: Stream, maskable_T: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """firsts_W, ends_W: the rows [first, end) of each word that has a maskable token. last_W: the end, in words, of the
    stretch without a gap that the word is in (a special token or a word of [UNK] is a gap).

    >>> from pretune.core.stream import bidirectional
    >>> marks = np.array([SPECIAL, 0, WORD_START, WORD_START, 0, SPECIAL, WORD_START, SPECIAL], np.uint8)
    >>> words_of(bidirectional(np.arange(8), marks_T=marks), marks != SPECIAL)  # the first word lacks its beginning
    (array([1, 2, 3, 6]), array([2, 3, 5, 7]), array([3, 3, 3, 4]))
    """
    marks_T: NDArray[np.uint8] = stream.marks_T
    is_text_T = (marks_T & SPECIAL) == 0
    before_T = np.concatenate([[False], is_text_T[:-1]])
    firsts_W = np.flatnonzero(is_text_T & ((marks_T & WORD_START).astype(np.bool_) | ~before_T))
    following_W = np.append(firsts_W[1:], len(marks_T))
    gaps = np.append(np.flatnonzero(~is_text_T), len(marks_T))
    ends_W = np.minimum(following_W, gaps[gaps.searchsorted(firsts_W)])
    num_T = np.concatenate([[0], np.cumsum(maskable_T)])
    some_W = num_T[ends_W] > num_T[firsts_W]
    firsts_W, ends_W = firsts_W[some_W], ends_W[some_W]
    borders = np.append(np.flatnonzero(firsts_W[1:] != ends_W[:-1]) + 1, len(firsts_W))
    return firsts_W, ends_W, borders[borders.searchsorted(np.arange(len(firsts_W)), "right")]


def _draw(order: list[int], lengths: list[int], sizes: list[int], lasts: list[int], left: int) -> NDArray[np.bool_]:
    """[W] True for the words of the spans that are drawn: `lengths` words, of `sizes` tokens, `left` tokens in all."""
    chosen_W = np.zeros(len(sizes), np.bool_)
    for word in order:
        if left <= 0:
            break
        end = word
        while end < min(word + lengths[word], lasts[word]) and not chosen_W[end] and sizes[end] <= left:
            chosen_W[end] = True
            left -= sizes[end]
            end += 1
    return chosen_W


def ngram_lengths(longest: int) -> tuple[float, ...]:
    """p(n) proportional to 1 / n for n-grams of 1 to `longest` words (Lan et al. 2020, section 3.1).

    >>> [round(p, 3) for p in ngram_lengths(3)]
    [0.545, 0.273, 0.182]
    """
    if longest < 1:
        raise InputError(f"ngram is {longest}: it must be at least 1, or none for single tokens")
    weights = 1 / np.arange(1, longest + 1)
    return tuple((weights / weights.sum()).tolist())


def geometric_lengths(p: float, longest: int) -> tuple[float, ...]:
    """p(l) proportional to p (1 - p) ** (l - 1) for spans of 1 to `longest` words (Joshi et al. 2020, section 3.1).

    The paper speaks of clipping at 10 words; its mean of 3.8 is that of a distribution cut off there, as in the code.

    >>> lengths = geometric_lengths(0.2, 10)
    >>> round(sum(number * share for number, share in enumerate(lengths, 1)), 2)
    3.8
    """
    if not 0 < p <= 1:
        raise InputError(f"geometric_p is {p}: it must be above 0 and at most 1")
    if longest < 1:
        raise InputError(f"max_words is {longest}: it must be at least 1")
    weights = p * (1 - p) ** np.arange(longest)
    return tuple((weights / weights.sum()).tolist())
