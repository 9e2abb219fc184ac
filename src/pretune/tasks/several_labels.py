"""Any number of classes a record (multi-label): gold labels, loss, predictions, scores and baselines.

A label of its own for each output: sigmoid, binary cross-entropy, averaged over the labels of a record (as transformers
does for `multi_label_classification`), so that the loss and its count are those of one prediction a record.

Class weights multiply the loss where a label is present and not the count, as torch's `pos_weight` does. balanced:
records without the label / records with it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pretune.core.errors import InputError
from pretune.core.loss import Loss, weight_sum
from pretune.core.stream import Targets
from pretune.core.strict_json import parse
from pretune.families.family import Problem
from pretune.metrics.checks import FloatArray
from pretune.metrics.multi_label import macro_f1_of_counts, micro_f1_of_counts, set_counts
from pretune.tasks.baselines import linear_label_sets
from pretune.tasks.items import Items, accuracy_items, of_sums
from pretune.tasks.label_names import refuse_unseen
from pretune.tasks.one_label import Texts
from pretune.tasks.task import Prediction, Scores
from pretune.text.labels import check_labels, label_name
from pretune.text.records import Record


@dataclass(frozen=True)
class SeveralLabels:
    """labels: all there are, in order. separator: between names in a text; None: labels are JSON lists.
    threshold: a label is given where its probability is at least this."""

    labels: tuple[str, ...]
    separator: str | None = None
    threshold: float = 0.5

    problem: ClassVar[Problem] = "multi_label_classification"
    metrics: ClassVar[tuple[str, ...]] = ("micro_f1", "macro_f1", "subset_accuracy")

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"a label is given where its probability is at least {self.threshold:g} (task.threshold=NUMBER)",)

    def names(self, records: Sequence[Record]) -> tuple[str, ...]:
        """The labels that training records have, in order."""
        first = {name: record for record in reversed(records) for name in names_of(record, self.separator)}
        if not first:
            where = records[0].path if records else "the training data"
            raise InputError(f"{where}: none of {len(records)} records has a label: is it the right column?")
        return tuple(check_labels([Record({"label": name}, one.path, one.line) for name, one in first.items()]))

    def check(self, records: Sequence[Record]) -> None:
        refuse_unseen(((n, record) for record in records for n in names_of(record, self.separator)), self.labels)

    def gold(self, record: Record) -> np.ndarray[Any, Any]:
        """[C]: 1 for each label of the record. InputError for one that was never seen in training."""
        names = names_of(record, self.separator)
        if unknown := [name for name in names if name not in self.labels]:
            raise record.error(f"label {unknown[0]!r} is none of {', '.join(self.labels)}", "correct it")
        return np.array([label in names for label in self.labels], np.float32)

    def balanced(self, records: Sequence[Record]) -> dict[str, float]:
        """The weight of each label. InputError for one that no record has, or every record."""
        counts = Counter(name for record in records for name in names_of(record, self.separator))
        for label in self.labels:
            if not 0 < counts[label] < len(records):
                raise InputError(
                    f"class_weights=balanced: {counts[label]} of {len(records)} training records have {label!r}: "
                    f"name its weight instead, task.class_weights.{label}=NUMBER"
                )
        return {label: (len(records) - counts[label]) / counts[label] for label in self.labels}

    def weight(self, record: Record, weights: Mapping[str, float]) -> float:
        return 1.0

    def loss(self, logits_MC: Tensor, targets: Targets, smoothing: float, weights: Mapping[str, float]) -> Loss:
        logits_MC = logits_MC.float()
        weight_C = logits_MC.new_tensor([weights.get(label, 1.0) for label in self.labels])
        each_MC = F.binary_cross_entropy_with_logits(
            logits_MC, targets.gold_M.float(), pos_weight=weight_C, reduction="none"
        )
        return Loss((each_MC.mean(-1) * targets.weight_M).sum(), weight_sum(targets))

    def probabilities(self, logits_GC: Tensor) -> FloatArray:
        """Of each record's labels, one by one [G, C]."""
        return torch.sigmoid(logits_GC.double()).numpy()

    def conclude(self, p_GC: Sequence[Sequence[float]]) -> list[Prediction]:
        """{"labels": [{"label", "score"}, ...] the most probable first, "scores": {label: probability}} each."""
        found = []
        for row in p_GC:
            scores = dict(zip(self.labels, row, strict=True))
            given = sorted((name for name in scores if scores[name] >= self.threshold), key=lambda n: -scores[n])
            found.append({"labels": [{"label": name, "score": scores[name]} for name in given], "scores": scores})
        return found

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """micro_f1, macro_f1, subset_accuracy (`metrics/multi_label.py`)."""
        everything = np.arange(len(records))
        return {metric: self.items(metric, predictions, records).metric(everything) for metric in self.metrics}

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        gold = [set(names_of(record, self.separator)) for record in records]
        predicted = [{each["label"] for each in prediction["labels"]} for prediction in predictions]
        if metric == "subset_accuracy":
            return accuracy_items([True] * len(gold), [a == b for a, b in zip(gold, predicted, strict=True)])
        score = micro_f1_of_counts if metric == "micro_f1" else macro_f1_of_counts
        counts_NC3 = set_counts(gold, predicted, self.labels)
        shape = counts_NC3.shape[1:]
        return of_sums(counts_NC3.reshape(len(gold), -1), lambda sums: score(sums.reshape(*sums.shape[:-1], *shape)))

    def baselines(self, texts: Texts, train: Sequence[Record], test: Texts) -> dict[str, list[Prediction]]:
        """majority: the most frequent set; tfidf: a logistic regression for each label (`baselines.py`)."""
        gold = [names_of(record, self.separator) for record in train]
        sets = Counter(tuple(sorted(names)) for names in gold)
        majority = max(sorted(sets), key=sets.__getitem__)
        guesses: dict[str, Sequence[Sequence[str]]] = {
            "majority": [majority] * len(test),
            "tfidf": linear_label_sets(texts, gold, self.labels, test),
        }
        return {
            name: [{"labels": [{"label": label} for label in labels]} for labels in found]
            for name, found in guesses.items()
        }


def names_of(record: Record, separator: str | None = None) -> list[str]:
    """The labels of a record: a list, a JSON list as text, or names between separators. InputError for anything else.

    >>> names_of(Record({"label": ["a", 2]})), names_of(Record({"label": '["a"]'})), names_of(Record({"label": []}))
    (['a', '2'], ['a'], [])
    >>> names_of(Record({"label": "sports; music"}), separator=";")
    ['sports', 'music']
    """
    value = record.get("label")
    if value is None or value == "":
        raise record.error("the label is missing", "write a list of names, or [] for none of them")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse(value)
        except ValueError as error:
            raise record.error(f"label {value!r:.80} is no JSON list ({error})", 'write ["a", "b"]') from error
    elif isinstance(value, str) and separator is not None:
        value = [part.strip() for part in value.split(separator)]
    if not isinstance(value, list):
        raise record.error(
            f"label {value!r:.80} is no list of labels",
            'write ["a", "b"], or say what stands between names: task.separator=";"',
        )
    for name in value:
        if not isinstance(name, str | int) or name == "":
            raise record.error(f"{name!r:.40} among the labels is no name", "give words or whole numbers")
    names = [label_name(name) for name in value]
    if twice := [name for name in names if names.count(name) > 1]:
        raise record.error(f"label {twice[0]!r} stands twice", "leave one of them out")
    return names
