"""evaluate: a fine-tuned model on a labelled file, with an interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import resolve
from pretune.core.errors import InputError
from pretune.core.randomness import derive_rng
from pretune.evaluate.table import Cell, Table, as_text
from pretune.tasks.run import evaluate_task
from pretune.tasks.task import changed
from pretune.text.records import read_records
from pretune.verbs.predictions import longest_of, task_of
from pretune.verbs.pretrained import load
from pretune.verbs.settings import EvaluateSettings


def evaluate(
    task: str,
    *,
    model: str,
    data: str | Path,
    settings: Sequence[str] | Mapping[str, Any] = (),
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Scores of a fine-tuned model on a labelled file: {"scores", "interval", "examples", "truncated", "empty"}.

    allow_pickle: as `pretune.load` has it.
    Raises InputError for a model of another task, and for labels the model does not know.
    """
    given = settings if isinstance(settings, Mapping) else None
    resolved = resolve(EvaluateSettings, given or {}, assignments=() if given is not None else list(settings))
    pretrained = load(model, allow_pickle=allow_pickle)
    name, opened = task_of(pretrained.bundle, task)
    if resolved.task:
        opened = changed(name, opened, resolved.task)
    records = read_records(data, columns={key: str(column) for key, column in resolved.columns.items()})
    if not records:
        raise InputError(f"{data}: no examples in it")
    bundle = pretrained.bundle
    longest = min(resolved.max_length or longest_of(bundle), bundle.max_length)
    found = evaluate_task(pretrained.model, opened, records, bundle.tokenizer, bundle.template, longest)
    interval = found.items.interval(rng=derive_rng(resolved.seed, "interval"))
    shown: dict[str, Cell] = dict(found.scores)
    shown[opened.main_metric] = interval
    notes = [f"{len(records):,} examples; in brackets: 95 % interval over them", *opened.notes, *found.remarks]
    if found.num_truncated:
        notes.append(f"{found.num_truncated:,} texts were longer than {longest} tokens and were cut")
    return {
        "task": name,
        "model": str(model),
        "data": str(data),
        "scores": found.scores,
        "interval": {"of": opened.main_metric, "low": interval.low, "high": interval.high, "level": interval.level},
        "score_notes": list(opened.notes),
        "examples": len(records),
        "truncated": found.num_truncated,
        "empty": found.num_empty,
        "seconds": round(found.seconds, 3),
        "text": as_text(Table(("metric", "value"), tuple(shown.items()), notes=tuple(notes))),
    }
