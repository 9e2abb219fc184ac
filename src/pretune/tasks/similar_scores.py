"""How similarities are judged, by what the records of a file have: values, triplets, right answers, or classes.

A judge of `similar` says what it needs of records, gives metrics and what an interval of each needs, and what simple
methods without a network say (`likeness.py`). Predictions have "score", the cosine of both texts' vectors; "score_c",
that of the first and third; "rank", of a text's own answer in the set; "class", as `OneLabel` gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from pretune.metrics.correlation import pearson, spearman
from pretune.metrics.intervals import ratio_of_sums
from pretune.metrics.ranks import mean_reciprocal_rank, own_ranks
from pretune.tasks.items import Items, of_sums, pearson_items, spearman_items
from pretune.tasks.likeness import Likeness, likenesses
from pretune.tasks.one_label import OneLabel
from pretune.tasks.task import Prediction, Scores
from pretune.tasks.texts import text_of
from pretune.text.labels import as_number, check_correlation
from pretune.text.records import Record

Baselines = dict[str, list[Prediction]]
PAIR = ("text", "text_b")
TRIPLE = ("text", "text_b", "text_c")


class Judge(Protocol):
    """What `similar` asks of its way to score."""

    metrics: ClassVar[tuple[str, ...]]
    """The first is the main one, unless the task says another."""

    def check(self, records: Sequence[Record]) -> None: ...
    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores: ...
    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items: ...
    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> Baselines: ...


@dataclass(frozen=True)
class Values:
    """Correlation of cosines with values, as STS is scored. Spearman is the main one (Reimers et al. 2016)."""

    metrics: ClassVar[tuple[str, ...]] = ("spearman", "pearson")

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            value_of(record)
        check_correlation(records)

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """spearman, pearson; 0 for constant predictions."""
        gold, found = [value_of(record) for record in records], _column(predictions, "score")
        return {"spearman": spearman(gold, found), "pearson": pearson(gold, found)}

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        gold, found = [value_of(record) for record in records], _column(predictions, "score")
        return (pearson_items if metric == "pearson" else spearman_items)(gold, found)

    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> Baselines:
        """constant; overlap: shared words; tfidf: cosine of TF-IDF vectors."""
        found = {"constant": [0.0] * len(test)}
        found |= {one.kind: one.pairs().tolist() for one in _likenesses(train, test)}
        return {name: [{"score": score} for score in column] for name, column in found.items()}


@dataclass(frozen=True)
class Triplets:
    """The share of records whose first text is more similar to the second than to the third."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            _ = [text_of(record, column) for column in TRIPLE]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """accuracy; equal similarities count as wrong."""
        return {"accuracy": float(np.mean(_is_right(predictions)))}

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        return _mean_items(_is_right(predictions))

    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> Baselines:
        """overlap: shared words; tfidf: cosine of TF-IDF vectors."""
        near, far = (_likenesses(train, test, second) for second in ("text_b", "text_c"))
        return {
            one.kind: [
                {"score": score, "score_c": score_c}
                for score, score_c in zip(one.pairs().tolist(), other.pairs().tolist(), strict=True)
            ]
            for one, other in zip(near, far, strict=True)
        }


@dataclass(frozen=True)
class Ranks:
    """Where a text's own second text stands among all of the set (`metrics/ranks.py`)."""

    metrics: ClassVar[tuple[str, ...]] = ("mrr", "accuracy")

    def check(self, records: Sequence[Record]) -> None:
        for record in records:
            _ = [text_of(record, column) for column in PAIR]

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """mrr: mean of 1 / rank; accuracy: share of rank 1."""
        ranks_N = np.array(_column(predictions, "rank"))
        return {"mrr": mean_reciprocal_rank(ranks_N), "accuracy": float(np.mean(ranks_N == 1))}

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The candidates stay those of the whole set."""
        ranks_N = np.array(_column(predictions, "rank"))
        return _mean_items(1.0 / ranks_N if metric == "mrr" else ranks_N == 1)

    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> Baselines:
        """overlap: shared words; tfidf: cosine of TF-IDF vectors."""
        asked, answers = ([text_of(record, column) for record in test] for column in PAIR)
        return {
            one.kind: [
                {"score": score, "rank": rank}
                for score, rank in zip(one.pairs().tolist(), own_ranks(one.block, asked, answers).tolist(), strict=True)
            ]
            for one in _likenesses(train, test)
        }


@dataclass(frozen=True)
class TwoVectorClasses:
    """Classes of pairs by the head over (u, v, |u - v|)."""

    labels: tuple[str, ...]
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "matthews")

    def check(self, records: Sequence[Record]) -> None:
        OneLabel(self.labels).check(records)

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        return OneLabel(self.labels).score(_column(predictions, "class"), records)

    def items(self, metric: str, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        return OneLabel(self.labels).items(metric, _column(predictions, "class"), records)

    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> Baselines:
        """majority, and logistic regression on TF-IDF features, as `pair` has them."""
        texts, test_texts = ([tuple(text_of(r, column) for column in PAIR) for r in part] for part in (train, test))
        found = OneLabel(self.labels).baselines(texts, train, test_texts)
        return {name: [{"class": one} for one in column] for name, column in found.items()}


def value_of(record: Record) -> float:
    """A record's gold similarity. InputError where it is missing or no number."""
    if record.get("label") in (None, ""):
        raise record.error("the label is missing", "fill it in, or leave the record out")
    return as_number(record)


def _likenesses(train: Sequence[Record], test: Sequence[Record], second: str = "text_b") -> list[Likeness]:
    seen = [record[column] for record in train for column in TRIPLE if isinstance(record.get(column), str)]
    first, other = ([text_of(record, column) for record in test] for column in ("text", second))
    return likenesses(seen, first, other)


def _is_right(predictions: Sequence[Prediction]) -> list[bool]:
    return [prediction["score"] > prediction["score_c"] for prediction in predictions]


def _mean_items(values: Any) -> Items:
    values_N = np.asarray(values, np.float64)
    return of_sums(np.stack([values_N, np.ones(len(values_N))], -1), ratio_of_sums)


def _column(predictions: Sequence[Prediction], name: str) -> list[Any]:
    return [prediction[name] for prediction in predictions]
