"""One class a record: gold labels, loss, predictions, scores and baselines of `classify` and `pair`.

Class weights multiply a record's loss and its count alike: the loss of a step is sum(w · loss) / sum(w), as torch's
cross-entropy has it ("mean" with `weight`). balanced: records / (classes · records of the class), as scikit-learn's
`class_weight="balanced"` (King and Zeng 2001).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy
from pretune.core.stream import Targets
from pretune.families.family import Problem
from pretune.metrics.checks import FloatArray
from pretune.metrics.classification import accuracy, binary_f1, macro_f1, matthews
from pretune.tasks.baselines import linear_classes
from pretune.tasks.items import Items, accuracy_items, f1_items, macro_f1_items, matthews_items
from pretune.tasks.label_names import at_least_two, label_number, refuse_unseen
from pretune.tasks.task import Prediction, Scores
from pretune.text.labels import check_labels, label_name
from pretune.text.records import Record

Texts = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class OneLabel:
    """labels: the classes in order. positive: the one that f1 is about; None where there are not two."""

    labels: tuple[str, ...]
    positive: str | None = None

    problem: ClassVar[Problem] = "single_label_classification"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "macro_f1", "matthews")

    @property
    def notes(self) -> tuple[str, ...]:
        """Which class f1 is about."""
        return () if self.positive is None else (f"f1 is of the class {self.positive!r} (task.positive=NAME)",)

    def names(self, records: Sequence[Record]) -> tuple[str, ...]:
        """The labels that training records have, in order."""
        return at_least_two(check_labels(records), records)

    def check(self, records: Sequence[Record]) -> None:
        check_labels(records)
        refuse_unseen(((label_name(record["label"]), record) for record in records), self.labels)

    def gold(self, record: Record) -> int:
        return label_number(record, record.get("label"), self.labels)

    def balanced(self, records: Sequence[Record]) -> dict[str, float]:
        """The weight of each class. InputError for one that no record has."""
        counts = Counter(_gold(records))
        if absent := [label for label in self.labels if not counts[label]]:
            raise InputError(f"class_weights=balanced: no training record has the label {', '.join(absent)}")
        return {label: len(records) / (len(self.labels) * counts[label]) for label in self.labels}

    def weight(self, record: Record, weights: Mapping[str, float]) -> float:
        """The record's weight in the loss and in its count."""
        return weights.get(label_name(record["label"]), 1.0)

    def loss(self, logits_MC: Tensor, targets: Targets, smoothing: float, weights: Mapping[str, float]) -> Loss:
        return cross_entropy(logits_MC, targets, smoothing)

    def predictions(self, logits_GC: Tensor) -> list[Prediction]:
        """What `conclude` says of logits."""
        return self.conclude(self.probabilities(logits_GC).tolist())

    def probabilities(self, logits_GC: Tensor) -> FloatArray:
        """Of each record's labels [G, C]."""
        return torch.softmax(logits_GC.double(), -1).numpy()

    def conclude(self, p_GC: Sequence[Sequence[float]]) -> list[Prediction]:
        """{"label", "score", "scores": {label: probability}} for each record: the most probable label."""
        found = [dict(zip(self.labels, row, strict=True)) for row in p_GC]
        best = [max(scores, key=scores.__getitem__) for scores in found]
        return [
            {"label": label, "score": scores[label], "scores": scores}
            for label, scores in zip(best, found, strict=True)
        ]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """accuracy, macro_f1, matthews; for two classes also f1 of the positive one."""
        gold, predicted = _gold(records), _predicted(predictions)
        scores = {"accuracy": accuracy(gold, predicted)}
        if self.positive is not None:
            scores["f1"] = binary_f1(gold, predicted, self.positive)
        return scores | {"macro_f1": macro_f1(gold, predicted), "matthews": matthews(gold, predicted)}

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        gold, predicted = _gold(records), _predicted(predictions)
        if metric == "f1":
            assert self.positive is not None
            return f1_items(gold, predicted, self.positive)
        kinds = {"accuracy": accuracy_items, "macro_f1": macro_f1_items, "matthews": matthews_items}
        return kinds[metric](gold, predicted)

    def baselines(self, texts: Texts, train: Sequence[Record], test: Texts) -> dict[str, list[Prediction]]:
        """majority: the most frequent class; tfidf: logistic regression on TF-IDF features (`baselines.py`)."""
        gold = _gold(train)
        majority = max(sorted(set(gold)), key=Counter(gold).__getitem__)
        guesses = {"majority": [majority] * len(test), "tfidf": linear_classes(texts, gold, test)}
        return {name: [{"label": label} for label in labels] for name, labels in guesses.items()}


_NEGATION = re.compile(r"(not|non|no|un|in|im|il|ir|dis)[ _-]*", re.IGNORECASE)


def positive_of(first: str, second: str) -> str:
    """The class of two that f1 is about: the one the other denies, else the second.

    By order alone it would be `not_equivalent` of MRPC's labels, whose official F1 is that of `equivalent`.

    >>> positive_of("equivalent", "not_equivalent"), positive_of("acceptable", "unacceptable")
    ('equivalent', 'acceptable')
    >>> positive_of("not_paraphrase", "paraphrase"), positive_of("ham", "spam"), positive_of("0", "1")
    ('paraphrase', 'spam', '1')
    """
    denied = second[: len(second) - len(first)] if second.lower().endswith(first.lower()) else ""
    return first if _NEGATION.fullmatch(denied) else second


def _gold(records: Sequence[Record]) -> list[str]:
    return [label_name(record["label"]) for record in records]


def _predicted(predictions: Sequence[Prediction]) -> list[str]:
    return [prediction["label"] for prediction in predictions]
