"""Predicted against true values as a picture: a dot a record, and the diagonal on which they are equal.

At most `MAX_DOTS` records are drawn, spread evenly over the order of their true values; the table below is of all.
"""

import html
from dataclasses import dataclass

import numpy as np

from pretune.evaluate.table import Cell, Table
from pretune.evaluate.ticks import linear_ticks, tick_text
from pretune.metrics.checks import FloatArray, IntArray

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 460, 84, 24, 14, 48
MAX_DOTS = 1000
NUM_PARTS = 10


@dataclass(frozen=True, eq=False)
class Scatter:
    """gold_N, predicted_N: finite, at least one."""

    title: str
    gold_N: FloatArray
    predicted_N: FloatArray
    notes: tuple[str, ...] = ()

    def numbers(self) -> Table:
        """By tenths of the records in the order of their true values."""
        rows: list[tuple[Cell, ...]] = []
        for part in tenths(self.gold_N):
            gold, off = self.gold_N[part], self.predicted_N[part] - self.gold_N[part]
            names = f"{tick_text(float(gold.min()))} to {tick_text(float(gold.max()))}"
            rows.append(
                (names, len(part), float(off.mean()), float(np.abs(off).mean()), float(np.sqrt((off**2).mean())))
            )
        columns = ("true value", "n", "mean of predicted - true", "mean absolute", "root mean square")
        return Table(columns, tuple(rows))


def tenths(gold_N: FloatArray) -> list[IntArray]:
    """Record numbers in the order of their true values, in at most ten parts; equal values stay in one part.

    >>> [part.tolist() for part in tenths(np.array([3.0, 1.0, 2.0, 2.0]))]
    [[1], [2, 3], [0]]
    """
    order_N = np.argsort(gold_N, kind="stable")
    borders = np.linspace(0, len(gold_N), NUM_PARTS + 1).round().astype(int)[1:-1]
    sorted_N = gold_N[order_N]
    borders = np.unique(np.searchsorted(sorted_N, sorted_N[np.minimum(borders, len(gold_N) - 1)]))
    return [part.astype(np.int64) for part in np.split(order_N, borders) if len(part)]


def as_svg(scatter: Scatter) -> str:
    """One `<svg>` element; both axes span the same values."""
    values = np.concatenate([scatter.gold_N, scatter.predicted_N])
    room = 0.04 * (float(values.max()) - float(values.min())) or 1.0
    low, high = float(values.min()) - room, float(values.max()) + room
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x_of(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (right - LEFT)

    def y_of(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - TOP)

    parts = []
    for tick in linear_ticks(low, high):
        x, y, shown = x_of(tick), y_of(tick), tick_text(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.2f}" y2="{y:.2f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y + 4:.2f}">{shown}</text>')
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.2f}" y="{bottom + 19}">{shown}</text>')
    ends = f'x1="{x_of(low):.2f}" x2="{x_of(high):.2f}" y1="{y_of(low):.2f}" y2="{y_of(high):.2f}"'
    parts.append(f'<line class="reference" stroke-dasharray="3 4" {ends}><title>equal</title></line>')
    order = np.argsort(scatter.gold_N, kind="stable")
    drawn = order[np.linspace(0, len(order) - 1, min(MAX_DOTS, len(order))).astype(int)]
    for gold, predicted in zip(scatter.gold_N[drawn].tolist(), scatter.predicted_N[drawn].tolist(), strict=True):
        tip = f"<title>true {gold:.6g}, predicted {predicted:.6g}</title>"
        parts.append(
            f'<circle class="dot series-1" r="3" cx="{x_of(gold):.2f}" cy="{y_of(predicted):.2f}">{tip}</circle>'
        )
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle, label = (TOP + bottom) / 2, '<text class="label" text-anchor="middle"'
    parts.append(f'{label} x="{(LEFT + right) / 2}" y="{HEIGHT - 8}">true value</text>')
    parts.append(f'{label} x="16" y="{middle}" transform="rotate(-90 16 {middle})">predicted value</text>')
    name, inner = html.escape(f"{scatter.title}: predicted by true value"), "\n".join(parts)
    style = f'style="max-width: {WIDTH}px"'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" {style} role="img" aria-label="{name}">\n{inner}\n</svg>'
