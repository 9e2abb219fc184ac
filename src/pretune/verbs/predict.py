"""predict, fill and embed over lists, and over files of any size, a few thousand lines at a time."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import parse_assignments
from pretune.core.errors import InputError, unknown
from pretune.tasks.run import predict as predict_records
from pretune.tasks.task import Task, open_task
from pretune.text.records import Record, iterate_records
from pretune.verbs.pretrained import Pretrained, load

AT_ONCE = 4096
HEAD_TASKS = {"sequence": "classify", "token": "tag"}


def task_of(bundle: Bundle, name: str | None = None) -> tuple[str, Task]:
    """The task a model was fine-tuned for: as its manifest says, or as the head of a Hugging Face model implies.

    name: what the caller calls it; InputError where the model is for another. A model from elsewhere with a classifying
    head may be called classify or pair.
    """
    told = bundle.manifest.get("task")
    if told is not None:
        if name is not None and name.replace("_", "-") != told["name"].replace("_", "-"):
            raise InputError(f"this model was fine-tuned for {told['name']}, not for {name}")
        return told["name"], open_task(told["name"], told["settings"])
    for spec in bundle.specs:
        if spec.kind in HEAD_TASKS:
            if spec.problem == "multi_label_classification":
                raise InputError("this model gives several labels a text, which no task here does yet")
            if spec.problem == "regression":
                found = "regress"
            else:
                found = "pair" if name == "pair" and spec.kind == "sequence" else HEAD_TASKS[spec.kind]
            if name is not None and name != found:
                raise InputError(f"this model's head is for {found}, not for {name}")
            settings = {} if found == "regress" else {"labels": spec.labels}
            return found, open_task(found, settings)
    raise InputError("this model has no head for a task: fine-tune it first (pretune finetune)")


def predict(pretrained: Pretrained, inputs: Sequence[Any]) -> list[Any]:
    """What the model's task says of each input: a text, a pair of texts, a list of words, or a mapping of columns."""
    _, task = task_of(pretrained.bundle)
    return _predict(pretrained, task, [_record(one, number) for number, one in enumerate(inputs)])


def _predict(pretrained: Pretrained, task: Task, records: Sequence[Record]) -> list[Any]:
    bundle = pretrained.bundle
    return predict_records(pretrained.model, task, records, bundle.tokenizer, bundle.template, bundle.max_length)


def _record(given: Any, number: int) -> Record:
    if isinstance(given, str):
        return Record({"text": given}, "input", number + 1)
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given):
        return Record({"text": given[0], "text_b": given[1]}, "input", number + 1)
    if isinstance(given, Mapping):
        return Record(given, "input", number + 1)
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return Record({"words": given}, "input", number + 1)
    raise InputError(f"input {number} is neither a text, a pair of texts, a list of words nor a mapping: {given!r:.80}")


def predict_file(
    task: str, *, model: str, file: str | Path, settings: Sequence[str] | Mapping[str, Any] = ()
) -> Iterator[Any]:
    """A prediction for each record of a file (or of standard input, `-`: a text a line), in order, as they come."""
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    for key in given.keys() - {"columns"}:
        raise unknown("setting of predict,", key, ["columns"])
    pretrained = load(model)
    _, opened = task_of(pretrained.bundle, task)
    if str(file) == "-":
        rows: Iterable[Record] = (Record({"text": text}, "<stdin>", n) for n, text in enumerate(_stdin(), 1))
    else:
        rows = iterate_records(file, columns=given.get("columns", {}))
    for part in _parts(rows):
        yield from _predict(pretrained, opened, part)


def fill_file(*, model: str, file: str | Path, top_k: int = 5) -> Iterator[Any]:
    """The most probable pieces for the blanks of each line."""
    pretrained = load(model)
    for text in _lines(file):
        yield pretrained.fill(text, top_k=top_k)


def embed_file(
    *, model: str, file: str | Path, pooling: str = "mean", out: str | Path | None = None, truncate: bool = False
) -> Iterator[list[float]]:
    """A vector for each line; with `out` they go there as one array and nothing is yielded."""
    pretrained = load(model)
    kept = []
    for part in _parts(_lines(file)):
        vectors_ND = pretrained.embed(part, pooling=pooling, truncate=truncate)
        if out is None:
            yield from ([float(value) for value in row] for row in vectors_ND)
        else:
            kept.append(vectors_ND)
    if out is not None:
        hidden_size = pretrained.model.body.config.hidden_size
        with open(out, "wb") as target:
            np.save(target, np.concatenate(kept) if kept else np.zeros((0, hidden_size), np.float32))


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(rows)
    while part := list(islice(rest, AT_ONCE)):
        yield part


def _lines(file: str | Path) -> Iterator[str]:
    if str(file) == "-":
        yield from _stdin()
    else:
        yield from (record["text"] for record in iterate_records(file, format="txt"))


def _stdin() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")
