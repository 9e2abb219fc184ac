"""What `classify` and `pair` share: their settings, and which of the two kinds of answers they are about.

One class a record (`one_label.py`), or with `multi_label=true` any number of them (`several_labels.py`). Texts, what
the head reads of them and windows: `whole_texts.py`. Names of labels: `label_names.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items
from pretune.tasks.one_label import OneLabel, positive_of
from pretune.tasks.several_labels import SeveralLabels, names_of
from pretune.tasks.task import Prediction, Scores, chosen
from pretune.tasks.texts import one_a_group, text_of
from pretune.tasks.whole_texts import WholeTexts, head_pooling
from pretune.text.contents import Contents, Gold, contents_of
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

Weights = Literal["balanced"] | dict[str, float] | None


@dataclass(frozen=True)
class Classes(WholeTexts):
    """One class a record, or several.

    labels: names of the classes, bound by `fit_labels`. metric: the main one: accuracy (auto), f1 (of `positive`; two
    classes only), macro_f1 or matthews; with multi_label micro_f1 (auto), macro_f1 or subset_accuracy. positive: the
    class that f1 is about, by default `positive_of` two labels; `notes` says which it is.
    label_smoothing: share of the target spread over all classes (Szegedy et al. 2016, section 7).
    class_weights: balanced, or {label: weight}, 1 for labels that are not named; what they weigh: `one_label.py`,
    `several_labels.py`. multi_label: a record has any number of labels, as a JSON list or with `separator` between
    them; one is given where its probability is at least `threshold`. pooling, windows, stride: `WholeTexts`.
    """

    labels: tuple[str, ...] = ()
    metric: str = "auto"
    positive: str | None = None
    label_smoothing: float = 0.0
    class_weights: Weights = None
    multi_label: bool = False
    separator: str | None = None
    threshold: float = 0.5

    columns: ClassVar[tuple[str, ...]] = ("text",)
    gold: ClassVar[Gold] = "classes"

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen("metric", self.metric, ("auto", *self._answers.metrics))
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(f"label_smoothing={self.label_smoothing}: give a share from 0 to below 1")
        if self.labels and self.positive is not None and self.positive not in self.labels:
            raise InputError(f"positive={self.positive!r} is none of the labels: {', '.join(self.labels)}")
        if self.labels and self.metric == "f1" and self._positive is None:
            raise InputError(f"f1 is of one of two classes, here are {len(self.labels)}: give metric=macro_f1")
        self._check_weights()
        self._check_multi_label()

    def _check_weights(self) -> None:
        for label, weight in (self.class_weights if isinstance(self.class_weights, dict) else {}).items():
            if self.labels and label not in self.labels:
                raise InputError(f"class_weights: {label!r} is none of the labels: {', '.join(self.labels)}")
            if not (math.isfinite(weight) and weight > 0):
                raise InputError(f"class_weights: {label!r} weighs {weight}: give a number above 0")

    def _check_multi_label(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise InputError(f"threshold={self.threshold}: give a probability between 0 and 1")
        if self.separator is not None and not self.separator.strip(" "):
            raise InputError(f"separator={self.separator!r}: give what stands between labels, for example ;")
        only_one = {"positive": self.positive, "label_smoothing": self.label_smoothing or None}
        several = {"separator": self.separator, "threshold": None if self.threshold == 0.5 else self.threshold}
        for name, value in (only_one if self.multi_label else several).items():
            if value is not None:
                says = "not with" if self.multi_label else "only with"
                raise InputError(f"{name}={value!r} goes {says} multi_label=true")

    @property
    def _answers(self) -> OneLabel | SeveralLabels:
        if self.multi_label:
            return SeveralLabels(self.labels, self.separator, self.threshold)
        return OneLabel(self.labels, self._positive)

    @property
    def _positive(self) -> str | None:
        if len(self.labels) != 2:
            return None
        return self.positive if self.positive is not None else positive_of(self.labels[0], self.labels[1])

    @property
    def _weights(self) -> Mapping[str, float]:
        return self.class_weights if isinstance(self.class_weights, dict) else {}

    @property
    def main_metric(self) -> str:
        return self._answers.metrics[0] if self.metric == "auto" else self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec(self.head, self.labels, self._answers.problem, head_pooling(self.pooling))  # type: ignore[arg-type]

    @property
    def notes(self) -> tuple[str, ...]:
        """Which class f1 is about, or from which probability a label is given."""
        return self._answers.notes

    def contents(self, record: Record) -> Contents:
        found = contents_of(record, self.columns, self.gold)
        if not self.multi_label or not found.labelled:
            return found
        try:
            return replace(found, labels=tuple(names_of(record, self.separator)))
        except InputError:  # which `check` reports
            return found

    def fit_labels(self, records: Sequence[Record]) -> Self:
        if self.labels:
            self.check(records)
        bound = self if self.labels else replace(self, labels=self._answers.names(records))
        if bound.class_weights == "balanced":
            return replace(bound, class_weights=bound._answers.balanced(records))
        return bound

    def check(self, records: Sequence[Record]) -> None:
        self._answers.check(records)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        gold = self._answers.gold(record) if labelled else None
        weight = self._answers.weight(record, self._weights) if labelled else 1.0
        texts = [text_of(record, column) for column in self.columns]
        return self._featurize(texts, gold, tokenizer, template, max_length, weight)

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        logits_MC = self._joined(outputs, batch)
        return {self.head: self._answers.loss(logits_MC, batch.predict[self.head], self.label_smoothing, self._weights)}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"label", "score", "scores": {label: probability}} each; of several labels {"labels": [...], "scores"}."""
        return self.conclude(self.evidence(outputs, batch, records), records)

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """The probability of each label."""
        logits_GC = one_a_group(self._joined(outputs, batch), batch.predict[self.head])
        if logits_GC.shape[-1] != len(self.labels):
            raise InputError(f"the head gives {logits_GC.shape[-1]} scores but the task has {len(self.labels)} labels")
        return [Evidence(p_C[None], self.labels) for p_C in self._answers.probabilities(logits_GC)]

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        return self._answers.conclude([one.values[0].tolist() for one in evidence])

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """See `OneLabel.score` and `SeveralLabels.score`."""
        return self._answers.score(predictions, records)

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        return self._answers.items(self.main_metric, predictions, records)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """majority and tfidf, as `OneLabel.baselines` and `SeveralLabels.baselines` say."""
        texts, test_texts = (
            [tuple(text_of(record, column) for column in self.columns) for record in part] for part in (train, test)
        )
        return self._answers.baselines(texts, train, test_texts)
