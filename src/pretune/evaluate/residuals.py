"""Errors of predicted values: against the true ones, by tenths of them, and the largest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pretune.evaluate.chart import Chart, Reference, Series
from pretune.evaluate.scatter import MAX_DOTS, Scatter, tenths
from pretune.evaluate.table import Cell, Table
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import bootstrap_mean
from pretune.text.findings import place
from pretune.text.labels import as_number
from pretune.text.records import Record

NUM_WORST = 8
FEW = 10


def values_of(predictions: Sequence[Any], records: Sequence[Record]) -> tuple[FloatArray, FloatArray] | None:
    """(true, predicted); None where predictions are no values."""
    if not predictions or not all(isinstance(one, dict) and "value" in one for one in predictions):
        return None
    gold = np.array([as_number(record) for record in records], np.float64)
    return gold, np.array([one["value"] for one in predictions], np.float64)


def scatter_of(gold_N: FloatArray, predicted_N: FloatArray) -> Scatter:
    off_N = predicted_N - gold_N
    notes = [
        f"Mean of predicted minus true {off_N.mean():+.3g}, mean absolute {np.abs(off_N).mean():.3g}, root mean square "
        f"{np.sqrt((off_N**2).mean()):.3g}. Dashed: where both are equal."
    ]
    if len(gold_N) > MAX_DOTS:
        notes.append(f"{MAX_DOTS:,} of {len(gold_N):,} records are drawn; the numbers are of all.")
    return Scatter("Predicted against true values", gold_N, predicted_N, tuple(notes))


def residual_chart(gold_N: FloatArray, predicted_N: FloatArray, rng: np.random.Generator) -> Chart | None:
    """The mean error of each tenth of the records by true value; None where no part has enough of them.

    A model that has learnt little predicts the mean: too much at the low end and too little at the high one.
    """
    points, band = [], []
    for part in tenths(gold_N):
        if len(part) < FEW:
            continue
        at = float(gold_N[part].mean())
        found = bootstrap_mean(predicted_N[part] - gold_N[part], rng=rng, num_resamples=500)
        points.append((at, found.estimate))
        band.append((at, found.low, found.high))
    if not points:
        return None
    notes = ("A point a tenth of the records, in the order of their true values; band: 95 % intervals.",)
    series = (Series("mean error", tuple(points), tuple(band)),)
    return Chart(
        "Error by true value", "true value", "predicted - true", series, (Reference("no error", 0.0),), notes=notes
    )


def worst_table(gold_N: FloatArray, predicted_N: FloatArray, records: Sequence[Record], texts: Sequence[str]) -> Table:
    """The largest errors, with their lines."""
    rows: list[tuple[Cell, ...]] = []
    for row in np.argsort(-np.abs(predicted_N - gold_N), kind="stable")[:NUM_WORST].tolist():
        gold, said = float(gold_N[row]), float(predicted_N[row])
        rows.append((said - gold, gold, said, texts[row], place(records[row].path, records[row].line)))
    note = "Large errors are worth a look: some may be wrong labels."
    return Table(("predicted - true", "true", "predicted", "text", "where"), tuple(rows), "Largest errors", (note,))
