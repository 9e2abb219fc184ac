"""What `classify` and `pair`, with one class a record, share: label names, loss, decoding, scores, baselines.

Labels keep their names: text as it is, whole numbers and truth values as JSON writes them ("1", "true"). Their order,
and so that of the head's outputs, is numeric where all are whole numbers, else by code point.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, get_args

import torch
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.metrics.classification import accuracy, binary_f1, macro_f1, matthews
from pretune.tasks.baselines import linear_classes
from pretune.tasks.items import Items, accuracy_items, f1_items, macro_f1_items, matthews_items
from pretune.tasks.task import Prediction, Scores, Task, chosen
from pretune.tasks.texts import Pooling, featurize_texts, one_a_group, pooling_of, text_of
from pretune.text.labels import check_labels, label_name
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

METRICS = ("accuracy", "f1", "macro_f1", "matthews")


@dataclass(frozen=True)
class Classes(Task):
    """One class a record.

    labels: names of the classes, bound by `fit_labels`. metric: the main one: accuracy, f1 (of `positive`; two classes
    only), macro_f1 or matthews. positive: the class that f1 is about, by default `positive_of` two labels; `notes` says
    which it is.
    label_smoothing: share of the target spread over all classes (Szegedy et al. 2016, section 7).
    pooling: what the model's head reads ("row" or "mean"), set by `suit`.
    """

    labels: tuple[str, ...] = ()
    metric: str = "accuracy"
    positive: str | None = None
    label_smoothing: float = 0.0
    pooling: Pooling = "row"

    head: ClassVar[str] = "sequence"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        chosen("metric", self.metric, METRICS)
        chosen("pooling", self.pooling, get_args(Pooling))
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(f"label_smoothing={self.label_smoothing}: give a share from 0 to below 1")
        if self.labels and self.positive is not None and self.positive not in self.labels:
            raise InputError(f"positive={self.positive!r} is none of the labels: {', '.join(self.labels)}")
        if self.labels and self.metric == "f1" and self._positive is None:
            raise InputError(f"f1 is of one of two classes, here are {len(self.labels)}: give metric=macro_f1")

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("sequence", self.labels)

    @property
    def _positive(self) -> str | None:
        if len(self.labels) != 2:
            return None
        return self.positive if self.positive is not None else positive_of(self.labels[0], self.labels[1])

    @property
    def notes(self) -> tuple[str, ...]:
        """Which class f1 is about."""
        return () if self._positive is None else (f"f1 is of the class {self._positive!r} (task.positive=NAME)",)

    def suit(self, model: Any) -> Self:
        return replace(self, pooling=pooling_of(model, self.head))

    def fit_labels(self, records: Sequence[Record]) -> Self:
        if self.labels:
            self.check(records)
            return self
        return replace(self, labels=at_least_two(check_labels(records), records))

    def check(self, records: Sequence[Record]) -> None:
        check_labels(records)
        refuse_unseen(((label_name(record["label"]), record) for record in records), self.labels)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        label = label_number(record, record.get("label"), self.labels) if labelled else None
        texts = [text_of(record, column) for column in self.columns]
        return featurize_texts(texts, self.head, label, tokenizer, template, max_length, self.pooling)

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        return {self.head: cross_entropy(outputs[self.head], batch.predict[self.head], self.label_smoothing)}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"label", "score", "scores": {label: probability}} for each record."""
        return class_predictions(one_a_group(outputs[self.head], batch.predict[self.head]), self.labels)

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """accuracy, macro_f1, matthews; for two classes also f1 of the positive one."""
        gold, predicted = _gold(records), [prediction["label"] for prediction in predictions]
        scores = {"accuracy": accuracy(gold, predicted)}
        if self._positive is not None:
            scores["f1"] = binary_f1(gold, predicted, self._positive)
        return scores | {"macro_f1": macro_f1(gold, predicted), "matthews": matthews(gold, predicted)}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        gold, predicted = _gold(records), [prediction["label"] for prediction in predictions]
        if self.metric == "f1":
            assert self._positive is not None
            return f1_items(gold, predicted, self._positive)
        kinds = {"accuracy": accuracy_items, "macro_f1": macro_f1_items, "matthews": matthews_items}
        return kinds[self.metric](gold, predicted)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """majority: the most frequent class; tfidf: logistic regression on TF-IDF features (`baselines.py`)."""
        gold = _gold(train)
        majority = max(sorted(set(gold)), key=Counter(gold).__getitem__)
        texts = [
            [tuple(text_of(record, column) for column in self.columns) for record in part] for part in (train, test)
        ]
        guesses = {"majority": [majority] * len(test), "tfidf": linear_classes(texts[0], gold, texts[1])}
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


def _gold(records: Iterable[Record]) -> list[str]:
    return [label_name(record["label"]) for record in records]


def at_least_two(labels: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    """The labels, if there is something to tell apart. InputError otherwise."""
    if len(labels) < 2:
        raise InputError(
            f"{records[0].path if records else 'the training data'}: all {len(records)} records have the same label "
            f"({', '.join(labels) or 'none'}): there is nothing to learn; is it the right column?"
        )
    return tuple(labels)


def label_number(record: Record, label: Any, labels: Sequence[str]) -> int:
    """The number of a record's label among the labels. InputError where it is missing or not one of them."""
    if label is None or label == "":
        raise record.error("the label is missing", "fill it in, or leave the record out")
    name = label_name(label)
    try:
        return labels.index(name)
    except ValueError:
        raise record.error(f"label {name!r} is none of {', '.join(labels)}", "correct it, or train with it") from None


def refuse_unseen(named: Iterable[tuple[str, Record]], labels: Sequence[str]) -> None:
    """InputError that lists the labels that are not among the known ones, how often each occurs and where first."""
    known = set(labels)
    unseen = [(name, record) for name, record in named if name not in known]
    if not unseen:
        return
    counts = Counter(name for name, _ in unseen)
    first = {name: record for name, record in reversed(unseen)}
    listed = "; ".join(
        f"{name!r} ({counts[name]} times, first at {first[name].path}:{first[name].line})"
        for name in sorted(counts)[:20]
    )
    more = f" and {len(counts) - 20} more" if len(counts) > 20 else ""
    raise InputError(
        f"{len(counts)} labels were never seen in training: {listed}{more}. Known labels: {', '.join(labels)}. "
        "Correct the file, train on records that have them, or name all labels beforehand: task.labels=[...]"
    )


def class_predictions(logits_MC: Tensor, labels: Sequence[str]) -> list[Prediction]:
    """The most probable label of each row, its probability and those of all."""
    if logits_MC.shape[-1] != len(labels):
        raise InputError(f"the head gives {logits_MC.shape[-1]} scores but the task has {len(labels)} labels")
    probabilities_MC = torch.softmax(logits_MC.double(), -1)
    best_M = probabilities_MC.argmax(-1).tolist()
    return [
        {"label": labels[best], "score": row[best], "scores": dict(zip(labels, row, strict=True))}
        for best, row in zip(best_M, probabilities_MC.tolist(), strict=True)
    ]
