"""Text to text: any task as a source with a prefix and a target string, scored by whether the very string was written.

Raffel et al. 2020, section 2.4: classification writes the label's name, and what is no label is wrong. One file may
hold several tasks, named by a column `task`, with prefixes of their own in a column `prefix`; they are mixed by
`mixture.py`, and `macro_exact_match` is the mean over tasks.

Where training has few different targets they are labels. A written text with the pieces of a label is that label, so
that a tokenizer that drops case or spaces can be right; `known` is the share of texts that are labels at all.
closed=true writes labels alone, the most probable one (there: anything, and wrong if it is no label).

Texts are compared without white space around them. Not here: metrics of each task's own; values (T5 rounds STS-B's
to strings of 0.2: give such strings as targets).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from pretune.core.assemble import Template
from pretune.core.config import resolve
from pretune.core.errors import InputError
from pretune.core.stream import Example
from pretune.decode.settings import Generation
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import ratio_of_sums
from pretune.tasks.items import Items, of_sums
from pretune.tasks.mixture import Mixture, mixed
from pretune.tasks.nearest_source import target_of_nearest
from pretune.tasks.references import all_references, first_reference, source_of
from pretune.tasks.task import Featurized, Prediction, Scores
from pretune.tasks.written import Written, written_texts
from pretune.text.contents import Contents
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

MAX_LABELS = 100
METRICS = ("exact_match", "macro_exact_match")


@dataclass(frozen=True)
class text_to_text(Written):
    """prefix + source -> target, by exact string.

    labels: bound by `fit_labels` where training has at most 100 different targets, each twice or more on average.
    closed: only labels are written. cap, temperature: of the mixture of several tasks (K and T of its paper).

    >>> from pretune.core.assemble import Template
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "mood", ":", "good", "film", "happy"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> records = [Record({"source": "good film", "target": "happy"})]
    >>> task = text_to_text(prefix="mood: ")
    >>> example = task.featurize(records[0], tokenizer, Template(tokenizer.special_ids), max_length=16)
    >>> example.source.ids_T.tolist(), example.predict["lm"].gold_M.tolist()
    ([1, 3, 4, 5, 6, 2, 7], [7, 2])
    >>> [task.score([{"target": text}], records)["exact_match"] for text in ("happy", "glad")]
    [1.0, 0.0]
    """

    metric: str = "exact_match"
    labels: tuple[str, ...] = ()
    closed: bool = False
    cap: int | None = None
    temperature: float = 1.0

    metrics: ClassVar[tuple[str, ...]] = METRICS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cap is not None and self.cap < 1:
            raise InputError(f"cap={self.cap}: give at least 1, or leave it out")
        mixed(["a"], self.cap, self.temperature)

    @property
    def notes(self) -> tuple[str, ...]:
        told = super().notes
        return (*told, "known: share of texts that are one of the training targets") if self.labels else told

    def generation(self, num_tokens: int) -> Generation:
        """With closed, the most probable label: as many beams as labels, whole texts compared (`decode.choices`)."""
        if not (self.closed and self.labels):
            return super().generation(num_tokens)
        best = {"num_beams": len(self.labels), "length_penalty": 0.0} if len(self.labels) > 1 else {}
        return resolve(Generation, {**best, **self.generate, "max_new_tokens": num_tokens, "choices": self.labels})

    def fit_labels(self, records: Sequence[Record]) -> Self:
        self.check(records)
        if self.labels:
            return self
        counts = Counter(first_reference(record).strip() for record in records)
        if len(counts) <= MAX_LABELS and len(records) >= 2 * len(counts):
            return replace(self, labels=tuple(sorted(counts)))
        if self.closed:
            raise InputError(
                f"task.closed=true: {len(records):,} records have {len(counts):,} different targets, too many to be "
                "labels: leave it out, or name them with task.labels"
            )
        return self

    def contents(self, record: Record) -> Contents:
        """Labels are counted, and looked at for what contradicts itself."""
        found = super().contents(record)
        return replace(found, gold="classes") if self.labels else found

    def text_before(self, record: Record) -> str:
        """A record's own prefix stands in place of the setting."""
        prefix = record.get("prefix")
        if prefix is not None and not isinstance(prefix, str):
            raise record.error(f"'prefix' is {type(prefix).__name__}, not text", "write it as text")
        return (self.prefix if prefix is None else prefix) + source_of(record)

    def mixture(self, records: Sequence[Record]) -> Mixture | None:
        names = [task_name(record) for record in records]
        return mixed(names, self.cap, self.temperature) if len(set(names)) > 1 or self.cap is not None else None

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """InputError for a label that the tokenizer cannot write."""
        if labelled and (label := first_reference(record).strip()) in self.labels:
            ids_P = tokenizer.encode(label).ids_P
            if not len(ids_P) or tokenizer.vocab.unk_id in ids_P.tolist():
                what = f"the tokenizer has no pieces for the label {label!r:.60}, so no model can write it"
                raise record.error(what, "write labels in words that it knows")
        return super().featurize(record, tokenizer, template, max_length, labelled=labelled)

    def texts_of(self, texts: Sequence[str], ids: Sequence[tuple[int, ...]], source: Featurized) -> list[str]:
        """What has the pieces of a label is that label."""
        seen = {tuple(source.tokenizer.encode(label).ids_P.tolist()): label for label in self.labels}
        return [seen.get(each, text) for text, each in zip(texts, ids, strict=True)]

    def scores_of(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """exact_match; known where there are labels; of several tasks each one's, and their mean."""
        right_N = _right(predictions, records)
        by_task: dict[str, list[float]] = {}
        for record, right in zip(records, right_N, strict=True):
            by_task.setdefault(task_name(record), []).append(right)
        each = {f"{name}_exact_match": float(np.mean(values)) for name, values in sorted(by_task.items())}
        found = {"exact_match": float(np.mean(right_N)), "macro_exact_match": float(np.mean(list(each.values())))}
        if self.labels:
            found["known"] = float(np.mean([text in self.labels for text in written_texts(predictions)]))
        return found | (each if len(each) > 1 else {})

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are records; of the mean over tasks each task keeps its weight."""
        right_N = np.array(_right(predictions, records))
        names = [task_name(record) for record in records]
        tasks = sorted(set(names))
        if self.metric == "exact_match" or len(tasks) == 1:
            return of_sums(np.stack([right_N, np.ones_like(right_N)], -1), ratio_of_sums)
        is_task_NG = np.array([[name == task for task in tasks] for name in names], np.float64)
        counts = np.concatenate([right_N[:, None] * is_task_NG, is_task_NG], -1)
        return of_sums(counts, _mean_over_tasks)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """most-frequent: of the record's task; nearest-source: the target of the training source most like its own."""
        counts: dict[str, Counter[str]] = {}
        for record in train:
            counts.setdefault(task_name(record), Counter())[first_reference(record).strip()] += 1
        whole = sum(counts.values(), Counter())
        frequent = [counts.get(task_name(record), whole).most_common(1)[0][0] for record in test]
        nearest = [text.strip() for text in target_of_nearest(train, test, self.text_before, first_reference)]
        found = (("most-frequent", frequent), ("nearest-source", nearest))
        return {name: [{"target": text} for text in texts] for name, texts in found}


def task_name(record: Record) -> str:
    """What its column `task` says; "" without one."""
    return str(record.get("task") or "")


def _right(predictions: Sequence[Prediction], records: Sequence[Record]) -> list[float]:
    pairs = zip(written_texts(predictions), all_references(records), strict=True)
    return [float(text.strip() in golds) for text, golds in pairs]


def _mean_over_tasks(sums: FloatArray) -> FloatArray:
    """Of a task that a resample leaves out nothing is known: the mean is over the others."""
    right, size = np.split(sums, 2, -1)
    share = np.divide(right, size, out=np.zeros_like(right), where=size > 0)
    return np.asarray(share.sum(-1) / (size > 0).sum(-1))
