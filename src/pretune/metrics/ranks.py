"""Where the right answer of a question stands among all answers of a set: mean reciprocal rank, accuracy at 1.

Every different answer of the set is a candidate for every question. What is known to be right too is left out: other
answers of the same question, and an answer that is the question itself. An equal score of a wrong answer counts as
better, so that scores which are all the same are worth nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray

ScoreBlock = Callable[[int, int], FloatArray]
"""(start, end) -> the scores of questions start to end with all N records' answers, [end - start, N]."""

MAX_SCORES = 1 << 24
"""Scores held at once."""


def own_ranks(score_block: ScoreBlock, questions: Sequence[str], answers: Sequence[str]) -> IntArray:
    """The rank from 1 of each question's own answer, [N].

    >>> scores = np.array([[0.5, 0.9, 0.1], [0.2, 0.8, 0.8], [0.3, 0.2, 0.9]])
    >>> own_ranks(lambda start, end: scores[start:end], ["a", "b", "c"], ["x", "y", "z"]).tolist()
    [2, 2, 1]
    >>> own_ranks(lambda start, end: scores[start:end], ["a", "a", "c"], ["x", "y", "z"]).tolist()     # y is right too
    [1, 2, 1]
    """
    columns: dict[str, int] = {}
    for row, answer in enumerate(answers):
        columns.setdefault(answer, row)
    right: dict[str, set[int]] = {}
    for question, answer in zip(questions, answers, strict=True):
        known = right.setdefault(question, {columns[question]} if question in columns else set())
        known.add(columns[answer])
    is_candidate_N = np.zeros(len(answers), np.bool_)
    is_candidate_N[list(columns.values())] = True
    ranks_N = np.ones(len(answers), np.int64)
    size = max(1, MAX_SCORES // max(len(answers), 1))
    for start in range(0, len(answers), size):
        scores_BN = score_block(start, min(start + size, len(answers)))
        for row, scores_N in enumerate(scores_BN, start):
            is_ahead_N = (scores_N >= scores_N[columns[answers[row]]]) & is_candidate_N
            is_ahead_N[list(right[questions[row]])] = False
            ranks_N[row] += is_ahead_N.sum()
    return ranks_N


def mean_reciprocal_rank(ranks_N: IntArray) -> float:
    """Mean of 1 / rank.

    >>> mean_reciprocal_rank(np.array([1, 2, 4]))
    0.5833333333333334
    """
    return float(np.mean(1.0 / np.asarray(ranks_N, np.float64)))
