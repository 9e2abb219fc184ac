"""Siamese encoders: a vector for each text, so that the cosine of two says how similar the texts are.

Reimers and Gurevych 2019 (Sentence-BERT): both texts go through the same encoder, here as two sequences of one packed
batch, and a vector is the mean of the last layer's rows. Objectives (`siamese_losses.py`):

    cosine    label a number: squared error of the cosine; training labels low to high become cosines 0 to 1
    softmax   label a class: cross-entropy of classes of (u, v, |u - v|)
    triplet   text_b nearer to text than text_c by a margin, in Euclidean distance
    ranking   text_b is text's answer, among all answers of the batch (Henderson et al. 2017); text_c: a wrong one

How it is scored is told by `metric`, whatever it was trained on: Spearman and Pearson correlation of the cosines with
values (spearman, pearson), for triplets and ranks what `similar_scores.py` says, for softmax the metrics of classes.
So a model may learn from pairs and be chosen on STS: task.objective=ranking task.metric=spearman.

ranking compares the records of a step. Equal texts in it are no negatives. A step is never divided into micro-batches,
and of W processes each sees the negatives of its own share, batch_size / W records: other numbers of processes train
another model.

The vectors are the product: head "embedding" is saved with the model, `embed`, `search` and the export for
sentence-transformers use it. The classes of softmax are saved too (head "siamese"), for predictions and for a run that
is continued, and left out of the export, as Sentence-BERT does not use them afterwards.

Deviations: accuracy of triplets by cosine, which is what is predicted, where the paper measures distances. Texts that
are too long lose their tail, counted. Not here: cross-encoders (`regress`, `pair`), negatives from other processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.stream import Batch, Example, Targets
from pretune.families.family import HeadSpec
from pretune.metrics.ranks import own_ranks
from pretune.tasks.baselines import linear_values
from pretune.tasks.items import Items
from pretune.tasks.label_names import label_number
from pretune.tasks.one_label import OneLabel
from pretune.tasks.siamese_losses import Views, cosine_errors, cosines, ranking_losses, triplet_losses, views
from pretune.tasks.similar_scores import PAIR, TRIPLE, Judge, Ranks, Triplets, TwoVectorClasses, Values, value_of
from pretune.tasks.task import Prediction, Scores, chosen
from pretune.tasks.text_vectors import GoldOf, TextVectors, identity
from pretune.tasks.texts import text_of
from pretune.text.contents import Contents, contents_of
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

Objective = Literal["cosine", "softmax", "triplet", "ranking"]


@dataclass(frozen=True)
class similar(TextVectors):
    """text, text_b [text_c] -> the cosine of the first two texts' vectors.

    objective: cosine, softmax, triplet or ranking. metric: the main one; auto: spearman, accuracy, accuracy, mrr.
    pooling: mean, cls or max of the last layer's rows; normalize: vectors have length 1; None: as the model's files
    have it, else mean and not normalized. low, high: of cosine, the labels that become 0 and 1; by default the least
    and the highest training label. margin: of triplet. scale: of ranking, before the softmax. labels: of softmax.

    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> backend = Backend(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> rows = [{"text": "a b", "text_b": "a", "label": "1.0"}, {"text": "a", "text_b": "a", "label": 5}]
    >>> records = [Record(row) for row in rows]
    >>> task = similar().fit_labels(records)
    >>> example = task.featurize(records[0], tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist(), example.source.lengths_N.tolist()       # of a batch, shorter ones first
    ([1, 3, 2, 1, 3, 4, 2], [3, 4])
    >>> targets = example.predict["embedding"]
    >>> targets.at_MK[:, 0].tolist(), targets.given_M.tolist()                  # the rows of text, then those of text_b
    ([3, 4, 5, 6, 0, 1, 2], [0, 0, 0, 0, 1, 1, 1])
    >>> task.decode({"embedding": torch.tensor([[3.0, 4.0], [3.0, 0.0]])}, example, records[:1])
    [{'score': 0.6}]
    """

    objective: Objective = "cosine"
    metric: str = "auto"
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    margin: float = 1.0
    scale: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen("objective", self.objective, get_args(Objective))
        chosen("metric", self.metric, ("auto", *dict.fromkeys([*self._own_judge.metrics, *Values.metrics])))
        if self.labels and self.objective != "softmax":
            raise InputError(f"labels={list(self.labels)} go only with objective=softmax")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise InputError(f"low={self.low:g}, high={self.high:g}: the label that becomes cosine 1 is the higher one")
        if not (self.margin > 0 and self.scale > 0):
            raise InputError(f"margin={self.margin:g}, scale={self.scale:g}: give numbers above 0")

    @property
    def _own_judge(self) -> Judge:
        """How records like those of training are scored."""
        kinds: dict[str, Judge] = {"cosine": Values(), "triplet": Triplets(), "ranking": Ranks()}
        return kinds.get(self.objective) or TwoVectorClasses(self.labels)

    @property
    def _judge(self) -> Judge:
        return Values() if self.main_metric in Values.metrics else self._own_judge

    @property
    def main_metric(self) -> str:
        return self._own_judge.metrics[0] if self.metric == "auto" else self.metric

    @property
    def head_specs(self) -> tuple[HeadSpec, ...]:
        return (self.head_spec, HeadSpec("siamese", self.labels)) if self.labels else (self.head_spec,)

    @property
    def scores_untuned(self) -> bool:
        return not isinstance(self._judge, TwoVectorClasses)

    @property
    def compares_records(self) -> bool:
        return self.objective == "ranking"

    @property
    def notes(self) -> tuple[str, ...]:
        """What scores are of, and what cosines stand for."""
        found = ["scores are of the cosine of the texts' vectors"] if self._judge != self._own_judge else []
        if isinstance(self._judge, Ranks):
            found.append("mrr and accuracy: each text's own text_b is looked for among all different ones of its file")
        if self.objective == "cosine" and self.low is not None and self.high is not None:
            found.append(f"cosines 0 and 1 stand for the labels {self.low:g} and {self.high:g}")
        return tuple(found)

    def contents(self, record: Record) -> Contents:
        columns = TRIPLE if self.objective == "triplet" or record.get("text_c") else PAIR
        of_classes = isinstance(self._judge, TwoVectorClasses)
        found = contents_of(record, columns, "classes" if of_classes else "values")
        if self.objective in ("triplet", "ranking"):  # whose training records need no label
            needed = found.labels if isinstance(self._judge, Values) else ()
            return replace(found, labels=needed, gold="values" if needed else "texts", labelled=True)
        return found

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return super().heads(body) | ({"siamese": body.family_head("siamese", len(self.labels))} if self.labels else {})

    # Labels

    def fit_labels(self, records: Sequence[Record]) -> Self:
        self.check_training(records)
        if self.objective == "softmax" and not self.labels:
            return replace(self, labels=OneLabel(()).names(records))
        if self.objective != "cosine":
            return self
        values = [value_of(record) for record in records]
        low, high = self.low, self.high
        if len(values) < 2 or min(values) == max(values):
            raise InputError(f"all {len(values)} training values are the same: there is nothing to learn")
        return replace(self, low=min(values) if low is None else low, high=max(values) if high is None else high)

    def check_training(self, records: Sequence[Record]) -> None:
        """InputError where the objective cannot learn from records: columns, labels."""
        if self.objective != "softmax" or self.labels:
            self._own_judge.check(records)

    def check(self, records: Sequence[Record]) -> None:
        self._judge.check(records)

    # Texts to vectors

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """A sequence for each text. Gold: the record's cosine or class at all its rows; of ranking a number that stands
        for the text (`identity`), of triplets none."""
        texts = [text_of(record, column) for column in self._columns(record, labelled)]
        gold_of = self._gold_of(record) if labelled else None
        return self._featurize(texts, gold_of, tokenizer, template, max_length)

    def _columns(self, record: Record, labelled: bool) -> tuple[str, ...]:
        """triplet reads three texts; to predict, the third may be missing. ranking: an empty third is none."""
        if self.objective == "triplet" and (labelled or record.get("text_c") is not None):
            return TRIPLE
        return TRIPLE if self.objective == "ranking" and labelled and record.get("text_c") else PAIR

    def _gold_of(self, record: Record) -> GoldOf | None:
        if self.objective == "softmax":
            number = label_number(record, record.get("label"), self.labels)
            return lambda spans: [number] * len(spans)
        if self.objective == "cosine":
            if self.low is None or self.high is None:
                raise ValueError("the scale of the labels is not known: task.fit_labels comes first")
            cosine = (value_of(record) - self.low) / (self.high - self.low)
            return lambda spans: [cosine] * len(spans)
        return (lambda spans: list(map(identity, spans))) if self.objective == "ranking" else None

    def outputs(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """embedding [U, D]: a vector of each text; for softmax also siamese [G, C]: logits of the records' classes."""
        outputs = super().outputs(model, batch)
        if not self.labels:
            return outputs
        if "siamese" not in model.heads:
            raise ValueError("the task has classes and the model has none: make its heads from task.head_specs")
        found = views(outputs[self.head], batch.predict[self.head])
        return outputs | {"siamese": model.heads["siamese"](found.u_GD, found.v_GD)}

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """The sum over records of the objective's loss."""
        targets = batch.predict[self.head]
        found = views(outputs[self.head], targets)
        if self.objective == "softmax":
            assert found.gold is not None
            classes_G = Targets(at_MK=targets.at_MK[: len(found.u_GD)], gold_M=found.gold[0])
            return {self.head: cross_entropy(outputs["siamese"], classes_G)}
        return {self.head: Loss(self._losses(found).sum(), weight_sum(targets))}

    def _losses(self, found: Views) -> Tensor:
        if self.objective == "ranking":
            return ranking_losses(found, self.scale)
        if self.objective == "triplet":
            return triplet_losses(found.u_GD, found.v_GD, found.w_HD, self.margin)
        assert found.gold is not None
        return cosine_errors(found.u_GD, found.v_GD, found.gold[0])

    # Vectors to predictions and scores

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"score": cosine of text and text_b} for each record; triplets with a third text: "score_c", that of text and
        text_c; softmax: "class", {"label", "score", "scores"}. Where ranks are scored, "vectors" for `completed`."""
        found = views(outputs[self.head].cpu(), batch.predict[self.head].to("cpu"))
        rows: list[Prediction] = [{"score": score} for score in _cosines(found.u_GD, found.v_GD)]
        third = found.third_H.tolist()
        for row, score in zip(third, _cosines(found.u_GD[third], found.w_HD), strict=True):
            rows[row]["score_c"] = score
        if self.labels:
            classes = OneLabel(self.labels).predictions(outputs["siamese"].float().cpu())
            rows = [row | {"class": one} for row, one in zip(rows, classes, strict=True)]
        if isinstance(self._judge, Ranks):
            pairs = zip(found.u_GD.numpy(), found.v_GD.numpy(), strict=True)
            rows = [row | {"vectors": pair} for row, pair in zip(rows, pairs, strict=True)]
        return rows

    def completed(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> list[Prediction]:
        """Ranks in place of vectors, where they are scored."""
        if not isinstance(self._judge, Ranks) or not predictions:
            return list(predictions)
        u_ND, v_ND = (
            torch.from_numpy(np.stack(side)) for side in zip(*(one["vectors"] for one in predictions), strict=True)
        )
        asked, answers = ([text_of(record, column) for record in records] for column in PAIR)
        ranks_N = own_ranks(lambda start, end: cosines(u_ND[start:end], v_ND).numpy(), asked, answers)
        return [{"score": one["score"], "rank": rank} for one, rank in zip(predictions, ranks_N.tolist(), strict=True)]

    def shown(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> list[Prediction]:
        """Without ranks, which are of a set, for `predict` sees a part of a file at a time."""
        return [{name: value for name, value in one.items() if name != "rank"} for one in predictions]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """The metrics of the judge: `similar_scores.py`."""
        return self._judge.score(predictions, records)

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        return self._judge.items(self.main_metric, predictions, records)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """Those of the judge; cosine has one that learns from labels too, ridge: ridge regression on TF-IDF and overlap
        features, as `regress` has it."""
        found = self._judge.baselines(train, test)
        if self.objective == "cosine":
            texts, test_texts = ([tuple(text_of(r, column) for column in PAIR) for r in part] for part in (train, test))
            values = linear_values(texts, [value_of(record) for record in train], test_texts)
            found["ridge"] = [{"score": value} for value in values]
        return found


def _cosines(first_GD: Tensor, second_GD: Tensor) -> list[float]:
    """Of each with the one beside it."""
    found: list[float] = nn.functional.cosine_similarity(first_GD.double(), second_GD.double(), dim=-1).tolist()
    return found
