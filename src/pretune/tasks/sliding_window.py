"""Answers without a network: the run of words whose surroundings share most with the question.

The sliding window of Richardson et al. 2013 (MCTest, algorithm 1), as Rajpurkar et al. 2016 (section 5.1) use it for
SQuAD: only candidates of the sentence that shares most with the question are kept; a candidate's score is the best
window of words around it, as long as question and candidate together. In both, a word of the question counts
log(1 + 1 / how often the context has it), function words and punctuation nothing. Their candidates are the constituents
of a parser's trees. There is no parser here: candidates are the longest runs of words in a sentence without function
words, punctuation and words of the question. Of equal scores, the candidate nearest to words of the question wins, then
the first. Function words are English ones.

On SQuAD 1.1's development set: exact match 0.12 and F1 0.19, where the paper has 0.13 and 0.20 with its candidates.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray
from pretune.text.sentences import split_sentences

FUNCTION_WORDS = frozenset(
    """a about after all also although an and are as at be because been before but by can could did do does during each
    for from had has have he her his how if in into is it its may more most no not of on or other our she so some such
    than that the their them there these they this those through to under until up was we were what when where which
    while who whom whose why will with would you""".split()  # noqa: SIM905
)
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, eq=False)
class Words:
    """A context's words: chars_W2, weight_W (log(1 + 1 / count)), number_W of each distinct word, and whether a word
    may be in an answer; sentence_W: the number of its sentence."""

    numbers: dict[str, int]
    chars_W2: IntArray
    number_W: IntArray
    weight_W: FloatArray
    may_answer_W: IntArray
    sentence_W: IntArray


def words_of(context: str) -> Words:
    found = list(_WORD.finditer(context))
    words = [match.group().lower() for match in found]
    counts = Counter(words)
    numbers = {word: number for number, word in enumerate(counts)}
    chars_W2 = np.array([match.span() for match in found], np.int64).reshape(-1, 2)
    starts_W = np.zeros(len(words), np.bool_)
    starts_W[np.searchsorted(chars_W2[:, 0], [start for start, _ in split_sentences(context)])] = True
    return Words(
        numbers,
        chars_W2,
        np.array([numbers[word] for word in words], np.int64),
        np.array([math.log1p(1 / counts[word]) for word in words]),
        np.array([word[0].isalnum() and word not in FUNCTION_WORDS for word in words], np.bool_),
        np.cumsum(starts_W),
    )


def best_span(question: str, words: Words) -> tuple[int, int]:
    """Characters [start, end) of the best candidate; of the whole context's first word where there is none.

    >>> context = "The Normans came from Denmark. The cat sat on a red mat."
    >>> start, end = best_span("What did the cat sit on?", words_of(context))
    >>> context[start:end]
    'sat'
    """
    asked = {word for word in _WORD.findall(question.lower()) if word[0].isalnum()} - FUNCTION_WORDS
    is_asked_W = np.isin(words.number_W, [words.numbers[word] for word in asked if word in words.numbers])
    first_C, end_C = _runs(words.may_answer_W & ~is_asked_W, words.sentence_W)
    gains_W = np.where(is_asked_W, words.weight_W, 0.0)
    if not len(first_C):
        return (int(words.chars_W2[0, 0]), int(words.chars_W2[0, 1])) if len(words.chars_W2) else (0, 0)
    num_asked = len(asked)
    sums_W = np.append(0.0, np.cumsum(gains_W))
    before_C2 = np.arange(num_asked + 1)  # words of the window that stand before the candidate
    lows_C = np.maximum(first_C[:, None] - before_C2, 0)
    highs_C = np.minimum(end_C[:, None] + num_asked - before_C2, len(gains_W))
    shared_C = np.round(np.bincount(words.sentence_W, gains_W)[words.sentence_W[first_C]], 9)
    score_C = np.round((sums_W[highs_C] - sums_W[lows_C]).max(-1), 9)
    far_C = _distance(first_C, end_C, np.flatnonzero(is_asked_W))
    best = np.lexsort((first_C, far_C, -score_C, -shared_C))[0]
    return int(words.chars_W2[first_C[best], 0]), int(words.chars_W2[end_C[best] - 1, 1])


def _runs(allowed_W: IntArray, sentence_W: IntArray) -> tuple[IntArray, IntArray]:
    """Words [first, end) of the longest runs of allowed words within a sentence."""
    is_same_W = sentence_W[1:] == sentence_W[:-1]
    before_W = np.append(False, allowed_W[:-1] & is_same_W)
    after_W = np.append(allowed_W[1:] & is_same_W, False)
    return np.flatnonzero(allowed_W & ~before_W), np.flatnonzero(allowed_W & ~after_W) + 1


def _distance(first_C: IntArray, end_C: IntArray, asked: IntArray) -> IntArray:
    """Words between each candidate and the nearest word of the question."""
    if not len(asked):
        return np.zeros(len(first_C), np.int64)
    place_C = np.searchsorted(asked, first_C)
    left_C = np.where(place_C > 0, first_C - asked[np.maximum(place_C - 1, 0)], np.iinfo(np.int64).max)
    right_C = np.where(place_C < len(asked), asked[np.minimum(place_C, len(asked) - 1)] - end_C + 1, left_C)
    return np.minimum(left_C, right_C)


def first_sentence(context: str) -> tuple[int, int]:
    """Characters [start, end) of the first sentence; [0, 0) of an empty context."""
    return next(iter(split_sentences(context)), (0, 0))


def best_spans(questions: Sequence[tuple[str, str]]) -> list[str]:
    """The answer of `best_span` to each (question, context)."""
    read: dict[str, Words] = {}
    answers = []
    for question, context in questions:
        if context not in read:
            read[context] = words_of(context)
        start, end = best_span(question, read[context])
        answers.append(context[start:end])
    return answers
