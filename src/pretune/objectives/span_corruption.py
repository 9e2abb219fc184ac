"""Span corruption: spans of tokens become a sentinel each, and the decoder writes what stood there (T5's objective).

Raffel et al. 2020, "T5", sections 3.1.4 and 3.3.4: 15 % of the tokens, in spans of 3 on average. How many tokens and
spans there are is no matter of chance: `round(0.15 n)` and `round(that / 3)`, both cut at random places into as many
parts, and rest and span in turn, beginning with rest (google-research/text-to-text-transfer-transformer,
t5/data/preprocessors.py, random_spans_noise_mask). So a text ends with a span, and a short one, which has no other,
only ever loses its end: `random_roll`, a later setting of that code, turns the spans round the text.

Deviations: see `taken_out.py` (the final sentinel); a sample is as long as `max_length` before the corruption, where
the code reads more (568 tokens for 512), so that what is left fills it. [UNK] and the ends of documents within a sample
are tokens like others when spans are cut, as in the code; [UNK] is never predicted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.stream import Stream
from pretune.objectives.selectors import Budget, budget
from pretune.objectives.taken_out import TakeOut
from pretune.objectives.text_to_text import TextToText, around


@dataclass(frozen=True)
class RandomSpans:
    """A selector of spans of the text between the template's tokens, `mean_length` long on average."""

    budget: Budget
    mean_length: float
    random_roll: bool = False

    def __call__(
        self, stream: Stream, maskable_T: NDArray[np.bool_], rng: np.random.Generator, progress: float = 0.0
    ) -> NDArray[np.int64]:
        before, text, _ = around(stream)
        return len(before) + np.flatnonzero(self.of(len(text), rng, progress))

    def of(self, num_tokens: int, rng: np.random.Generator, progress: float = 0.0) -> NDArray[np.bool_]:
        """[num_tokens] True where a token is taken out; none of a single one."""
        if num_tokens < 2:
            return np.zeros(num_tokens, np.bool_)
        taken = min(self.budget.of(num_tokens, progress), num_tokens - 1)
        num_spans = min(max(1, round(taken / self.mean_length)), taken, num_tokens - taken)
        lengths = np.stack([cut(num_tokens - taken, num_spans, rng), cut(taken, num_spans, rng)], axis=1)
        taken_T = np.repeat(np.tile([False, True], num_spans), lengths.reshape(-1))
        return np.roll(taken_T, rng.integers(num_tokens)) if self.random_roll else taken_T


def cut(number: int, num_parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sizes, at least 1, of the parts that `number` things are cut into; every way to cut is as likely.

    >>> cut(7, 3, np.random.default_rng(0))
    array([3, 1, 3])
    """
    places = np.sort(rng.permutation(number - 1)[: num_parts - 1]) + 1
    return np.diff(np.concatenate([[0], places, [number]]))


def span_corruption(masking_rate: float = 0.15, mean_length: float = 3.0, random_roll: bool = False) -> TextToText:
    """Span corruption as an objective.

    masking_rate: share of the tokens that are taken out. mean_length: of spans, in tokens. random_roll: spans anywhere,
    also where a text has only one. InputError for a wrong setting, and where the tokenizer has too few sentinels.

    Of eleven tokens four in two spans (the sentinels are 30, 29, 28; the encoder's text and the decoder's):

    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(31, np.arange(31) > 27, sentinel_ids=(30, 29, 28))
    >>> span_corruption(0.4, 2).corruption(bidirectional(np.arange(11)), vocab, np.random.default_rng(0), 0.0)
    (array([ 0,  1,  2,  3, 30,  5,  6,  7, 29]), array([30,  4, 29,  8,  9, 10, 28]))
    """
    if not mean_length >= 1:
        raise InputError(f"mean_length is {mean_length}: it must be at least 1")
    tokens = budget(masking_rate)
    select = RandomSpans(tokens, mean_length, random_roll)
    return TextToText(TakeOut(select, tokens, mean_length=mean_length, more_spans=int(random_roll)))
