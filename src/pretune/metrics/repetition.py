"""Repetition in written texts: the share of n-grams that stood in the text before.

seq-rep-n of Welleck et al. 2020 ("Neural text generation with unlikelihood training"): 1 - distinct n-grams / n-grams
of a text, averaged over texts. At n = 4 their human texts have less than 1 %, what models write greedily 40 % and more.

Deviations: words are those of `words_of`, not a model's pieces, so that models with other vocabularies compare; texts
of fewer than n words, which cannot repeat, count as 0. Not here: repetition across texts.
"""

import re
from collections.abc import Sequence

import numpy as np

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray

N = 4
_WORD = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words and signs, in lower case: what counts as an n-gram's parts here and in `novelty.py`.

    >>> words_of("It's late, late.")
    ['it', "'", 's', 'late', ',', 'late', '.']
    """
    return _WORD.findall(text.lower())


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All of them, in order; none of a text that is shorter."""
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def repetition_values(texts_N: Sequence[str], n: int = N) -> FloatArray:
    """[N], of each text.

    >>> repetition_values(["a b a b a b", "a b c"], n=2).round(2).tolist()      # ab ba ab ba ab: 2 distinct of 5
    [0.6, 0.0]
    """
    if n < 1:
        raise ValueError(f"n is {n}: an n-gram has at least one word")
    return np.array([_repetition(ngrams(words_of(text), n)) for text in texts_N], np.float64)


def repetition(texts_N: Sequence[str], n: int = N) -> float:
    """The mean over texts. InputError for none."""
    if not len(texts_N):
        raise InputError("no texts: there is nothing to score")
    return float(repetition_values(texts_N, n).mean())


def _repetition(found: list[tuple[str, ...]]) -> float:
    return 1 - len(set(found)) / len(found) if found else 0.0
