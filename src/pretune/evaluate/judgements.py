"""Predictions of classes beside their gold labels, one a text or one a word: what confusion, calibration and the list
of confident errors are made of. A task that predicts neither a class a record nor one a word has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pretune.text.contents import Contents
from pretune.text.records import Record


@dataclass(frozen=True, slots=True)
class Judgement:
    """row: number of the record. word: which of it, None for the whole. score: the probability of the predicted label,
    None where the task gives none."""

    row: int
    gold: str
    predicted: str
    score: float | None
    word: str | None = None

    @property
    def is_right(self) -> bool:
        return self.gold == self.predicted


def judgements(
    predictions: Sequence[Any], records: Sequence[Record], contents: Callable[[Record], Contents]
) -> list[Judgement]:
    """All of them, in order; [] where predictions are not classes.

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
