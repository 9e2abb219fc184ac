"""Slices as a picture: a row each, a dot for the score and a line for its interval, the score of all as reference."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pretune.evaluate.slices import Slice
from pretune.evaluate.table import Cell, Table
from pretune.evaluate.ticks import linear_ticks, tick_text

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 250, 32, 22, 10
MAX_NAME = 30
Place = Callable[[float], float]
"""A value to its x."""


@dataclass(frozen=True)
class Forest:
    """metric: what the scores are. overall: where the dashed line stands; reference: what that is."""

    title: str
    metric: str
    slices: tuple[Slice, ...]
    overall: float
    notes: tuple[str, ...] = ()
    reference: str = "of all"

    def numbers(self) -> Table:
        """The slices as a table."""
        rows: list[tuple[Cell, ...]] = [(one.group, one.name, one.num_records, one.score) for one in self.slices]
        return Table(("by", "slice", "n", self.metric), tuple(rows))


def as_svg(forest: Forest) -> str:
    """One `<svg>` element."""
    scores = [one.score for one in forest.slices if one.score is not None]
    low = min([forest.overall, *(score.low for score in scores)])
    high = max([forest.overall, *(score.high for score in scores)])
    room = 0.05 * (high - low) or 0.05
    low, high = low - room, high + room

    def x_of(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts, y = [], float(TOP)
    for number, one in enumerate(forest.slices):
        if number == 0 or forest.slices[number - 1].group != one.group:
            parts.append(f'<text class="tick" x="0" y="{y + 15}">{html.escape(one.group)}</text>')
            y += ROW
        parts += _row(one, y + ROW / 2, x_of)
        y += ROW
    bottom = y + 4
    parts += _axis(forest, bottom, low, high, x_of)
    label, inner = html.escape(f"{forest.title}: {forest.metric}"), "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {bottom + 44}" role="img" aria-label="{label}">\n{inner}\n</svg>'


def _row(one: Slice, y: float, x_of: Place) -> list[str]:
    name = one.name if len(one.name) <= MAX_NAME else one.name[: MAX_NAME - 1] + "…"
    shown = f"{html.escape(name)} ({one.num_records:,})"
    parts = [f'<text text-anchor="end" x="{LEFT - 12}" y="{y + 4}">{shown}</text>']
    if one.score is None:
        parts.append(f'<text class="tick" x="{LEFT + 4}" y="{y + 4}">too few</text>')
        return parts
    ends = f'x1="{x_of(one.score.low):.2f}" x2="{x_of(one.score.high):.2f}"'
    tip = f"<title>{html.escape(one.name)}: {one.score}, n = {one.num_records:,}</title>"
    parts.append(f'<line class="series series-1" {ends} y1="{y}" y2="{y}"/>')
    parts.append(f'<circle class="series-1" r="4" cx="{x_of(one.score.estimate):.2f}" cy="{y}">{tip}</circle>')
    return parts


def _axis(forest: Forest, bottom: float, low: float, high: float, x_of: Place) -> Sequence[str]:
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>']
    for tick in linear_ticks(low, high):
        x = x_of(tick)
        parts.append(f'<line class="axis" x1="{x:.2f}" x2="{x:.2f}" y1="{bottom}" y2="{bottom + 5}"/>')
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.2f}" y="{bottom + 19}">{tick_text(tick)}</text>')
    x = x_of(forest.overall)
    tip = f"<title>{html.escape(forest.reference)}: {forest.overall:.3f}</title>"
    dash = 'stroke-dasharray="3 4"'
    parts.append(f'<line class="reference" {dash} x1="{x:.2f}" x2="{x:.2f}" y1="{TOP}" y2="{bottom}">{tip}</line>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    label = html.escape(f"{forest.metric}; dashed: {forest.reference}, {forest.overall:.3f}")
    parts.append(f'<text class="label" text-anchor="middle" x="{middle}" y="{bottom + 38}">{label}</text>')
    return parts
