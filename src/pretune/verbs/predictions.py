"""Predictions of a model for the task it was fine-tuned for, whoever saved it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.tasks import run
from pretune.tasks.source import TaskSource
from pretune.tasks.task import Task, changed, open_task
from pretune.text.records import Record
from pretune.verbs.console import say

HEAD_TASKS = {"sequence": "classify", "token": "tag", "choice": "choose", "answer": "answer", "embedding": "similar"}


def task_of(bundle: Bundle, name: str | None = None) -> tuple[str, Task]:
    """The task a model was fine-tuned for: as its manifest says, or as the head of a Hugging Face model implies.

    name: what the caller calls it; InputError where the model is for another. A model from elsewhere with a classifying
    head may be called classify or pair, a language model may be named for any task that such a head does.
    """
    told = bundle.manifest.get("task")
    if told is not None:
        if name is not None and name.replace("_", "-") != told["name"].replace("_", "-"):
            raise InputError(f"this model was fine-tuned for {told['name']}, not for {name}")
        if ":" in told["name"] and name != told["name"]:
            raise InputError(
                f"{bundle.folder} asks for code outside pretune ({told['name']}): name the task to allow it"
            )
        try:
            return told["name"], open_task(told["name"], told["settings"])
        except InputError as error:
            raise InputError(f"{bundle.folder}: pretune.json: task: {error}") from error
    for spec in bundle.specs:
        if spec.kind in HEAD_TASKS:
            if spec.problem == "regression":
                found = "regress"
            else:
                found = "pair" if name == "pair" and spec.kind == "sequence" else HEAD_TASKS[spec.kind]
            if name is not None and name != found:
                raise InputError(f"this model's head is for {found}, not for {name}")
            settings: dict[str, Any] = {"labels": spec.labels} if spec.labels and found != "regress" else {}
            if spec.problem == "multi_label_classification":
                settings["multi_label"] = True
            if found == "tag" and "crf" in bundle.model.heads:
                settings["crf"] = True
            return found, open_task(found, settings)
    if name is not None and "lm" in bundle.model.heads and (task := open_task(name)).head == "lm":
        return name, task  # a language model's head is all it needs
    raise InputError("this model has no head for a task: fine-tune it first (pretune finetune)")


def predict(bundle: Bundle, inputs: Sequence[Any], settings: Mapping[str, Any] | None = None) -> list[Any]:
    """What the model's task says of each input: a text, a pair of texts, a list of words, or a mapping of columns.

    settings: of the task, in place of those it was trained with ({"output": "entities"}).
    """
    name, task = task_of(bundle)
    task = changed(name, task, settings) if settings else task
    found, num_cut = predict_records(bundle, task, [as_record(one, number) for number, one in enumerate(inputs)])
    if num_cut:
        say(f"{num_cut:,} of {len(inputs):,} texts were longer than {longest_of(bundle)} tokens and were cut")
    return found


def predict_records(bundle: Bundle, task: Task, records: Sequence[Record]) -> tuple[list[Any], int]:
    """A prediction for each record, in order, and how many of them were cut; labels are not looked at."""
    task = task.suit(bundle.model)
    source = TaskSource(task, records, bundle.tokenizer, bundle.template, longest_of(bundle), labelled=False)
    return task.shown(run.predict_source(bundle.model, source), records), source.num_truncated


def longest_of(bundle: Bundle) -> int:
    """The longest sequence a task's model reads: what it was trained and scored at, else the most it takes."""
    told = bundle.manifest.get("task") or {}
    return min(int(told.get("max_length", bundle.max_length)), bundle.max_length)


def as_record(given: Any, number: int) -> Record:
    """An input of `predict` as a record. InputError where it is none."""
    if isinstance(given, str):
        return Record({"text": given}, "input", number + 1)
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given):
        return Record({"text": given[0], "text_b": given[1]}, "input", number + 1)
    if isinstance(given, Mapping):
        return Record(given, "input", number + 1)
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return Record({"words": given}, "input", number + 1)
    raise InputError(f"input {number} is neither a text, a pair of texts, a list of words nor a mapping: {given!r:.80}")
