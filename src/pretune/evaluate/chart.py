"""Line charts as SVG: several series, horizontal reference lines, axes with round ticks, a legend.

Colours come from the page's style (`--series-1` ...), so that one drawing fits light and dark. Every series also has
its own dash, and every value is in a tooltip and in the table of numbers below the chart. A value that is not finite
(a run that diverged) breaks the line. A series may have a band, for its intervals.
"""

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pretune.core.errors import InputError
from pretune.evaluate.table import Cell, Table
from pretune.evaluate.ticks import linear_ticks, log_ticks, tick_text
from pretune.metrics.intervals import Interval

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 84, 32, 14, 48
NUM_COLOURS = 6
DASHES = ("", "5 2", "8 3 2 3", "2 2")
REFERENCE_DASHES = ("3 4", "10 4", "10 4 2 4")
MAX_MARKERS = 60
LEGEND_ROW = 20


@dataclass(frozen=True)
class Series:
    """A name and points (x, y), in the order in which they are joined; no x twice. band: (x, low, high), drawn as a
    lighter area behind the line."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        if len({x for x, _ in self.points}) < len(self.points):
            raise ValueError(f"series {self.name!r} has two values at one x")


@dataclass(frozen=True)
class Reference:
    """A horizontal line at `y`: a baseline, a bound."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """InputError where no series has a finite point, or a logarithmic axis meets x that are not positive."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    references: tuple[Reference, ...] = ()
    x_scale: Literal["linear", "log"] = "linear"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(True for _ in self.finite_points()):
            raise InputError(f"chart {self.title!r} has no finite point to draw")
        if not all(math.isfinite(line.y) for line in self.references):
            raise InputError(f"chart {self.title!r}: a reference line's value is not finite")
        if self.x_scale == "log" and min(x for x, _ in self.finite_points()) <= 0:
            raise InputError(f"chart {self.title!r}: a logarithmic axis needs positive x")

    def finite_points(self) -> Iterator[tuple[float, float]]:
        for one in self.series:
            yield from (point for point in one.points if math.isfinite(point[0]) and math.isfinite(point[1]))

    def numbers(self) -> Table:
        """All points as a table: a row an x, a column a series."""
        columns: list[dict[float, Cell]] = [dict(one.points) for one in self.series]
        places = sorted({x for one in self.series for x, _ in one.points})
        for column, one in zip(columns, self.series, strict=True):
            for x, low, high in one.band:
                if isinstance(value := column.get(x), float):
                    column[x] = Interval(value, low, high)
        rows = tuple((tick_text(x), *(column.get(x) for column in columns)) for x in places)
        return Table((self.x_label, *(one.name for one in self.series)), rows)


@dataclass(frozen=True)
class Frame:
    """Where the axes lie in the drawing, and what they span."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    top: float
    log: bool

    def x(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.x_low, self.x_high, value))
        return LEFT + (at - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_low) / (self.y_high - self.y_low) * (self.bottom - self.top)

    @property
    def bottom(self) -> float:
        return HEIGHT - BOTTOM


def as_svg(chart: Chart) -> str:
    """The chart as one `<svg>` element to stand inside a page, as wide as its place there."""
    legend, rows = _legend(chart)
    frame = _frame(chart, TOP + rows * LEGEND_ROW)
    parts = [*legend, *_axes(chart, frame), *(_band(one, n, frame) for n, one in enumerate(chart.series) if one.band)]
    for number, one in enumerate(chart.series):
        parts += _line(one, number, frame)
    for number, line in enumerate(chart.references):
        y = frame.y(line.y)
        dash = REFERENCE_DASHES[number % len(REFERENCE_DASHES)]
        parts.append(
            f'<line class="reference" stroke-dasharray="{dash}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.2f}" '
            f'y2="{y:.2f}"><title>{html.escape(line.name)}: {line.y!r}</title></line>'
        )
    label = html.escape(f"{chart.title}: {chart.y_label} by {chart.x_label}")
    inner = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">\n{inner}\n</svg>'


def _frame(chart: Chart, top: float) -> Frame:
    points = list(chart.finite_points())
    log = chart.x_scale == "log"
    x_low, x_high = _span([x for x, _ in points], 0.0)
    if log and x_low <= 0:
        x_low = x_high / 10
    ends = [end for one in chart.series for _, *band in one.band for end in band]
    y_low, y_high = _span([y for _, y in points] + ends + [line.y for line in chart.references], 0.05)
    return Frame(x_low, x_high, y_low, y_high, top, log)


def _span(values: list[float], margin: float) -> tuple[float, float]:
    """Lowest and highest value with a margin; values that are all but equal get room around them."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    room = (high - low) * margin
    return low - room, high + room


