"""Exact match and F1 of answers in words, as SQuAD's official scorers count them (evaluate-v1.1.py, evaluate-v2.0.py).

Rajpurkar et al. 2016, section 6.1; Rajpurkar, Jia and Liang 2018, section 5. Before answers are compared they become
lower case, ASCII punctuation and the words a, an, the are taken out, and white space becomes single spaces. Exact
match: equal strings. F1: of the two bags of words. Of several gold answers the best one counts, for each metric alone.

The two scorers differ in little, and both are here as `rules`:

- "2.0": a question may have no gold answer, and then the empty answer is the right one. Gold answers of which nothing
  is left count as none. Where one side has no words, F1 is 1 if both have none, else 0.
- "1.1": where one side has no words F1 is 0, even if both have none (exact match is 1 then).

Scores are fractions between 0 and 1 (the scorers print percentages). Not here: predictions that are missing, which the
1.1 scorer counts as wrong and the 2.0 scorer leaves out: a model here predicts something for every question.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from pretune.core.errors import InputError, unknown
from pretune.metrics.checks import FloatArray

Rules = Literal["1.1", "2.0"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normal_answer(text: str) -> str:
    """An answer as it is compared. Punctuation goes first, so that "a-b" becomes one word and "a." an article.

    >>> normal_answer("The  Denver-Broncos,  a team!"), normal_answer("The."), normal_answer("«Été»")
    ('denverbroncos team', '', '«été»')
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(golds: Sequence[str], predicted: str, rules: Rules = "1.1") -> float:
    """1.0 where the prediction equals a gold answer, normalised. golds: empty where there is no answer (2.0 alone).

    >>> exact_match(["the Broncos", "Denver"], "Broncos."), exact_match([], "", "2.0"), exact_match([], "Denver", "2.0")
    (1.0, 1.0, 0.0)
    """
    wanted = normal_answer(predicted)
    return float(any(normal_answer(gold) == wanted for gold in _accepted(golds, rules)))


def answer_f1(golds: Sequence[str], predicted: str, rules: Rules = "1.1") -> float:
    """F1 of the words that prediction and gold share, each as often as both have it; the best over the gold answers.

    >>> answer_f1(["Denver Broncos"], "the Broncos of Denver")           # 2 shared of 3 and of 2
    0.8
    >>> answer_f1([], "", "2.0"), answer_f1(["the"], "the", "2.0"), answer_f1(["the"], "the", "1.1")
    (1.0, 1.0, 0.0)
    """
    words = normal_answer(predicted).split()
    return max(_f1(normal_answer(gold).split(), words, rules) for gold in _accepted(golds, rules))


def _accepted(golds: Sequence[str], rules: Rules) -> Sequence[str]:
    if rules not in get_args(Rules):
        raise unknown("rules", str(rules), get_args(Rules))
    if rules == "2.0":
        return [gold for gold in golds if normal_answer(gold)] or [""]
    if not golds:
        raise InputError('a question without a gold answer is scored by SQuAD 2.0: give rules="2.0"')
    return golds


def _f1(gold: list[str], predicted: list[str], rules: Rules) -> float:
    if rules == "2.0" and not (gold and predicted):
        return float(gold == predicted)
    shared = sum((Counter(gold) & Counter(predicted)).values())
    return 2.0 * shared / (len(gold) + len(predicted)) if shared else 0.0


def answer_values(golds_N: Sequence[Sequence[str]], predicted_N: Sequence[str], rules: Rules = "1.1") -> FloatArray:
    """Exact match and F1 of each question [N, 2]: what a bootstrap over questions sums. InputError for none.

    ValueError where the numbers of questions differ.
    """
    if len(golds_N) != len(predicted_N):
        raise ValueError(f"{len(golds_N)} questions but {len(predicted_N)} predicted answers")
    if not len(golds_N):
        raise InputError("no questions: there is nothing to score")
    pairs = zip(golds_N, predicted_N, strict=True)
    return np.array([(exact_match(*pair, rules), answer_f1(*pair, rules)) for pair in pairs], np.float64)


def answer_scores(
    golds_N: Sequence[Sequence[str]], predicted_N: Sequence[str], rules: Rules = "1.1"
) -> dict[str, float]:
    """exact_match and f1; where some questions have a gold answer and some none, also of each kind (the official
    HasAns_ and NoAns_ figures). A gold answer that normalises to nothing is one here, as in the official scorer.

    >>> answer_scores([["Denver"], []], ["denver", "Rome"], "2.0")["no_answer_f1"]
    0.0
    """
    values_N2 = answer_values(golds_N, predicted_N, rules)
    has_answer_N = np.array([bool(golds) for golds in golds_N])
    groups = {"": np.ones(len(golds_N), np.bool_)}
    if has_answer_N.any() and not has_answer_N.all():
        groups |= {"has_answer_": has_answer_N, "no_answer_": ~has_answer_N}
    found: dict[str, float] = {}
    for prefix, chosen_N in groups.items():
        exact, f1 = values_N2[chosen_N].mean(0)
        found |= {f"{prefix}exact_match": float(exact), f"{prefix}f1": float(f1)}
    return found


def best_threshold(odds_N: FloatArray, value_N: FloatArray, null_value_N: FloatArray) -> tuple[float, float]:
    """(threshold, mean score) that is best when questions with odds above the threshold are left unanswered.

    odds_N: of having no answer. value_N: the score of each answer, if it is given; null_value_N: of the empty one.
    Every threshold that makes a difference is looked at (`find_best_thresh` of the 2.0 scorer: sort and sum); of
    equally good ones the lowest is taken. Unlike there, questions with equal odds are told apart by no threshold.

    >>> best_threshold(np.array([-2.0, 0.5, 3.0]), np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    (0.5, 1.0)
    """
    order_N = np.argsort(odds_N, kind="stable")
    sorted_N = odds_N[order_N]
    gains_N = np.cumsum((value_N - null_value_N)[order_N])
    is_last_N = np.append(sorted_N[1:] > sorted_N[:-1], True)  # of questions with equal odds
    totals = null_value_N.sum() + np.append(0.0, gains_N[is_last_N])
    below_all = sorted_N[0] - 1.0
    best = int(np.argmax(totals))
    thresholds = np.append(below_all, sorted_N[is_last_N])
    return float(thresholds[best]), float(totals[best] / len(odds_N))
