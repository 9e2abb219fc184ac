"""A confusion matrix as a picture: rows are gold labels, columns predicted ones, the shade is the share of the row.

Colours come from the page's style, so that one drawing fits light and dark; every cell has its count, and a tooltip.
"""

import html
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pretune.evaluate.table import Cell, Table

MAX_CLASSES = 15
CELL, LEFT, TOP = 46, 150, 96
MAX_NAME = 18
DARKEST = 0.5
"""The shade of a whole row: text stays legible on it, in light and in dark."""
REST = "others"


@dataclass(frozen=True)
class Matrix:
    """counts[gold][predicted], in the order of `labels`. has_rest: the last one is the rest, so that its own cell holds
    right and wrong predictions and has no shade. notes: sentences below."""

    title: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()
    has_rest: bool = False

    def numbers(self) -> Table:
        """All counts as a table."""
        rows: list[tuple[Cell, ...]] = [(name, *row) for name, row in zip(self.labels, self.counts, strict=True)]
        return Table(("gold \\ predicted", *self.labels), tuple(rows))


def matrix_of(pairs: Iterable[tuple[str, str]], title: str = "Confusion matrix") -> Matrix:
    """From pairs (gold, predicted). The `MAX_CLASSES` most frequent gold labels are shown, the rest as one.

    >>> matrix_of([("cat", "cat"), ("cat", "dog"), ("dog", "dog")]).counts
    ((1, 1), (0, 1))
    """
    counted = Counter(pairs)
    frequent: Counter[str] = Counter()
    for (gold, predicted), number in counted.items():
        frequent[gold] += number
        frequent[predicted] += 0
    ordered = sorted(frequent, key=lambda name: (-frequent[name], name))
    labels, notes = sorted(ordered), ["Rows: the true label; columns: what the network said; shade: share of the row."]
    if len(ordered) > MAX_CLASSES:
        labels = [*ordered[: MAX_CLASSES - 1], REST]
        rest = len(ordered) - MAX_CLASSES + 1
        notes.append(f"The {MAX_CLASSES - 1} most frequent labels; the other {rest:,} are together as {REST!r}.")
        notes.append(f"What is both in the row and the column {REST!r} may be right or wrong.")
    index = {name: place for place, name in enumerate(labels)}
    rows = [[0] * len(labels) for _ in labels]
    for (gold, predicted), number in counted.items():
        rows[index.get(gold, len(labels) - 1)][index.get(predicted, len(labels) - 1)] += number
    return Matrix(title, tuple(labels), tuple(map(tuple, rows)), tuple(notes), len(ordered) > MAX_CLASSES)


def as_svg(matrix: Matrix) -> str:
    """One `<svg>` element, as wide as its cells need."""
    size = len(matrix.labels)
    width, height = LEFT + size * CELL + 60, TOP + size * CELL + 8
    parts = []
    for place, name in enumerate(matrix.labels):
        shown, middle = html.escape(_short(name)), place * CELL + CELL / 2
        parts.append(f'<text text-anchor="end" x="{LEFT - 10}" y="{TOP + middle + 4}">{shown}</text>')
        x, y = LEFT + middle, TOP - 10
        parts.append(f'<text x="{x + 4}" y="{y}" transform="rotate(-40 {x} {y})">{shown}</text>')
    for row, counts in enumerate(matrix.counts):
        for column, number in enumerate(counts):
            parts.append(_cell(matrix, row, column, number, sum(counts)))
    label, inner = html.escape(matrix.title), "\n".join(parts)
    style = f'style="max-width: {width}px; min-width: {min(width, 544)}px"'
    return f'<svg viewBox="0 0 {width} {height}" {style} role="img" aria-label="{label}">\n{inner}\n</svg>'


def _cell(matrix: Matrix, row: int, column: int, number: int, total: int) -> str:
    x, y, share = LEFT + column * CELL, TOP + row * CELL, number / max(total, 1)
    gold, said = html.escape(matrix.labels[row]), html.escape(matrix.labels[column])
    is_rest = matrix.has_rest and row == column == len(matrix.labels) - 1
    colour = "cell" if is_rest else "right" if row == column else "wrong"
    tip = f"<title>{gold} as {said}: {number:,} of {total:,}</title>"
    box = f'<rect class="cell" x="{x}" y="{y}" width="{CELL}" height="{CELL}"/>'
    shade = (
        f'<rect class="{colour}" fill-opacity="{share * DARKEST:.3f}" x="{x}" y="{y}" width="{CELL}" height="{CELL}"/>'
    )
    text = f'<text text-anchor="middle" x="{x + CELL / 2}" y="{y + CELL / 2 + 4}">{_count(number)}</text>'
    return f"<g>{tip}{box}{shade}{text if number else ''}</g>"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10_000 else f"{number / 1000:.0f}k"


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