def _axes(chart: Chart, frame: Frame) -> Iterator[str]:
    right, middle = WIDTH - RIGHT, (frame.top + frame.bottom) / 2
    for tick in linear_ticks(frame.y_low, frame.y_high):
        y = frame.y(tick)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.2f}" y2="{y:.2f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y + 4:.2f}">{tick_text(tick)}</text>'
    for tick in (log_ticks if frame.log else linear_ticks)(frame.x_low, frame.x_high):
        x = frame.x(tick)
        yield f'<line class="axis" x1="{x:.2f}" x2="{x:.2f}" y1="{frame.bottom}" y2="{frame.bottom + 5}"/>'
        yield f'<text class="tick" text-anchor="middle" x="{x:.2f}" y="{frame.bottom + 19}">{tick_text(tick)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{frame.bottom}" y2="{frame.bottom}"/>'
    label = '<text class="label" text-anchor="middle"'
    yield f'{label} x="{(LEFT + right) / 2}" y="{HEIGHT - 8}">{html.escape(chart.x_label)}</text>'
    yield f'{label} x="16" y="{middle}" transform="rotate(-90 16 {middle})">{html.escape(chart.y_label)}</text>'


def _line(one: Series, number: int, frame: Frame) -> Iterator[str]:
    colour = f"series-{number % NUM_COLOURS + 1}"
    dash = DASHES[number % len(DASHES)]
    for run in _finite_runs(one):
        places = " ".join(f"{frame.x(x):.2f},{frame.y(y):.2f}" for x, y in run)
        yield f'<polyline class="series {colour}" stroke-dasharray="{dash}" points="{places}"/>'
        if len(one.points) <= MAX_MARKERS or len(run) == 1:
            for x, y in run:
                tip = f"<title>{html.escape(one.name)}: {y!r} at {x!r}</title>"
                yield f'<circle class="{colour}" r="2.6" cx="{frame.x(x):.2f}" cy="{frame.y(y):.2f}">{tip}</circle>'


def _band(one: Series, number: int, frame: Frame) -> str:
    """The area between the lower and the upper ends."""
    upper = [(x, high) for x, _, high in one.band]
    lower = [(x, low) for x, low, _ in reversed(one.band)]
    places = " ".join(f"{frame.x(x):.2f},{frame.y(y):.2f}" for x, y in [*upper, *lower])
    return f'<polygon class="band series-{number % NUM_COLOURS + 1}" points="{places}"/>'


def _finite_runs(one: Series) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in one.points:
        if math.isfinite(x) and math.isfinite(y):
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _legend(chart: Chart) -> tuple[list[str], int]:
    """The legend's elements and the number of its rows; names are set one after another as wide as they need."""
    entries = [
        (one.name, f"series series-{n % NUM_COLOURS + 1}", DASHES[n % len(DASHES)])
        for n, one in enumerate(chart.series)
    ]
    entries += [
        (f"{line.name} ({line.y:.4g})", "reference", REFERENCE_DASHES[n % len(REFERENCE_DASHES)])
        for n, line in enumerate(chart.references)
    ]
    parts, x, row = [], float(LEFT), 0
    for name, kind, dash in entries:
        width = 36 + 7.2 * len(name)
        if x > LEFT and x + width > WIDTH - RIGHT:
            x, row = float(LEFT), row + 1
        y = TOP + row * LEGEND_ROW - 2
        parts.append(
            f'<line class="{kind}" stroke-dasharray="{dash}" x1="{x:.1f}" x2="{x + 24:.1f}" y1="{y}" y2="{y}"/>'
        )
        parts.append(f'<text class="legend" x="{x + 30:.1f}" y="{y + 4}">{html.escape(name)}</text>')
        x += width
    return parts, row + 1
