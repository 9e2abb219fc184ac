"""From scores of starts and ends to answers: every span that may be one, its probability, and the best of them.

The score of a span is the sum of the logits of its start and its end (Devlin et al. 2019, section 4.2). A span lies in
one window, has at most so many pieces, and starts in the window that owns its first piece (`contexts.py`), so each is
counted once. That there is no answer scores the sum of both logits at the summary row, the least over the windows
(google-research/bert, run_squad.py). Probabilities are a softmax over all candidates of a question, in all its windows;
run_squad.py and transformers' former pipeline normalise over the n best, or over starts and ends by themselves.

Dimensions: M rows that were read, L lengths of a span in pieces, C candidates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray

WORST = -1e9
"""The score of the best span where there is no candidate (a word longer than the longest answer): far below any."""


@dataclass(frozen=True)
class Candidate:
    """Characters [start, end) and the probability; [0, 0) for no answer."""

    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Found:
    """What one question's scores say. best: the most probable spans, best first. null: that there is no answer; its
    probability is 0 where that is no candidate. null_odds: its score less that of the best span."""

    best: list[Candidate]
    null: Candidate
    null_odds: float


def find_answers(
    logits_M2: FloatArray, group_M: IntArray, given_M: IntArray, *, max_pieces: int, num_best: int, with_null: bool
) -> Iterator[Found]:
    """One for each question of a batch. group_M, given_M: as `contexts.featurize_context` makes them."""
    scores_ML = span_scores(logits_M2, group_M, given_M, max_pieces)
    is_summary_M = np.append(True, group_M[1:] != group_M[:-1])
    null_M = np.where(is_summary_M, logits_M2.sum(-1), np.inf)
    starts = np.flatnonzero(given_M[:, 2])
    for first, end in zip(starts, [*starts[1:], len(given_M)], strict=True):
        yield _found(scores_ML[first:end], float(null_M[first:end].min()), given_M[first:end], num_best, with_null)


def span_scores(logits_M2: FloatArray, group_M: IntArray, given_M: IntArray, max_pieces: int) -> FloatArray:
    """[M, L]: of the span that starts at row m and has 1 + l pieces; -inf where that is no candidate."""
    start_M = np.where(given_M[:, 0] >= 0, logits_M2[:, 0], -np.inf)
    end_M = np.where(given_M[:, 1] >= 0, logits_M2[:, 1], -np.inf)
    num_lengths = min(max_pieces, len(start_M))
    scores_ML = np.full((len(start_M), num_lengths), -np.inf)
    for more in range(num_lengths):
        upto = len(start_M) - more
        score = start_M[:upto] + end_M[more:]
        scores_ML[:upto, more] = np.where(group_M[:upto] == group_M[more:], score, -np.inf)
    return scores_ML


def _found(scores_ML: FloatArray, null_score: float, given_M: IntArray, num_best: int, with_null: bool) -> Found:
    flat_C = scores_ML.ravel()
    keep = min(num_best, int(np.isfinite(flat_C).sum()))
    top = np.argpartition(-flat_C, keep - 1)[:keep] if keep else np.zeros(0, np.int64)
    top = top[np.lexsort((top, -flat_C[top]))]
    best_score = float(flat_C[top[0]]) if keep else WORST
    highest = max(best_score, null_score) if with_null or not keep else best_score
    total = np.exp(flat_C - highest).sum() + (np.exp(null_score - highest) if with_null or not keep else 0.0)
    rows, lengths = np.divmod(top, scores_ML.shape[1])
    best = [
        Candidate(int(given_M[row, 0]), int(given_M[row + length, 1]), float(np.exp(flat_C[at] - highest) / total))
        for row, length, at in zip(rows, lengths, top, strict=True)
    ]
    null = Candidate(0, 0, float(np.exp(null_score - highest) / total) if with_null else 0.0)
    return Found(best, null, null_score - best_score)
