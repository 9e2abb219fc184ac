"""Multiple choice: one of several texts goes with a text. Any number of choices, even different ones within a file.

Each choice is a pair of its own with the text; one vector, whose product with the pair's row is the choice's score, is
all that is added, and the scores of a record's choices go through a softmax (Devlin et al. 2019, section 4.4). What the
pair is made of, in which layout: `text/choices.py`. A pair that is too long loses the tail of the text; the choice
loses its own only where it does not fit alone. Tokens left out are counted. Not here: choices that see each other,
several right choices.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, get_args

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, weight_sum
from pretune.core.stream import Batch, Example, Span
from pretune.families.family import HeadSpec
from pretune.metrics.classification import accuracy
from pretune.nn.pooling import group_log_softmax, texts_of
from pretune.tasks.baselines import most_similar
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items, accuracy_items
from pretune.tasks.task import Prediction, Scores, Task, chosen
from pretune.tasks.texts import Pooling, read_sequences, room_for
from pretune.tasks.whole_texts import head_pooling, suited
from pretune.text.choices import Choices, choices_of
from pretune.text.contents import Contents, contents_of
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class choose(Task):
    """text, choices -> index of one of them.

    metric: accuracy. pooling: what the head reads of each pair, as `WholeTexts` has it.

    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "it", "rained", "we", "got", "wet"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"text": "it rained", "choices": ["it", "we got wet", "we"], "label": 1})
    >>> task = choose().fit_labels([record])
    >>> example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist()                                      # sequences of a batch are sorted by length
    [1, 3, 4, 2, 3, 2, 1, 3, 4, 2, 5, 2, 1, 3, 4, 2, 5, 6, 7, 2]
    >>> example.predict["choice"].at_MK[:, 0].tolist(), example.predict["choice"].gold_M.tolist()
    ([0, 12, 6], [0, 1, 0])
    >>> found = task.decode({"choice": torch.tensor([[0.0], [1.0], [0.0]])}, example, [record])[0]
    >>> found["choice"], found["text"], round(found["score"], 3)           # e / (1 + e + 1)
    (1, 'we got wet', 0.576)
    """

    metric: str = "accuracy"
    pooling: Pooling | None = None

    head: ClassVar[str] = "choice"
    unit: ClassVar[str] = "questions"

    def __post_init__(self) -> None:
        chosen("metric", self.metric, ("accuracy",))
        if self.pooling is not None:
            chosen("pooling", self.pooling, get_args(Pooling))

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("choice", pooling=head_pooling(self.pooling))

    def suit(self, model: Any) -> Self:
        return replace(self, pooling=suited(self.pooling, model, self.head))

    def contents(self, record: Record) -> Contents:
        try:
            asked = choices_of(record)
        except InputError:  # a text that is missing, for a check of the data; `check` says what is wrong
            return replace(contents_of(record), texts=(None,))
        label = () if asked.label is None else (asked.label,)
        return Contents((asked.text, *asked.seconds), label, "positions", labelled=bool(label))

    def fit_labels(self, records: Sequence[Record]) -> Self:
        self.check(records)
        return self

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            _gold(record)

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Which layouts the records have, and how many choices."""
        asked = [choices_of(record) for record in records]
        layouts = Counter(each.layout for each in asked)
        numbers = sorted({len(each.texts) for each in asked})
        told = ", ".join(f"{name} ({number:,})" for name, number in layouts.most_common())
        between = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        return (f"read as the layout {told}, with {between} choices",)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """A sequence for each choice, all of one group, numbered by `given_M`. `gold_M` and `weight_M` are 1 at the
        right choice's row and 0 at others (with a head that pools, at its rows, which share the weight)."""
        asked, room = choices_of(record, labelled=labelled), room_for(template, 2, max_length)
        context, context_length = tokenizer.encode_start(asked.text, room)
        parts: list[list[Span]] = []
        num_cut = 0
        for text in asked.seconds:
            choice, length = tokenizer.encode_start(text, room)
            kept = min(length, room)
            rest = min(context_length, room - kept)
            parts.append([context.span(0, rest), choice.span(0, kept)])
            num_cut += length - kept + context_length - rest
        example = read_sequences(parts, self.head, template, self.pooling or "cls")
        targets = example.predict[self.head]
        if labelled:
            gold_M = (targets.given_M == _gold(record)).astype("int64")
            weight_M = (gold_M / gold_M.sum()).astype("float32")
            targets = replace(targets, gold_M=gold_M, weight_M=weight_M)
        return replace(example, predict={self.head: targets}, num_cut=num_cut)

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Cross-entropy over the choices of each record."""
        targets = batch.predict[self.head]
        each_M = -_log_probabilities(outputs[self.head], batch)
        return {self.head: Loss((each_M * targets.weight_M).sum(), weight_sum(targets))}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"choice": index, "text", "score": its probability, "scores": those of all} for each record."""
        return self.conclude(self.evidence(outputs, batch, records), records)

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """The probability of each choice."""
        targets = batch.predict[self.head].to("cpu")
        p_M = _log_probabilities(outputs[self.head].double().cpu(), batch).exp()
        text_M = texts_of(targets)
        starts_M = torch.ones_like(text_M, dtype=torch.bool)
        starts_M[1:] = text_M[1:] != text_M[:-1]
        scores, group = p_M[starts_M].tolist(), targets.group_M[starts_M].tolist()
        found: list[list[float]] = [[] for _ in records]
        for number, score in zip(group, scores, strict=True):
            found[number].append(score)
        return [Evidence(np.array(row)[:, None], ("choice",)) for row in found]

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        pairs = zip(records, evidence, strict=True)
        return [_prediction(choices_of(record, labelled=False), one.values[:, 0].tolist()) for record, one in pairs]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """accuracy: share of records whose right choice was taken."""
        return {"accuracy": accuracy(*_columns(predictions, records))}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        return accuracy_items(*_columns(predictions, records))

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """majority: the place where training has the right choice most often; longest: the choice with most characters;
        overlap: the choice most similar to the text by TF-IDF of words (weights from the training texts)."""
        counts = Counter(_gold(record) for record in train)
        place = max(sorted(counts), key=counts.__getitem__)
        asked = [choices_of(record) for record in test]
        seen = [text for each in map(choices_of, train) for text in (each.text, *each.texts)]
        guesses = {
            "majority": [min(place, len(each.texts) - 1) for each in asked],
            "longest": [_first_best([len(text) for text in each.texts]) for each in asked],
            "overlap": most_similar(seen, [(each.text, each.texts) for each in asked]),
        }
        return {name: [{"choice": choice} for choice in found] for name, found in guesses.items()}


def _log_probabilities(outputs_MC: Tensor, batch: Batch) -> Tensor:
    """Of each row's choice among those of its record, [M]; rows of one choice have the same."""
    targets = batch.predict["choice"].to(outputs_MC.device)
    text_M = texts_of(targets)
    num_rows_M = text_M.bincount().index_select(0, text_M).to(outputs_MC.dtype)
    scores_M = outputs_MC[:, 0] if outputs_MC.dtype == torch.float64 else outputs_MC[:, 0].float()
    return group_log_softmax(scores_M - num_rows_M.log(), targets.group_M) + num_rows_M.log()


def _prediction(asked: Choices, scores: Sequence[float]) -> Prediction:
    best = _first_best(scores)
    return {"choice": best, "text": asked.texts[best], "score": scores[best], "scores": list(scores)}


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _gold(record: Record) -> int:
    label = choices_of(record).label
    if label is None:
        raise record.error("the label is missing", "fill it in, or leave the record out")
    return label


def _columns(predictions: Sequence[Prediction], records: Sequence[Record]) -> tuple[list[int], list[int]]:
    return [_gold(record) for record in records], [prediction["choice"] for prediction in predictions]
