"""evaluate: a fine-tuned model on a labelled file, with an interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import resolve
from pretune.core.errors import InputError
from pretune.core.randomness import derive_rng
from pretune.evaluate.table import Cell, Table, as_text
from pretune.evaluate.written import AboutWritten, about_written
from pretune.metrics.intervals import Interval
from pretune.tasks.run import Evaluation
from pretune.tasks.task import Scores
from pretune.tasks.written import Written
from pretune.text.records import read_records
from pretune.verbs.ensemble import Ensemble, Models
from pretune.verbs.settings import EvaluateSettings


def evaluate(
    task: str,
    *,
    model: Models,
    data: str | Path,
    train: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Scores of a fine-tuned model on a labelled file: {"scores", "interval", "examples", "truncated", "empty"}.

    model: several are an ensemble (`ensemble.py`), and "members" has the scores of each. allow_pickle: as
    `pretune.load` has it. train: of a model that writes texts, the file it learnt from: "written" says how new they are
    beside it (`evaluate/written.py`).
    Raises InputError for a model of another task, and for labels the model does not know.
    """
    given = settings if isinstance(settings, Mapping) else None
    resolved = resolve(EvaluateSettings, given or {}, assignments=() if given is not None else list(settings))
    ensemble = Ensemble(model, task, resolved.task, allow_pickle=allow_pickle)
    opened = ensemble.task
    columns = {key: str(column) for key, column in resolved.columns.items()}
    records = read_records(data, columns=columns)
    if not records:
        raise InputError(f"{data}: no examples in it")
    if train is not None and not isinstance(opened, Written):
        raise InputError(f"--train says how new written texts are, and {ensemble.name} writes none: leave it out")
    known = [] if train is None else read_records(train, columns=columns)
    found, alone = ensemble.evaluate(records, resolved.max_length)
    wrote = about_written(opened, found.predictions, records, known)
    interval = found.items.interval(rng=derive_rng(resolved.seed, "interval"))
    names = [member.name for member in ensemble.members]
    return {
        "task": ensemble.name,
        "model": names[0] if len(names) == 1 else names,
        "data": str(data),
        "scores": found.scores,
        "interval": {"of": opened.main_metric, "low": interval.low, "high": interval.high, "level": interval.level},
        "score_notes": list(opened.notes),
        "examples": len(records),
        "truncated": found.num_truncated,
        "empty": found.num_empty,
        "seconds": round(found.seconds, 3),
        **({"written": wrote.figures} if wrote.figures else {}),
        **({"members": dict(zip(names, alone, strict=True))} if alone else {}),
        "text": "\n\n".join(map(as_text, _tables(ensemble, found, interval, alone, wrote, resolved))),
    }


def _tables(
    ensemble: Ensemble,
    found: Evaluation,
    interval: Interval,
    alone: Sequence[Scores],
    wrote: AboutWritten,
    settings: EvaluateSettings,
) -> list[Table]:
    """The scores with what one must know to read them, and of several models those of each."""
    task = ensemble.task
    shown: dict[str, Cell] = dict(found.scores)
    shown[task.main_metric] = interval
    notes = [f"{found.num_examples:,} examples; in brackets: 95 % interval over them"]
    notes += [*task.notes, *found.remarks, *wrote.sentences]
    if found.num_truncated:
        longest = min(settings.max_length or ensemble.longest, ensemble.longest)
        notes.append(f"{found.num_truncated:,} texts were longer than {longest} tokens and were cut")
    tables = [Table(("metric", "value"), tuple(shown.items()), notes=tuple(notes))]
    if alone:
        pairs = zip(ensemble.members, alone, strict=True)
        rows: list[tuple[Cell, ...]] = [(member.name, *scores.values()) for member, scores in pairs]
        tables.append(Table(("member", *alone[0]), tuple(rows), "Each model alone"))
    return tables
