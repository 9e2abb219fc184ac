"""A value for a text, or for two: similarity, grade, price. Scored by Pearson and Spearman correlation.

The head gives one number, trained by squared error. scale="standard" (default): gold values are standardised by mean
and standard deviation of the training records, so that the learning rate suits values of any size; `finish` then folds
the scale into the head's last layer, and the saved model gives values on the original scale anywhere. scale="raw": as
they are, which is what transformers' trainer does. Predictions are always on the original scale, and not clipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, weight_sum
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.metrics.correlation import pearson, spearman
from pretune.tasks.baselines import linear_values
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items, pearson_items, spearman_items
from pretune.tasks.task import Prediction, Scores, chosen
from pretune.tasks.texts import one_a_group, text_of
from pretune.tasks.whole_texts import WholeTexts, head_pooling
from pretune.text.contents import Gold
from pretune.text.labels import as_number, check_correlation
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

Scale = Literal["standard", "raw"]


@dataclass(frozen=True)
class regress(WholeTexts):
    """text [text_b] -> number.

    metric: the main one, pearson or spearman. mean, spread: value = mean + spread * output, bound by `fit_labels`;
    0 and 1 with scale="raw" and after `finish`. num_texts: 1 or 2, bound by `fit_labels`, and records with another
    number are refused; None (models saved without it): as each record has them. pooling, windows, stride: `WholeTexts`.

    >>> from pretune.core.assemble import Template
    >>> from pretune.text.records import Record
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> backend = Backend(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> rows = [{"text": "a", "text_b": "b", "label": "1.0"}, {"text": "a", "text_b": "a", "label": 5}]
    >>> records = [Record(row) for row in rows]
    >>> task = regress().fit_labels(records)
    >>> task.mean, task.spread, task.num_texts
    (3.0, 2.0, 2)
    >>> example = task.featurize(records[1], tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist(), example.predict["sequence"].gold_M.tolist()
    ([1, 3, 2, 3, 2], [1.0])
    >>> task.decode({"sequence": torch.tensor([[0.5]])}, example, records[1:])
    [{'value': 4.0}]
    """

    metric: str = "pearson"
    scale: Scale = "standard"
    mean: float = 0.0
    spread: float = 1.0
    num_texts: Literal[1, 2] | None = None

    gold: ClassVar[Gold] = "values"

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen("metric", self.metric, ("pearson", "spearman"))
        chosen("scale", self.scale, get_args(Scale))

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("sequence", ("value",), problem="regression", pooling=head_pooling(self.pooling))

    @property
    def label_settings(self) -> dict[str, Any]:
        return {"num_texts": self.num_texts}

    def fit_labels(self, records: Sequence[Record]) -> Self:
        values = np.array([_value(record) for record in records], np.float64)
        if len(values) < 2 or (values == values[0]).all():
            raise InputError(f"all {len(values)} training values are the same: there is nothing to learn")
        bound = replace(self, num_texts=self.num_texts or _num_texts(records[0]))
        bound.check(records)
        if self.scale == "raw" or (self.mean, self.spread) != (0.0, 1.0):
            return bound
        return replace(bound, mean=float(values.mean()), spread=float(values.std()))

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            _value(record)
            self._texts(record)
        check_correlation(records)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        gold = (_value(record) - self.mean) / self.spread if labelled else None
        return self._featurize(self._texts(record), gold, tokenizer, template, max_length)

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Squared error in units of the trained scale."""
        targets = batch.predict[self.head]
        each_M = (self._joined(outputs, batch)[:, 0].float() - targets.gold_M) ** 2
        return {self.head: Loss((each_M * targets.weight_M).sum(), weight_sum(targets))}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"value"} for each record, on the original scale."""
        return self.conclude(self.evidence(outputs, batch, records), records)

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """The value, on the original scale."""
        outputs_G = one_a_group(self._joined(outputs, batch), batch.predict[self.head])[:, 0].tolist()
        return [Evidence(np.array([[self.mean + self.spread * output]]), ("value",)) for output in outputs_G]

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        return [{"value": float(one.values[0, 0])} for one in evidence]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """pearson and spearman; 0 for constant predictions."""
        gold, predicted = _columns(predictions, records)
        return {"pearson": pearson(gold, predicted), "spearman": spearman(gold, predicted)}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        gold, predicted = _columns(predictions, records)
        return (pearson_items if self.metric == "pearson" else spearman_items)(gold, predicted)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """mean: the mean training value; tfidf: ridge regression on TF-IDF (and overlap) features."""
        gold = [_value(record) for record in train]
        values = {"mean": [float(np.mean(gold))] * len(test)}
        texts, test_texts = ([self._texts(record) for record in part] for part in (train, test))
        values["tfidf"] = linear_values(texts, gold, test_texts)
        return {name: [{"value": value} for value in column] for name, column in values.items()}

    def _texts(self, record: Record) -> tuple[str, ...]:
        """The record's texts. InputError where they are not as many as those of the training records."""
        if self.num_texts is None:
            return tuple(
                text_of(record, column) for column in (("text", "text_b") if "text_b" in record else ("text",))
            )
        found = _num_texts(record)
        if found != self.num_texts:
            has, have = ("no 'text_b'", "have one") if found == 1 else ("a 'text_b'", "have none")
            raise record.error(
                f"{has}, and the records the model learns from {have}",
                "give all records one text, or all two; columns.text_b=NAME names the column of the second",
            )
        return tuple(text_of(record, column) for column in ("text", "text_b")[:found])

    def suit(self, model: Any) -> Self:
        """InputError for a scale that could not be folded into the head in the end: GPT's have no bias."""
        if (self.mean, self.spread) != (0.0, 1.0) and model.heads[self.head].classifier.bias is None:
            raise InputError(
                "the head of this family has no bias to fold the values' mean into: train it on task.scale=raw"
            )
        return super().suit(model)

    def take_up(self, model: Any) -> None:
        """From now on the head gives values on the trained scale. The predictions stay the same."""
        last = self._last(model)
        with torch.no_grad():
            last.weight.div_(self.spread)
            last.bias.sub_(self.mean).div_(self.spread)

    def finish(self, model: Any) -> Self:
        """Folds mean and spread into the last layer of the head. The predictions stay the same."""
        if (self.mean, self.spread) == (0.0, 1.0):
            return self
        last = self._last(model)
        with torch.no_grad():
            last.weight.mul_(self.spread)
            last.bias.mul_(self.spread).add_(self.mean)
        return replace(self, scale="raw", mean=0.0, spread=1.0)

    def _last(self, model: Any) -> nn.Linear:
        last: nn.Linear = model.heads[self.head].classifier
        if last.bias is None or last.out_features != 1:
            raise ValueError(f"the scale cannot be folded into {last}: it needs one output and a bias")
        return last


def _value(record: Record) -> float:
    if record.get("label") in (None, ""):
        raise record.error("the label is missing", "fill it in, or leave the record out")
    return as_number(record)


def _num_texts(record: Record) -> Literal[1, 2]:
    return 1 if record.get("text_b") is None else 2


def _columns(predictions: Sequence[Prediction], records: Sequence[Record]) -> tuple[list[float], list[float]]:
    return [_value(record) for record in records], [prediction["value"] for prediction in predictions]
