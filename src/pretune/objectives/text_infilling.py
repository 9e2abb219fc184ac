"""Text infilling: spans of words, some of them empty, become one [MASK] each, and the text is written as it was (BART).

Lewis et al. 2020, "BART", section 2.2: lengths from a Poisson distribution of mean 3; a span of length 0 is a [MASK]
where nothing was taken out, so that the model must say how many tokens are missing. 30 % of a text (section 5.1), in
whole words, as in the code (facebookresearch/fairseq, denoising_dataset.py, whose published command has a mean of 3.5).

Deviations from that code: its spans overlap and touch, so that fewer than 30 % are taken out and lengths are not the
Poisson's; here spans never touch, each is one [MASK], and what is taken out is the share exactly (the last span is cut
to fit, as there). A text never grows: surplus empty spans are left out. The code turns 10 % of the masks into a random
token, of which the paper says nothing: `random=0.1`.

Dimensions: P tokens, U words, K spans.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.marks import WORD_START
from pretune.core.vocab import Vocab
from pretune.objectives.edits import Edited, starts_of
from pretune.objectives.rewriters import draw_ids
from pretune.objectives.selectors import Budget, budget
from pretune.objectives.text_to_text import TextToText, denoise
from pretune.objectives.token_masks import mask_of

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Infill:
    """An edit: spans of whole words become one mask each, or, a share `random` of the spans, one random token."""

    budget: Budget
    mean_length: float
    random: float = 0.0

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        if not len(text):
            return text
        starts_U = np.append(starts_of(text, WORD_START), len(text))
        first_K, end_K = (starts_U[words] for words in spans(self._lengths(starts_U, rng), len(starts_U) - 1, rng))
        ids_K = np.full(len(first_K), mask_of(vocab))
        choice_K, which_K = rng.random((2, len(first_K)))
        if (random_K := choice_K < self.random).any():
            ids_K[random_K] = draw_ids(vocab, which_K[random_K], "uniform")
        return _filled(text, first_K, end_K, ids_K)

    def _lengths(self, starts_U: Places, rng: np.random.Generator) -> Places:
        """Lengths of spans, in words, whose sum is the budget, in the order of their draw."""
        number = self.budget.of(len(starts_U) - 1)
        lengths = np.zeros(0, np.int64)
        while lengths.sum() < number:
            lengths = np.append(lengths, rng.poisson(self.mean_length, number))
        last = int(np.cumsum(lengths).searchsorted(number))
        lengths = lengths[: last + 1]
        lengths[last] -= lengths.sum() - number
        return lengths


def spans(lengths_K: Places, num_words: int, rng: np.random.Generator) -> tuple[Places, Places]:
    """Spans [first, end) of these lengths in their order, at random places with a word at least between two.

    All places are as likely. Where empty spans are more than the words that others take out, or spans more than there
    are places, empty ones are left out, and then the last ones are joined.

    >>> spans(np.array([2, 0, 1]), 6, np.random.default_rng(0))
    (array([0, 3, 4]), array([2, 3, 5]))
    """
    num_gaps = num_words - int(lengths_K.sum()) + 1
    empty = np.flatnonzero(lengths_K == 0)
    surplus = max(len(lengths_K) - min(num_gaps, int(lengths_K.sum())), 0)
    lengths_K = np.delete(lengths_K, empty[len(empty) - min(surplus, len(empty)) :])
    if len(lengths_K) > num_gaps:
        lengths_K = np.append(lengths_K[: num_gaps - 1], lengths_K[num_gaps - 1 :].sum())
    gaps_K = np.sort(rng.permutation(num_gaps)[: len(lengths_K)])
    first_K = gaps_K + np.cumsum(lengths_K) - lengths_K
    return first_K, first_K + lengths_K


def _filled(text: Edited, first_K: Places, end_K: Places, ids_K: Places) -> Edited:
    """The text with one token for each span of tokens."""
    is_empty_K = first_K == end_K
    kept_P = np.ones(len(text), np.bool_)
    for first, end in zip(first_K, end_K, strict=True):
        kept_P[first + 1 : end] = False
    shorter = text.with_ids(first_K[~is_empty_K], ids_K[~is_empty_K]).take(np.flatnonzero(kept_P))
    rows = np.concatenate([[0], np.cumsum(kept_P)])
    return shorter.insert(rows[first_K[is_empty_K]], ids_K[is_empty_K])


def text_infilling(masking_rate: float = 0.3, mean_length: float = 3.0, random: float = 0.0) -> TextToText:
    """Text infilling as an objective.

    masking_rate: share of the words that are taken out. mean_length: of spans, in words. random: share of the spans
    that become a random token. InputError for a wrong setting.

    Of ten words 14 and 15, and 19, are taken out, and between 17 and 18 a [MASK] (3) stands where nothing was:

    >>> from pretune.core.stream import bidirectional
    >>> vocab = Vocab(size=30, is_special_V=np.arange(30) < 4, mask_id=3)
    >>> text = bidirectional(np.arange(10, 20), marks_T=np.full(10, WORD_START, np.uint8))
    >>> text_infilling().corruption(text, vocab, np.random.default_rng(0), 0.0)[0]
    array([10, 11, 12, 13,  3, 16, 17,  3, 18,  3])
    """
    if not mean_length > 0:
        raise InputError(f"mean_length is {mean_length}: it must be above 0")
    if not 0 <= random <= 1:
        raise InputError(f"random is {random}: it must be a share from 0 to 1")
    return denoise(Infill(budget(masking_rate), mean_length, random))
