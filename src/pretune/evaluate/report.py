"""report.html: one page that needs nothing beside it, neither files nor network, in light and in dark.

All text is escaped; the page has no script.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from pretune.evaluate import blanks, chart, forest, matrix, scatter, table
from pretune.evaluate.blanks import Blanks
from pretune.evaluate.chart import Chart
from pretune.evaluate.forest import Forest
from pretune.evaluate.matrix import Matrix
from pretune.evaluate.scatter import Scatter
from pretune.evaluate.table import Cell, Table


@dataclass(frozen=True)
class Text:
    """Paragraphs under a heading. `warning` sets them off: a baseline that is not beaten, a run cut short."""

    title: str
    paragraphs: tuple[str, ...]
    warning: bool = False


@dataclass(frozen=True)
class Code:
    """Text shown as it is: the command, the settings as YAML."""

    title: str
    text: str


Section = Text | Code | Table | Chart | Blanks | Matrix | Forest | Scatter


@dataclass(frozen=True)
class Report:
    """A page: title, a line below it, key figures {name: value}, and sections in order."""

    title: str
    sections: tuple[Section, ...]
    subtitle: str = ""
    figures: Mapping[str, Cell] | None = None


def as_html(report: Report) -> str:
    """The whole page as text."""
    frame = Template(resources.files("pretune.evaluate").joinpath("page.html").read_text("utf-8"))
    subtitle = f'<p class="subtitle">{html.escape(report.subtitle)}</p>' if report.subtitle else ""
    body = "\n".join([_figures(report.figures or {}), *(_section(section) for section in report.sections)])
    return frame.substitute(title=html.escape(report.title), subtitle=subtitle, body=body)


def write_report(report: Report, path: str | Path) -> Path:
    """Writes the page and gives its path."""
    path = Path(path)
    path.write_text(as_html(report), "utf-8")
    return path


def _figures(figures: Mapping[str, Cell]) -> str:
    shown = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(table.cell_text(value))}</dd></div>"
        for name, value in figures.items()
    )
    return f'<dl class="figures">{shown}</dl>' if shown else ""


def _section(section: Section) -> str:
    match section:
        case Text():
            inner = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs)
            inner = f'<div class="warning">{inner}</div>' if section.warning else inner
        case Code():
            inner = f"<pre><code>{html.escape(section.text)}</code></pre>"
        case Table():
            inner = table.as_html(Table(section.columns, section.rows, "", section.notes))
        case Chart():
            inner = _figure(chart.as_svg(section), section)
        case Matrix():
            inner = _figure(matrix.as_svg(section), section)
        case Forest():
            inner = _figure(forest.as_svg(section), section)
        case Scatter():
            inner = _figure(scatter.as_svg(section), section)
        case Blanks():
            inner = blanks.as_html(section)
    heading = f"<h2>{html.escape(section.title)}</h2>" if section.title else ""
    return f"<section>{heading}\n{inner}\n</section>"


def _figure(drawing: str, section: Chart | Matrix | Forest | Scatter) -> str:
    """A drawing, its notes, and its numbers to be opened."""
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in section.notes)
    numbers = f"<details><summary>Numbers</summary>{table.as_html(section.numbers())}</details>"
    return f'<figure class="scroll">{drawing}</figure>' + notes + numbers
