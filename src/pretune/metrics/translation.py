"""BLEU and chrF of translations, by sacrebleu, from counts that add up, so that a bootstrap need not count again.

Papineni et al. 2002 (BLEU), Popović 2015 (chrF), Post 2018 (sacrebleu: what must be said for a BLEU score to compare).
Counts are taken once a sentence; any sum of them gives the very score that sacrebleu gives those sentences. Scores are
fractions between 0 and 1, where sacrebleu prints percentages. Several references a sentence may differ in number.
`signature` is what to print beside a score. Needs the extra `generation`.

Deviations: none. Not here: tokenizers that sacrebleu downloads (flores), TER, learned metrics (COMET, BLEURT).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from pretune.core.errors import InputError, need_extra, unknown
from pretune.metrics.checks import FloatArray

TranslationMetric = Literal["bleu", "chrf"]
Tokenization = Literal["13a", "intl", "zh", "char", "none"]
"""How BLEU cuts words: 13a as WMT does, intl for all of Unicode's punctuation, zh between Chinese characters."""
References = Sequence[Sequence[str]]
"""Those of each sentence, one at least."""


def translation_counts(
    metric: TranslationMetric, references_N: References, predicted_N: Sequence[str], tokenization: Tokenization = "13a"
) -> FloatArray:
    """[N, C] for each sentence: lengths and matches, which `translation_score` makes a score of when they are summed.

    >>> counts = translation_counts("bleu", [["the cat sat down"], ["a dog"]], ["the cat sat down", "a cat"])
    >>> counts[0].astype(int).tolist()                     # words, those of the reference, right and all 1- to 4-grams
    [4, 4, 4, 3, 2, 1, 4, 3, 2, 1]
    >>> float(translation_score("bleu")(counts[0]))
    1.0
    """
    if len(references_N) != len(predicted_N):
        raise ValueError(f"{len(references_N)} sentences but {len(predicted_N)} translations")
    if not len(references_N):
        raise InputError("no sentences: there is nothing to score")
    most = max(map(len, references_N))
    if not min(map(len, references_N)):
        raise InputError("a sentence has no reference: give each at least one")
    streams = [[each[k] if k < len(each) else None for each in references_N] for k in range(most)]
    found: list[list[float]] = _made(metric, tokenization)._extract_corpus_statistics(list(predicted_N), streams)
    return np.array(found, np.float64)


def translation_score(metric: TranslationMetric) -> Callable[[FloatArray], FloatArray]:
    """From summed counts [..., C] to scores [...]."""
    made = _made(metric, "none")

    def of_row(row: FloatArray) -> float:
        found = float(made._compute_score_from_stats(row.astype(np.int64).tolist()).score) / 100
        return min(found, 1.0)  # of a perfect translation it may be the next float above

    def score(counts: FloatArray) -> FloatArray:
        rows = counts.reshape(-1, counts.shape[-1])
        return np.array([of_row(row) for row in rows], np.float64).reshape(counts.shape[:-1])

    return score


def signature(metric: TranslationMetric, tokenization: Tokenization = "13a") -> str:
    """What sacrebleu says of how it scores: case, tokenization, smoothing, version; not the number of references.

    >>> signature("bleu", "intl").split("|")[:3]
    ['case:mixed', 'eff:no', 'tok:intl']
    """
    made = _made(metric, tokenization)
    made.num_refs = 1
    return "|".join(part for part in str(made.get_signature()).split("|") if not part.startswith("nrefs:"))


def _made(metric: TranslationMetric, tokenization: Tokenization) -> Any:
    """sacrebleu's own object. Its `_extract_corpus_statistics` and `_compute_score_from_stats` are what its public
    bootstrap is made of; the tests hold them against `corpus_score`."""
    if metric not in get_args(TranslationMetric):
        raise unknown("metric", str(metric), get_args(TranslationMetric))
    if tokenization not in get_args(Tokenization):
        raise unknown("tokenization", str(tokenization), get_args(Tokenization))
    metrics = need_extra("sacrebleu.metrics", "generation")
    return metrics.CHRF() if metric == "chrf" else metrics.BLEU(tokenize=tokenization, force=True)
