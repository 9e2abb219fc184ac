"""Exact match and F1 of answers: cases typed by hand from how SQuAD's two scorers count, and a plain version beside."""

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.metrics.answers import (
    answer_f1,
    answer_scores,
    answer_values,
    best_threshold,
    exact_match,
    normal_answer,
)

BOTH = [
    # golds, predicted, exact match, F1: equal by the rules of 1.1 and of 2.0
    (["Denver Broncos"], "the DENVER broncos.", 1, 1),
    (["Denver Broncos"], "Broncos", 0, 2 / 3),
    (["Denver Broncos", "Broncos"], "Broncos", 1, 1),
    (["Carolina Panthers", "gold and red"], "red and black", 0, 2 / 3),  # the best gold answer counts
    (["very very good"], "very good good", 0, 2 / 3),  # each word as often as both have it
    (["very very good"], "very very bad", 0, 2 / 3),
    (["twenty-one"], "twentyone", 1, 1),  # a hyphen goes, and leaves no space
    (["twenty-one"], "twenty one", 0, 0),
    (["1,000"], "1000", 1, 1),
    (["$5"], "5", 1, 1),
    (["€5"], "5", 0, 0),  # only ASCII punctuation goes
    (["“Broncos”"], "Broncos", 0, 0),
    (["I.B.M."], "ibm", 1, 1),
    (["the-end"], "end", 0, 0),  # "theend": the article is no word of its own
    (["analysis"], "an analysis", 1, 1),
    (["theory"], "ory", 0, 0),
    (["New\tYork\n"], " new  york", 1, 1),
    (["snake_case"], "snakecase", 1, 1),
    (["A"], "B", 0, 0),
    (["Denver"], "", 0, 0),
    (["É"], "é", 1, 1),
]


@pytest.mark.parametrize("rules", ["1.1", "2.0"])
@pytest.mark.parametrize(("golds", "predicted", "exact", "f1"), BOTH)
def test_what_both_scorers_say(golds, predicted, exact, f1, rules):
    assert exact_match(golds, predicted, rules) == exact
    assert answer_f1(golds, predicted, rules) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("golds", "predicted", "rules", "exact", "f1"),
    [
        (["the"], "a", "1.1", 1, 0),  # nothing is left of either: equal, and no word is shared
        (["the"], "a", "2.0", 1, 1),
        (["the"], "Denver", "2.0", 0, 0),
        (["the", "Denver"], "", "1.1", 1, 0),
        (["the", "Denver"], "", "2.0", 0, 0),  # a gold answer of which nothing is left counts as none
        (["the", "Denver"], "Denver", "2.0", 1, 1),
        ([], "", "2.0", 1, 1),
        ([], "The!", "2.0", 1, 1),
        ([], "Denver", "2.0", 0, 0),
        (["Denver"], "?!", "2.0", 0, 0),
    ],
)
def test_where_nothing_is_left(golds, predicted, rules, exact, f1):
    assert (exact_match(golds, predicted, rules), answer_f1(golds, predicted, rules)) == (exact, f1)


def test_scores_of_questions_with_and_without_answers():
    golds = [["Denver"], ["a red cat"], [], []]
    scores = answer_scores(golds, ["denver", "cat", "", "Rome"], "2.0")
    assert scores == pytest.approx(
        {
            "exact_match": 0.5,
            "f1": (1 + 2 / 3 + 1 + 0) / 4,
            "has_answer_exact_match": 0.5,
            "has_answer_f1": (1 + 2 / 3) / 2,
            "no_answer_exact_match": 0.5,
            "no_answer_f1": 0.5,
        }
    )
    assert answer_scores([["x"]], ["x"], "2.0").keys() == {"exact_match", "f1"}
    assert answer_scores([["the"], []], ["", ""], "2.0")["has_answer_f1"] == 1.0  # it has one, by its list


def test_refusals():
    with pytest.raises(InputError, match="2.0"):
        exact_match([], "x", "1.1")
    with pytest.raises(InputError, match="unknown rules"):
        answer_f1(["x"], "x", "3.0")
    with pytest.raises(InputError, match="no questions"):
        answer_values([], [])
    with pytest.raises(ValueError, match="2 questions but 1 "):
        answer_values([["a"], ["b"]], ["a"])


def plain(gold, predicted, rules):
    """One gold answer, in the order of steps the scorers take."""

    def normal(text):
        text = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    a, b = normal(gold).split(), normal(predicted).split()
    same = sum((Counter(a) & Counter(b)).values())
    if rules == "2.0" and (not a or not b):
        f1 = float(a == b)
    elif same == 0:
        f1 = 0.0
    else:
        precision, recall = same / len(b), same / len(a)
        f1 = 2 * precision * recall / (precision + recall)
    return float(normal(gold) == normal(predicted)), f1


texts = st.lists(
    st.sampled_from(
        ["a ", "An ", "the", "cat ", "Cat ", "dog", " ", "-", ".", "'s", "\t", "é", "«", "_", "1", "\u00a0"]
    ),
    max_size=8,
).map("".join)


@given(gold=texts, predicted=texts, rules=st.sampled_from(["1.1", "2.0"]))
def test_equal_to_a_plain_version(gold, predicted, rules):
    if rules == "1.1" or normal_answer(gold):
        found = exact_match([gold], predicted, rules), answer_f1([gold], predicted, rules)
        assert found == pytest.approx(plain(gold, predicted, rules))


@given(
    st.lists(
        st.tuples(st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0]), st.sampled_from([0.0, 0.25, 1.0]), st.booleans()),
        min_size=1,
        max_size=9,
    )
)
def test_no_other_threshold_is_better(rows):
    odds, value, null = (np.array(column, float) for column in zip(*rows, strict=True))
    null[value > 0] = 0.0  # an answer that is right to some share means that there is one

    def mean(threshold):
        return float(np.where(odds > threshold, null, value).mean())

    threshold, score = best_threshold(odds, value, null)
    assert score == pytest.approx(mean(threshold))
    assert score == pytest.approx(max(mean(other) for other in [-9.0, *odds, 9.0]))
    assert all(
        mean(other) < score - 1e-9 for other in [-9.0, *odds] if other < threshold and mean(other) != mean(threshold)
    )


def test_equal_odds_are_not_told_apart():
    """Summed one by one, the first of the two would seem worth a threshold."""
    threshold, score = best_threshold(np.array([1.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert (threshold, score) == (0.0, 0.5)
