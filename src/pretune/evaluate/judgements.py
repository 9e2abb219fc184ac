"""Predictions beside their gold labels: what confusion, calibration and the list of confident errors are made of.

Of classes, one a text or one a word; of choices and of answers one a record; of several labels one a record and label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pretune.metrics.answers import exact_match
from pretune.tasks.several_labels import names_of
from pretune.text.answers import answers_of
from pretune.text.choices import choices_of
from pretune.text.contents import Contents
from pretune.text.records import Record

NO_ANSWER = "(no answer)"


@dataclass(frozen=True, slots=True)
class Judgement:
    """row: number of the record. word: which of it, None for the whole. score: the probability of the predicted label,
    None where the task gives none. agrees: whether that is right, None where equal names say it."""

    row: int
    gold: str
    predicted: str
    score: float | None
    word: str | None = None
    agrees: bool | None = None

    @property
    def is_right(self) -> bool:
        return self.gold == self.predicted if self.agrees is None else self.agrees


def judgements(
    predictions: Sequence[Any], records: Sequence[Record], contents: Callable[[Record], Contents]
) -> list[Judgement]:
    """Of classes, in order; [] where predictions are none.

    >>> from pretune.text.contents import contents_of
    >>> rows = [Record({"text": "a", "label": "x"}), Record({"text": "b", "label": "y"})]
    >>> guesses = [{"label": "x", "score": 0.75}, {"label": "x", "score": 0.5}]
    >>> [(one.gold, one.predicted, one.is_right) for one in judgements(guesses, rows, contents_of)]
    [('x', 'x', True), ('y', 'x', False)]
    """
    found: list[Judgement] = []
    for row, (prediction, record) in enumerate(zip(predictions, records, strict=True)):
        each = [prediction] if isinstance(prediction, dict) else prediction
        gold = contents(record)
        if gold.gold != "classes" or not isinstance(each, list) or len(each) != len(gold.names):
            return []
        for name, guess in zip(gold.names, each, strict=True):
            label = guess.get("entity", guess.get("label"))
            if not isinstance(label, str):
                return []
            found.append(Judgement(row, name, label, guess.get("score"), guess.get("word")))
    return found


def choice_judgements(predictions: Sequence[Any], records: Sequence[Record]) -> list[Judgement]:
    """Of choices among texts; [] where predictions are none.

    >>> record = Record({"text": "it rained", "choices": ["dry", "wet"], "label": 1})
    >>> [(one.gold, one.predicted, one.is_right) for one in choice_judgements([{"choice": 0, "score": 0.6}], [record])]
    [('wet', 'dry', False)]
    """
    found = []
    for row, (prediction, record) in enumerate(zip(predictions, records, strict=True)):
        if not isinstance(prediction, dict) or "choice" not in prediction:
            return []
        asked, said = choices_of(record), prediction["choice"]
        if asked.label is None:
            return []
        names = asked.texts[asked.label], asked.texts[said]
        found.append(Judgement(row, *names, prediction.get("score"), agrees=said == asked.label))
    return found


def answer_judgements(predictions: Sequence[Any], records: Sequence[Record]) -> list[Judgement]:
    """Of answers, right by exact match with any gold one (SQuAD 2.0's rules); [] where predictions are none.

    >>> record = Record({"context": "in the Rhine", "answers": [{"text": "the Rhine", "start": 3}]})
    >>> [one.is_right for one in answer_judgements([{"answer": "Rhine", "score": 0.6}], [record])]
    [True]
    """
    found = []
    for row, (prediction, record) in enumerate(zip(predictions, records, strict=True)):
        if not isinstance(prediction, dict) or "answer" not in prediction:
            return []
        golds, said = [one.text for one in answers_of(record)], prediction["answer"]
        names = golds[0] if golds else NO_ANSWER, said or NO_ANSWER
        agrees = bool(exact_match(golds, said, "2.0"))
        found.append(Judgement(row, *names, prediction.get("score"), agrees=agrees))
    return found


def label_judgements(predictions: Sequence[Any], records: Sequence[Record], separator: str | None) -> list[Judgement]:
    """Of several labels a record: whether it has each one, "yes" or "no"; `word` is the label. [] where predictions
    are none. Only with probabilities, of which "no" has the rest to 1.

    >>> guess = {"labels": [{"label": "a"}], "scores": {"a": 0.75, "b": 0.5}}
    >>> [(j.word, j.gold, j.predicted, j.score) for j in label_judgements([guess], [Record({"label": ["b"]})], None)]
    [('a', 'no', 'yes', 0.75), ('b', 'yes', 'no', 0.5)]
    """
    found = []
    for row, (prediction, record) in enumerate(zip(predictions, records, strict=True)):
        if not isinstance(prediction, dict) or not {"labels", "scores"} <= prediction.keys():
            return []
        gold, said = names_of(record, separator), {each["label"] for each in prediction["labels"]}
        for label, score in prediction["scores"].items():
            is_gold, is_said = (("yes" if label in part else "no") for part in (gold, said))
            found.append(Judgement(row, is_gold, is_said, score if label in said else 1.0 - score, label))
    return found
