"""Fine-tuning itself, on records in memory: a model, a task and its records to a model for the task.

`finetune` calls it with files and a run's directory, `quickstart` in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pretune.adapt.adaptation import Parameters, count_parameters, open_adaptation
from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.disk import OnDiskFull
from pretune.core.errors import InputError
from pretune.core.hooks import Hook
from pretune.tasks.run import Evaluation, evaluate_source, predict_source
from pretune.tasks.source import TaskSource
from pretune.tasks.task import Prediction, Task
from pretune.text.records import Record
from pretune.train.distribute import ALONE, Processes
from pretune.train.evaluation import Evaluate
from pretune.train.feed import make_feed
from pretune.train.loop import fit
from pretune.train.run import Report
from pretune.verbs.settings import FinetuneSettings


@dataclass(frozen=True)
class Tuned:
    """A model for a task. `bundle` has the task's head, with the labels' names, and says in its manifest which task.

    valid: on the validation records, with the weights it has.
    """

    bundle: Bundle
    task: Task
    report: Report
    parameters: Parameters
    num_truncated: int
    num_empty: int
    valid: Evaluation | None

    def evaluate(self, records: Sequence[Record], max_length: int) -> Evaluation:
        """Scores on labelled records."""
        return evaluate_source(self.bundle.model, _source(self.bundle, self.task, records, max_length, labelled=False))


def tune(
    bundle: Bundle,
    name: str,
    task: Task,
    train: Sequence[Record],
    settings: FinetuneSettings,
    *,
    valid: Sequence[Record] | None = None,
    out: Path | None = None,
    hooks: Sequence[Hook] = (),
    device: str = "cpu",
    on_disk_full: OnDiskFull = "stop",
    processes: Processes = ALONE,
) -> Tuned:
    """Trains `bundle`, which has the task's head, in place. task: bound to the labels of `train`; name: its own.

    With validation records the best weights by the task's main metric are kept, looked at once an epoch unless
    `evaluate_every_steps` says otherwise. Raises InputError for records or settings that do not fit.
    """
    if settings.max_length > bundle.max_length:
        raise InputError(f"max_length={settings.max_length} is more than the model's {bundle.max_length}: lower it")
    if settings.patience is not None and valid is None:
        raise InputError("patience needs a validation file: give --valid")
    model = open_adaptation(settings.adapt)(bundle.model)
    parameters = count_parameters(model)
    if settings.adapt == "frozen" and not any(weight.requires_grad for weight in bundle.model.heads.parameters()):
        told = f"adapt={settings.adapt} trains heads alone, and that of {name} has no weights of its own"
        raise InputError(f"{told}: use adapt=full")
    task = task.suit(model)
    source = _source(bundle, task, train, settings.max_length)
    watching: list[Hook] = []
    held_out = None
    if valid is not None:
        task.check(valid)
        held_out = _source(bundle, task, valid, settings.max_length, labelled=False)
        watching.append(_evaluation(held_out, settings))
    notes = _whole_steps(source, settings, processes) if task.compares_records else ()
    feed = make_feed([source], settings, rank=processes.rank, world=processes.world)
    where: dict[str, Any] = {"out": out, "device": device, "on_disk_full": on_disk_full, "processes": processes}
    report = fit(model, task, feed, settings, [*watching, *hooks], **where)
    report = replace(report, notes=(*report.notes, *notes))
    task = task.finish(model)
    if valid is not None:  # of the model as it will be saved, so that `evaluate` repeats the figures
        task = task.choose_on(valid, lambda other: _predictions(bundle, other, valid, settings.max_length))
        held_out = _source(bundle, task, valid, settings.max_length, labelled=False)
    valid_scores = None if held_out is None else evaluate_source(model, held_out)
    told = asdict(task)  # type: ignore[call-overload]
    bundle.manifest["task"] = {"name": name, "max_length": settings.max_length, "settings": told}
    return Tuned(bundle, task, report, parameters, source.num_truncated, source.num_empty, valid_scores)


def _whole_steps(source: TaskSource, settings: FinetuneSettings, processes: Processes) -> tuple[str, ...]:
    """What to know of a loss that compares the records of a step. InputError where a step might be worked off in
    several micro-batches: each record would be compared with fewer others than was asked for, and with any number."""
    share = -(-settings.batch_size // processes.world)
    lengths = sorted((example.num_tokens for example in source.examples), reverse=True)
    epochs, rest = divmod(share, len(lengths))
    most = epochs * sum(lengths) + sum(lengths[:rest])
    if most > settings.max_tokens_per_batch and share > 1:
        raise InputError(
            f"this loss compares the records of a step, so a step must stay whole: with batch_size="
            f"{settings.batch_size} it may have {most:,} tokens, and max_tokens_per_batch is "
            f"{settings.max_tokens_per_batch:,}. Set max_tokens_per_batch={most} (memory grows with it), or lower "
            "batch_size or max_length"
        )
    among = "" if processes.world == 1 else f" on the same of {processes.world} processes"
    return (f"each record was compared with the {share - 1} others of its step{among}; equal texts are no negatives",)


def _source(
    bundle: Bundle, task: Task, records: Sequence[Record], max_length: int, *, labelled: bool = True
) -> TaskSource:
    return TaskSource(task, records, bundle.tokenizer, bundle.template, max_length, labelled=labelled)


def _predictions(bundle: Bundle, task: Task, records: Sequence[Record], max_length: int) -> list[Prediction]:
    return predict_source(bundle.model, _source(bundle, task, records, max_length, labelled=False))


def _evaluation(held_out: TaskSource, settings: FinetuneSettings) -> Evaluate:
    def score(model: Any) -> Mapping[str, float]:
        return evaluate_source(model, held_out).scores

    every: float | None = settings.evaluate_every_steps
    if every is None and settings.epochs is not None and settings.epochs > 1:
        every = 1 / settings.epochs
    return Evaluate(score, every=every, metric=held_out.task.main_metric, patience=settings.patience)
