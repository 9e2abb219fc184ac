"""ROUGE of summaries, by rouge-score, Google's port of Lin's scorer: F of words, pairs of words, longest subsequences.

Lin 2004, sections 2 and 3. With Porter's stemmer, as T5, PEGASUS and BART's reproductions score. rougeL takes a summary
as one sequence; rougeLsum (what papers on CNN/DailyMail call ROUGE-L) takes it by lines, one sentence each. Of several
references the best one counts, for each metric alone. Scores are fractions between 0 and 1. Needs the extra
`generation`.

The scorer reads a to z and 0 to 9 alone, and lower case: letters of any other kind separate words. `unread_letters`
counts them, so that whoever scores German or Greek is told. Not here: recall and precision, ROUGE-W, ROUGE-S.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from pretune.core.errors import InputError, need_extra
from pretune.metrics.checks import FloatArray

ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_LETTERS = re.compile(r"[^\W\d_]")


def rouge_values(references_N: Sequence[Sequence[str]], predicted_N: Sequence[str]) -> FloatArray:
    """F1 of each summary [N, 4], in the order of `ROUGES`: what a bootstrap over summaries sums.

    >>> rouge_values([["the cat sat", "a dog ran"]], ["a dog sat"]).round(3).tolist()   # the second reference is nearer
    [[0.667, 0.5, 0.667, 0.667]]
    """
    if len(references_N) != len(predicted_N):
        raise ValueError(f"{len(references_N)} texts but {len(predicted_N)} summaries")
    if not len(references_N):
        raise InputError("no summaries: there is nothing to score")
    if not min(map(len, references_N)):
        raise InputError("a summary has no reference: give each at least one")
    pairs = zip(references_N, predicted_N, strict=True)
    return np.array([_values(tuple(references), predicted) for references, predicted in pairs], np.float64)


def unread_letters(texts: Sequence[str]) -> float:
    """Share of letters that the scorer does not read.

    >>> unread_letters(["größer"])
    0.3333333333333333
    """
    letters = [letter for text in texts for letter in _LETTERS.findall(text)]
    return sum(not letter.isascii() for letter in letters) / max(len(letters), 1)


@lru_cache(1 << 16)
def _values(references: tuple[str, ...], predicted: str) -> tuple[float, ...]:
    """Kept, for a run scores its summaries many times over, whole and in slices, and the scorer takes milliseconds."""
    found = _scorer().score_multi(list(references), predicted)
    return tuple(float(found[name].fmeasure) for name in ROUGES)


@cache
def _scorer() -> Any:
    return need_extra("rouge_score.rouge_scorer", "generation").RougeScorer(ROUGES, use_stemmer=True)
