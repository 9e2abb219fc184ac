"""What the page of a fine-tuning run shows of errors: confusion, calibration, slices, the most confident mistakes.

Of several labels: what became of each, and the calibration of all decisions together. Of choices and answers: the
calibration of what was taken, and slices of their own kind. Of values: predicted against true, errors by true value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretune.evaluate.chart import Chart, Series
from pretune.evaluate.forest import Forest
from pretune.evaluate.judgements import (
    Judgement,
    answer_judgements,
    choice_judgements,
    judgements,
    label_judgements,
)
from pretune.evaluate.label_decisions import decisions_table
from pretune.evaluate.matrix import Matrix, matrix_of
from pretune.evaluate.residuals import residual_chart, scatter_of, values_of, worst_table
from pretune.evaluate.scatter import Scatter
from pretune.evaluate.slices import by_label, slices
from pretune.evaluate.table import Cell, Table
from pretune.metrics.calibration import brier, calibration_error, reliability
from pretune.tasks.task import Task
from pretune.text.findings import place
from pretune.text.records import Record

NUM_BINS = 10
NUM_MISTAKES = 8
MAX_SHOWN = 240
Shown = Matrix | Chart | Forest | Table | Scatter
_ABOUT = {False: "Predictions", True: "Decisions on all labels"}


@dataclass(frozen=True)
class Diagnosis:
    """What is there for a task; a part that its predictions do not allow is left out. calibration: figures for
    metrics.json, {} without probabilities."""

    sections: tuple[Shown, ...]
    calibration: dict[str, float]
    slices: tuple[dict[str, Any], ...]


def diagnose(
    task: Task,
    predictions: Sequence[Any],
    records: Sequence[Record],
    train: Sequence[Record],
    overall: float,
    *,
    rng: np.random.Generator,
) -> Diagnosis:
    """Of predictions on labelled records. train: what the model learnt from; overall: the main metric on all."""
    classes = judgements(predictions, records, task.contents)
    several = label_judgements(predictions, records, getattr(task, "separator", None))
    judged = classes or several or choice_judgements(predictions, records) or _answers(task, predictions, records)
    sections: list[Shown] = []
    if classes:
        sections.append(matrix_of((one.gold, one.predicted) for one in classes))
    if several:
        sections.append(decisions_table(several))
    values = values_of(predictions, records) if not judged else None
    if values is not None:
        sections += [scatter_of(*values), *([chart] if (chart := residual_chart(*values, rng)) else [])]
    scored = [one for one in judged if one.score is not None]
    figures = _figures(scored) if scored else {}
    if scored:
        sections.append(reliability_chart(scored, figures, _ABOUT[bool(several)]))
    found = slices(task, predictions, records, train, rng=rng)
    notes = ("In brackets: how many. Lines: 95 % intervals; of many slices, one in twenty misses by chance.",)
    if found:
        sections.append(Forest("Slices", task.main_metric, tuple(found), overall, notes))
    labels = by_label(classes, rng=rng) if classes else []
    if labels:
        share = sum(one.is_right for one in classes) / len(classes)
        more = len({one.gold for one in classes}) - len(labels)
        rest = (f"The {len(labels)} most frequent labels; {more:,} more are not shown.",) if more else ()
        sections.append(Forest("By label", "share right", tuple(labels), share, (*notes, *rest)))
    if scored and (mistakes := mistakes_table(scored, records, task)):
        sections.append(mistakes)
    if values is not None:
        sections.append(worst_table(*values, records, [_text(task, record) for record in records]))
    told = [
        {"by": one.group, "slice": one.name, "examples": one.num_records}
        | ({} if one.score is None else {"score": one.score.estimate, "low": one.score.low, "high": one.score.high})
        for one in [*found, *labels]
    ]
    return Diagnosis(tuple(sections), figures, tuple(told))


def _figures(scored: Sequence[Judgement]) -> dict[str, float]:
    confidence, right = [one.score or 0.0 for one in scored], [one.is_right for one in scored]
    return {
        "expected_calibration_error": calibration_error(confidence, right, NUM_BINS),
        "brier": brier(confidence, right),
        "mean_confidence": float(np.mean(confidence)),
        "share_right": float(np.mean(right)),
    }


def reliability_chart(scored: Sequence[Judgement], figures: dict[str, float], what: str = "Predictions") -> Chart:
    """How often predictions of each confidence are right (Guo et al. 2017, figure 1)."""
    bins = reliability([one.score or 0.0 for one in scored], [one.is_right for one in scored], NUM_BINS)
    lowest = min(min(one.confidence, one.accuracy) for one in bins)
    ideal = Series("perfectly calibrated", ((lowest, lowest), (1.0, 1.0)))
    network = Series("the network", tuple((one.confidence, one.accuracy) for one in bins))
    counts = ", ".join(f"{one.low:.1f} to {one.high:.1f}: {one.count:,}" for one in bins)
    mean, right = figures["mean_confidence"], figures["share_right"]
    notes = (
        f"Expected calibration error {figures['expected_calibration_error']:.3f} ({NUM_BINS} bins of equal width). "
        f"On average it is {mean:.3f} sure and {right:.3f} right: below the diagonal it is too sure of itself.",
        f"{what} by confidence: {counts}.",
    )
    return Chart("Calibration", "confidence", "share right", (network, ideal), notes=notes)


def mistakes_table(scored: Sequence[Judgement], records: Sequence[Record], task: Task) -> Table | None:
    """The wrong predictions the network was most sure of, with their lines: often mistakes of the data."""
    wrong = sorted((one for one in scored if not one.is_right), key=lambda one: -(one.score or 0.0))
    if not wrong:
        return None
    rows: list[tuple[Cell, ...]] = []
    for one in wrong[:NUM_MISTAKES]:
        record = records[one.row]
        text = _text(task, record)
        shown = text if one.word is None else f"{one.word}: {text}"
        rows.append((one.score, one.gold, one.predicted, shown, place(record.path, record.line)))
    columns = ("confidence", "true label", "predicted", "text", "where")
    note = f"{len(wrong):,} of {len(scored):,} are wrong. Confident errors are worth a look: some may be wrong labels."
    return Table(columns, tuple(rows), "Most confident mistakes", (note,))


def _text(task: Task, record: Record) -> str:
    """The texts of a record, as much as a table shows."""
    text = " | ".join(part for part in task.contents(record).texts if part)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _answers(task: Task, predictions: Sequence[Any], records: Sequence[Record]) -> list[Judgement]:
    return answer_judgements(predictions, records) if task.contents(records[0]).gold == "texts" else []
