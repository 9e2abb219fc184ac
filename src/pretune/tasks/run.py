"""Predictions and scores of a model on records: sorted by length, batched by tokens, given back in the given order."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from pretune.core.assemble import Template
from pretune.core.errors import RunError
from pretune.core.pack import pack
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items
from pretune.tasks.source import TaskSource
from pretune.tasks.task import Prediction, Scores, Task
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.train.feed import cut

MAX_TOKENS = 4096
"""Tokens of a batch; a longer single record is a batch by itself. Of 8192 MiniLM takes a tenth longer on a CPU."""


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions on labelled records, in their order, and what they are worth.

    scores: metric -> value; items: what an interval of the main metric needs. num_truncated, num_cut, num_empty: see
    TaskSource. seconds: of prediction, without featurizing. remarks: what a reader of the scores must know.
    """

    predictions: list[Prediction] = field(repr=False)
    scores: Scores
    items: Items = field(repr=False)
    num_examples: int
    num_truncated: int
    num_cut: int
    num_empty: int
    seconds: float
    remarks: tuple[str, ...] = ()


def predict(
    model: Any,
    task: Task,
    records: Sequence[Record],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    *,
    max_tokens: int = MAX_TOKENS,
) -> list[Prediction]:
    """A prediction for each record, in order; labels are not looked at. `predict_source` says what was cut."""
    source = TaskSource(task.suit(model), records, tokenizer, template, max_length, labelled=False)
    return predict_source(model, source, max_tokens=max_tokens)


def evaluate_task(
    model: Any,
    task: Task,
    records: Sequence[Record],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    *,
    max_tokens: int = MAX_TOKENS,
) -> Evaluation:
    """Predictions and scores on labelled records. InputError for labels that are missing or unknown to the task."""
    task = task.suit(model)
    task.check(records)
    source = TaskSource(task, records, tokenizer, template, max_length, labelled=False)
    return evaluate_source(model, source, max_tokens=max_tokens)


def predict_source(model: Any, source: TaskSource, *, max_tokens: int = MAX_TOKENS) -> list[Prediction]:
    """Predictions of a source made with `labelled=False`, in the order of its records."""
    source.task.check_model(model)
    with torch.inference_mode(), _in_eval_mode(model):
        predictions = source.task.said(model, source, max_tokens)
    if predictions is None:
        predictions = _each_batch(model, source, source.task.decode, max_tokens)
    return source.task.completed(predictions, source.records)


def evidence_source(model: Any, source: TaskSource, *, max_tokens: int = MAX_TOKENS) -> list[Evidence]:
    """What the model says of each record before a decision, likewise. InputError for a task that has no such thing."""
    if type(source.task).evidence is Task.evidence:
        source.task.evidence({}, source.examples[0], [])  # says so, before anything is computed
    return _each_batch(model, source, source.task.evidence, max_tokens)


def _each_batch(model: Any, source: TaskSource, use: Callable[..., Sequence[Any]], max_tokens: int) -> list[Any]:
    """What `use` makes of the outputs of each batch, a value a record, in the order of the records."""
    source.task.check_model(model)
    values: list[Any] = [None] * len(source)
    with torch.inference_mode(), _in_eval_mode(model):
        for part in cut(source.examples, max_tokens):
            batch = pack(part)
            numbers = batch.origin_E.tolist()
            outputs = source.task.outputs(model, batch.to(model.body.device))
            if not outputs[source.task.head].isfinite().all():
                raise RunError("the model's outputs are not finite: training has diverged; lower optimizer.lr")
            found = use(outputs, batch, [source.records[number] for number in numbers])
            for number, value in zip(numbers, found, strict=True):
                values[number] = value
    return values


@contextmanager
def _in_eval_mode(model: Any) -> Iterator[None]:
    """Leaves the model as it was: `train` and `eval` walk through all modules."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


def evaluate_source(model: Any, source: TaskSource, *, max_tokens: int = MAX_TOKENS) -> Evaluation:
    """Scores of a source made with `labelled=False` whose records have labels: what is evaluated again each epoch."""
    started = time.monotonic()
    predictions = predict_source(model, source, max_tokens=max_tokens)
    seconds = time.monotonic() - started
    return judged(source, predictions, seconds)


def judged(source: TaskSource, predictions: list[Prediction], seconds: float) -> Evaluation:
    """What predictions of the source's records are worth."""
    scores = source.task.score(predictions, source.records)
    items = source.task.items(predictions, source.records)
    counts = (len(source), source.num_truncated, source.num_cut, source.num_empty)
    remarks = source.task.remarks_on(source)
    return Evaluation(predictions, scores, items, *counts, seconds, remarks)
