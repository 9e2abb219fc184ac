"""Ensemble: several models that were fine-tuned for one task predict together, by the mean of what each says.

Means are of probabilities (`tasks/evidence.py`): of labels, of each word's tags (with a CRF the marginal ones), of
choices, of where an answer starts and ends; of values themselves. Labels are aligned by name. The first model's task
decides on the mean, with the settings given; a null threshold is the mean of the members'. Tokenizers may differ, but
not for `answer`. Of one model an ensemble gives what the model gives.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.tasks.evidence import Evidence, mean_evidence
from pretune.tasks.run import Evaluation, evidence_source, judged, predict_source
from pretune.tasks.source import TaskSource
from pretune.tasks.task import Prediction, Scores, Task, changed
from pretune.text.records import Record
from pretune.verbs.console import say
from pretune.verbs.predictions import as_record, longest_of, task_of
from pretune.verbs.pretrained import load

Models = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Member:
    """One model, and the task that it was fine-tuned for: kind is the task's name."""

    name: str
    kind: str
    bundle: Bundle
    task: Task

    def source(self, records: Sequence[Record], max_length: int | None = None) -> TaskSource:
        longest = min(max_length or longest_of(self.bundle), self.bundle.max_length)
        return TaskSource(self.task, records, self.bundle.tokenizer, self.bundle.template, longest, labelled=False)


class Ensemble:
    """models: directories or hub names; one is enough. task: its name, None for the models' own. settings: of the task,
    in place of those it was trained with. allow_pickle: as `pretune.load` has it.

    Raises InputError for models of different tasks, or with different labels.
    """

    def __init__(
        self,
        models: Models,
        task: str | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        allow_pickle: bool = False,
    ) -> None:
        names = [models] if isinstance(models, str | Path) else list(models)
        if not names:
            raise InputError("an ensemble needs a model: name one at least")
        self.members: list[Member] = []
        for name in names:
            bundle = load(name, allow_pickle=allow_pickle).bundle
            kind, opened = task_of(bundle, task)
            opened = changed(kind, opened, settings) if settings else opened
            self.members.append(Member(str(name), kind, bundle, opened.suit(bundle.model)))
            _refuse_another(self.members[0], self.members[-1])
        self.name = self.members[0].kind
        self.task = _together([member.task for member in self.members], settings or {})

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """What the task says of each input, as `Pretrained.predict` has it."""
        found, num_cut = self.predict_records([as_record(one, number) for number, one in enumerate(inputs)])
        if num_cut:
            say(f"{num_cut:,} of {len(inputs):,} texts were longer than {self.longest} tokens and were cut")
        return found

    def predict_records(self, records: Sequence[Record]) -> tuple[list[Any], int]:
        """A prediction for each record, in order, and how many of them were cut for some member."""
        sources = [member.source(records) for member in self.members]
        found = self._decided(sources, records)[0]
        return self.task.shown(found, records), _num_cut(sources)

    def num_accepted(self, records: Sequence[Record]) -> int:
        """How many records stand before the first that a member's task refuses."""
        for number, record in enumerate(records):
            try:
                for member in self.members:
                    member.source([record])
            except InputError:
                return number
        return len(records)

    def evaluate(self, records: Sequence[Record], max_length: int | None = None) -> tuple[Evaluation, list[Scores]]:
        """Scores on labelled records, and of several members those of each alone."""
        for member in self.members:
            member.task.check(records)
        sources = [member.source(records, max_length) for member in self.members]
        started = time.monotonic()
        predictions, evidence = self._decided(sources, records)
        seconds = time.monotonic() - started
        first = sources[0]
        first.task = self.task
        found = replace(judged(first, predictions, seconds), num_truncated=_num_cut(sources))
        pairs = zip(self.members if evidence else (), evidence, strict=True)
        alone = [self.task.score(member.task.conclude(one, records), records) for member, one in pairs]
        return found, alone

    def _decided(
        self, sources: Sequence[TaskSource], records: Sequence[Record]
    ) -> tuple[list[Prediction], list[list[Evidence]]]:
        """Predictions, and of several members what each says."""
        if len(self.members) == 1:
            return predict_source(self.members[0].bundle.model, sources[0]), []
        pairs = zip(self.members, sources, strict=True)
        each = [evidence_source(member.bundle.model, source) for member, source in pairs]
        means = [mean_evidence(of, record) for *of, record in zip(*each, records, strict=True)]
        found = self.task.conclude(means, records) if means else []
        return self.task.completed(found, records), each

    @property
    def longest(self) -> int:
        """The longest sequence that every member reads."""
        return min(longest_of(member.bundle) for member in self.members)


def _num_cut(sources: Sequence[TaskSource]) -> int:
    """Records of which some member lost a part."""
    rows = zip(*(source.examples for source in sources), strict=True)
    return sum(any(example.num_cut > 0 for example in row) for row in rows)


def _refuse_another(first: Member, other: Member) -> None:
    told = f"{first.name} and {other.name} make no ensemble: "
    if first.kind != other.kind:
        raise InputError(f"{told}one is for {first.kind}, the other for {other.kind}")
    ours, theirs = first.task, other.task
    if different := sorted(set(ours.head_spec.labels) ^ set(theirs.head_spec.labels)):
        raise InputError(f"{told}only one of them has the labels {', '.join(different[:10])}")
    if ours.head_spec.problem != theirs.head_spec.problem:
        raise InputError(f"{told}one gives one label a record, the other any number (task.multi_label)")
    if getattr(ours, "no_answer", None) != getattr(theirs, "no_answer", None):
        raise InputError(f"{told}only one of them may say that there is no answer")


def _together(tasks: Sequence[Task], given: Mapping[str, Any]) -> Task:
    """The task that decides: the first, with the mean of the null thresholds that the members chose."""
    chosen = [found for task in tasks if (found := getattr(task, "null_threshold", None)) is not None]
    if not chosen or "null_threshold" in given:
        return tasks[0]
    return replace(tasks[0], null_threshold=float(np.mean(chosen)))  # type: ignore[type-var]
