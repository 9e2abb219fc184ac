"""Deshuffling: the tokens of a text in a random order, and the whole text is written again (T5's table 3).

Raffel et al. 2020, "T5", section 3.3.1, after Liu et al. 2019 ("Summae"). All tokens move, pieces of a word apart.
"""

from dataclasses import dataclass

import numpy as np

from pretune.core.vocab import Vocab
from pretune.objectives.edits import Edited
from pretune.objectives.text_to_text import TextToText, denoise


@dataclass(frozen=True)
class ShuffleTokens:
    """An edit: the tokens in a random order."""

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        return text.take(rng.permutation(len(text)))


def deshuffling() -> TextToText:
    """Deshuffling as an objective.

    >>> from pretune.core.stream import bidirectional
    >>> deshuffling().corruption(bidirectional(np.arange(10, 16)), None, np.random.default_rng(0), 0.0)
    (array([13, 12, 15, 14, 10, 11]), array([10, 11, 12, 13, 14, 15]))
    """
    return denoise(ShuffleTokens())
