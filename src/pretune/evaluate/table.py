"""One table type, rendered as plain text for the terminal, as Markdown and as HTML.

>>> from pretune.metrics.intervals import Interval
>>> table = Table(("system", "accuracy"), (("most frequent tag", 0.5), ("network", Interval(0.8, 0.75, 0.84))))
>>> print(as_text(table))
system             accuracy
-----------------  --------------------
most frequent tag  0.500
network            0.800 [0.750, 0.840]
"""

import html
import unicodedata
from dataclasses import dataclass

from pretune.metrics.intervals import Interval

Cell = str | int | float | Interval | None
"""Shown as: text; 12,345; 0.123; 1,234.5; 0.123 [0.100, 0.146]; a dash for None."""


@dataclass(frozen=True)
class Table:
    """Rows of cells, each as long as `columns`. notes: sentences below (how many draws, what was left out)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells but the table {len(self.columns)} columns")


def cell_text(cell: Cell) -> str:
    """What a cell shows: three decimals, one from 100 on, three significant digits below 0.01."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:.3g}" if 0 < abs(cell) < 0.01 else f"{cell:,.1f}" if abs(cell) >= 100 else f"{cell:.3f}"
    return str(cell)


def as_text(table: Table) -> str:
    """Columns side by side, two spaces between them; title above, notes below. Line breaks in cells become spaces."""
    grid = [list(table.columns)] + [[" ".join(cell_text(cell).split()) for cell in row] for row in table.rows]
    widths = [max(_width(row[column]) for row in grid) for column in range(len(table.columns))]
    lines = ["  ".join(_pad(text, width) for text, width in zip(row, widths, strict=True)).rstrip() for row in grid]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*([table.title, ""] if table.title else []), *lines, *table.notes])


def _width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def as_markdown(table: Table) -> str:
    """A pipe table; the title in bold above, notes below. Characters that mean something in Markdown are escaped."""
    grid = [list(table.columns), *([cell_text(cell) for cell in row] for row in table.rows)]
    lines = ["| " + " | ".join(escape_markdown(text) for text in row) + " |" for row in grid]
    lines.insert(1, "|" + "---|" * len(table.columns))
    title = [f"**{escape_markdown(table.title)}**", ""] if table.title else []
    notes = [part for note in table.notes for part in ("", escape_markdown(note))]
    return "\n".join([*title, *lines, *notes])


def escape_markdown(text: str) -> str:
    """The text on one line, with nothing that Markdown or HTML would read as a mark.

    >>> print(escape_markdown("a|b <i> [MASK]"))
    a\\|b &lt;i> \\[MASK]
    """
    text = " ".join(text.split())
    for mark in "\\`*_[|":
        text = text.replace(mark, "\\" + mark)
    return text.replace("&", "&amp;").replace("<", "&lt;")


def as_html(table: Table) -> str:
    """A `<table>` with the title as caption; number cells carry the class `number`; notes follow as paragraphs."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in table.columns)
    body = "\n".join("<tr>" + "".join(_html_cell(cell) for cell in row) + "</tr>" for row in table.rows)
    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in table.notes)
    frame = f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll">{frame}</div>{notes}'


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Interval):
        low_high = f"[{cell.low:.3f}, {cell.high:.3f}]"
        return f'<td class="number">{cell.estimate:.3f} <span class="interval">{low_high}</span></td>'
    kind = ' class="number"' if isinstance(cell, int | float) else ""
    return f"<td{kind}>{html.escape(cell_text(cell))}</td>"
