"""Groups of records that a kind of task suggests, to be scored one by one (`slices.py`).

Choices: how many there are, and where the right one stands (a model that has learnt the place instead of the text is
found so). Answers: the question's word, the lengths of context and answer, and whether there is an answer.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pretune.metrics.checks import IntArray
from pretune.text.answers import answers_of
from pretune.text.choices import choices_of
from pretune.text.records import Record

Group = tuple[str, str, IntArray]
"""What it is cut by, its name, and its rows."""
Lengths = Callable[[IntArray], Iterator[tuple[str, IntArray]]]

QUESTION_WORDS = ("how many", "how much", "who", "whom", "whose", "what", "when", "where", "which", "why", "how")
_QUESTION = re.compile(rf"\b({'|'.join(QUESTION_WORDS)})\b", re.IGNORECASE)


def choice_groups(records: Sequence[Record]) -> Iterator[Group]:
    """By number of choices, where that differs, and by the place of the right one."""
    asked = [choices_of(record) for record in records]
    numbers = np.array([len(one.texts) for one in asked])
    if len(set(numbers.tolist())) > 1:
        yield from _by_value("choices", numbers)
    yield from _by_value(
        "place of the right choice", np.array([-1 if one.label is None else one.label for one in asked])
    )


def answer_groups(records: Sequence[Record], by_length: Lengths) -> Iterator[Group]:
    """By question word, context and answer length in words, and whether there is an answer, where some have none."""
    yield from _named("question word", [question_word(str(record.get("question", ""))) for record in records])
    context_N = np.array([len(str(record.get("context", "")).split()) for record in records])
    yield from (("words of the context", name, rows) for name, rows in by_length(context_N))
    words_N = np.array([len(answers[0].text.split()) if (answers := answers_of(one)) else 0 for one in records])
    with_answer = np.flatnonzero(words_N)
    if len(with_answer) < len(records):
        yield "answer", "has an answer", with_answer
        yield "answer", "has none", np.flatnonzero(words_N == 0)
    if len(with_answer):
        parts = by_length(words_N[with_answer])
        yield from (("words of the answer", name, with_answer[rows]) for name, rows in parts)


def question_word(question: str) -> str:
    """The first question word; "other" where there is none.

    >>> question_word("In which city, and when?"), question_word("How many ran?"), question_word("Name it.")
    ('which', 'how many', 'other')
    """
    found = _QUESTION.search(question)
    return found.group(1).lower() if found else "other"


def _by_value(group: str, values_N: IntArray) -> Iterator[Group]:
    for value in np.unique(values_N).tolist():
        yield group, f"{value}" if group == "choices" else f"{value + 1}.", np.flatnonzero(values_N == value)


def _named(group: str, names: Sequence[str]) -> Iterator[Group]:
    """The most frequent first; nothing where all are one."""
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    if len(counts) > 1:
        for name in sorted(counts, key=lambda name: (-counts[name], name)):
            yield group, name, np.array([row for row, other in enumerate(names) if other == name])
