"""A tag for each word: parts of speech, named entities. Trained on pieces, decoded and scored at word level.

The family's token head reads word pieces (Devlin et al. 2019, section 5.3). A word's gold tag stands at its first
piece, or at all of its pieces, the same tag at each (BIO tags too: the pieces share the tag of their word). Its
predicted tag comes from its first piece, or from the mean of its pieces' distributions. A sentence that is too long
becomes several sequences of whole words in one Example (`sentences.py`), so every word is scored; only the tail of a
single word longer than a sequence is left out, counted.

BIO tags are scored by F1 of spans, equal to seqeval's, others by accuracy over words and macro F1. Not here: a CRF.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template, assemble
from pretune.core.loss import Loss, cross_entropy
from pretune.core.pack import pack
from pretune.core.stream import Batch, Example, Segments, Targets
from pretune.families.family import HeadSpec
from pretune.metrics.checks import FloatArray
from pretune.metrics.classification import accuracy, macro_f1
from pretune.metrics.spans import span_scores
from pretune.tasks.baselines import frequent_tags, most_frequent
from pretune.tasks.classes import at_least_two, label_number, refuse_unseen
from pretune.tasks.items import Items, span_f1_items, word_accuracy_items
from pretune.tasks.sentences import (
    Place,
    is_span_scheme,
    places_of,
    span_metric_only_for_spans,
    tags_of,
    windows,
    words_of,
)
from pretune.tasks.task import Prediction, Scores, Task, chosen
from pretune.tasks.texts import on_host, room_for
from pretune.text.labels import check_labels
from pretune.text.records import Record
from pretune.tokenizers.pieces import Pieces
from pretune.tokenizers.tokenizer import Tokenizer

LabelPieces = Literal["first", "all"]
DecodePieces = Literal["first", "mean"]


@dataclass(frozen=True)
class tag(Task):
    """words -> tags.

    labels: names of the tags, sorted, bound by `fit_labels`. metric: the main one; auto is f1 (of spans) for BIO tags
    and accuracy (of words) for others. label_pieces, decode_pieces: see the top of this file.

    >>> from pretune.core.assemble import Template
    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "she": 3, "walk": 4, "##ed": 5}
    >>> backend = Backend(models.WordPiece(pieces, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"words": ["she", "walked"], "tags": ["PRON", "VERB"]})
    >>> task = tag(label_pieces="all", decode_pieces="mean").fit_labels([record])
    >>> example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist(), example.predict["token"].at_MK.tolist(), example.predict["token"].gold_M.tolist()
    ([1, 3, 4, 5, 2], [[1], [2], [3]], [0, 1, 1])
    >>> logits = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).log()      # the pieces of "walked" disagree
    >>> [word["entity"] for word in task.decode({"token": logits}, example, [record])[0]]
    ['PRON', 'VERB']
    """

    labels: tuple[str, ...] = ()
    metric: str = "auto"
    label_pieces: LabelPieces = "first"
    decode_pieces: DecodePieces = "first"

    head: ClassVar[str] = "token"

    def __post_init__(self) -> None:
        chosen("metric", self.metric, ("auto", "f1", "accuracy"))
        chosen("label_pieces", self.label_pieces, get_args(LabelPieces))
        chosen("decode_pieces", self.decode_pieces, get_args(DecodePieces))
        span_metric_only_for_spans(self.metric, self.labels)

    @property
    def main_metric(self) -> str:
        if self.metric != "auto":
            return self.metric
        return "f1" if is_span_scheme(self.labels) else "accuracy"

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("token", self.labels)

    @property
    def notes(self) -> tuple[str, ...]:
        spans = "f1, precision and recall are of whole spans of all types together, as seqeval's"
        return (spans,) if is_span_scheme(self.labels) else ()

    def fit_labels(self, records: Sequence[Record]) -> Self:
        if self.labels:
            self.check(records)
            return self
        first = {name: record for record in reversed(records) for name in tags_of(record)}
        names = check_labels([Record({"label": name}, record.path, record.line) for name, record in first.items()])
        return replace(self, labels=at_least_two(names, records))

    def check(self, records: Sequence[Record]) -> None:
        """InputError where tags are missing, or none of them is known. Single unknown ones are `remarks`: a small
        training sample lacks rare tags."""
        named = [(name, record) for record in records for name in tags_of(record)]
        if not {name for name, _ in named} & set(self.labels):
            refuse_unseen(named, self.labels)

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Says which tags were never seen in training: their words count as wrong."""
        unseen = Counter(name for record in records for name in tags_of(record) if name not in self.labels)
        if not unseen:
            return ()
        listed = ", ".join(f"{name} ({number:,})" for name, number in unseen.most_common(20))
        return (f"{unseen.total():,} words have tags never seen in training, which count as wrong: {listed}.",)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        pieces = tokenizer.encode_words(words_of(record))
        gold_W = None
        if labelled:
            gold_W = np.array([label_number(record, name, self.labels) for name in tags_of(record)], np.int64)
        every_piece = (self.label_pieces == "all") if labelled else (self.decode_pieces == "mean")
        _, first_W = np.unique(pieces.words_P, return_index=True)
        cut = windows(first_W, len(pieces), room_for(template, 1, max_length))
        parts = [_sequence(pieces, int(first_W[word]), kept, template, self.head, every_piece) for word, _, kept in cut]
        example = parts[0] if len(parts) == 1 else pack(parts)
        targets = example.predict[self.head]
        if gold_W is not None:
            targets = replace(targets, gold_M=gold_W[targets.group_M])
        return replace(example, predict={self.head: targets}, num_cut=len(pieces) - sum(kept for _, _, kept in cut))

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Cross-entropy over the labelled pieces, each alike."""
        return {self.head: cross_entropy(outputs[self.head], batch.predict[self.head])}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """A list of {"word", "entity", "score", "start", "end"} for each record: characters as `places_of` counts."""
        places = [places_of(record) for record in records]
        mean_WC = self._distributions(outputs[self.head], batch.predict[self.head])
        assert len(mean_WC) == sum(map(len, places))
        best_W = mean_WC.argmax(-1)
        score_W = np.take_along_axis(mean_WC, best_W[:, None], -1)[:, 0]
        ends = np.cumsum([len(sentence) for sentence in places])[:-1]
        columns = zip(places, np.split(best_W, ends), np.split(score_W, ends), strict=True)
        return [[self._word(*word) for word in zip(*sentence, strict=True)] for sentence in columns]

    def _distributions(self, logits_MC: Tensor, targets: Targets) -> FloatArray:
        """Probabilities of each word's tags [W, C]: of its first row, or the mean of its rows."""
        p_MC = torch.softmax(logits_MC.cpu().double(), -1).numpy()
        _, first_W, num_W = np.unique(on_host(targets.group_M), return_index=True, return_counts=True)
        if self.decode_pieces == "first":
            return np.asarray(p_MC[first_W])
        return np.asarray(np.add.reduceat(p_MC, first_W) / num_W[:, None])

    def _word(self, place: Place, best: int, score: float) -> dict[str, str | float | int]:
        word, start, end = place
        return {"word": word, "entity": self.labels[best], "score": float(score), "start": start, "end": end}

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """For BIO tags f1, precision, recall of spans and accuracy of words; for others accuracy and macro_f1."""
        gold, predicted = _tags(predictions, records)
        flat = [[name for sentence in part for name in sentence] for part in (gold, predicted)]
        if not is_span_scheme(self.labels):
            return {"accuracy": accuracy(*flat), "macro_f1": macro_f1(*flat)}
        spans = span_scores(gold, predicted)
        return {"f1": spans.f1, "precision": spans.precision, "recall": spans.recall, "accuracy": accuracy(*flat)}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are sentences."""
        return (span_f1_items if self.main_metric == "f1" else word_accuracy_items)(*_tags(predictions, records))

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """majority: the most frequent tag; most-frequent-tag: of each word, and of all for words not seen."""
        words, tags, test_words = [words_of(r) for r in train], [tags_of(r) for r in train], [words_of(r) for r in test]
        majority = most_frequent(Counter(name for sentence in tags for name in sentence))
        guesses = {
            "majority": [[majority] * len(sentence) for sentence in test_words],
            "most-frequent-tag": frequent_tags(words, tags, test_words),
        }
        return {name: [[{"entity": each} for each in sentence] for sentence in part] for name, part in guesses.items()}


def _sequence(pieces: Pieces, start: int, kept: int, template: Template, head: str, every_piece: bool) -> Example:
    """Pieces [start, start + kept) as one sequence; predictions are grouped by word, from 0."""
    words_P = pieces.words_P[start : start + kept].astype(np.int64)
    group_P = words_P - words_P[0]
    is_read_P = np.ones(kept, np.bool_)
    if not every_piece:
        is_read_P[1:] = np.diff(words_P) > 0
    row = template.offset(0, [kept])
    targets = Targets(
        at_MK=(row + np.flatnonzero(is_read_P))[:, None],
        weight_M=np.ones(int(is_read_P.sum()), np.float32),
        group_M=group_P[is_read_P],
    )
    example = assemble(Segments([pieces.span(start, start + kept)]), template)
    return replace(example, predict={head: targets})


def _tags(predictions: Sequence[Prediction], records: Sequence[Record]) -> tuple[list[list[str]], list[list[str]]]:
    return [tags_of(r) for r in records], [[word["entity"] for word in sentence] for sentence in predictions]
