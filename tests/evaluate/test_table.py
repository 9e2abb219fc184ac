"""Tables as text, Markdown and HTML."""

import pytest

from pretune.evaluate.table import Table, as_html, as_markdown, as_text, cell_text, escape_markdown
from pretune.metrics.intervals import Interval

TABLE = Table(
    ("system", "n", "accuracy"),
    (("a|b <i>", 1200, Interval(0.7414, 0.72, 0.76)), ("two\nlines", None, 0.5)),
    title="Scores",
    notes=("5 draws.",),
)


def test_cells() -> None:
    cells = [None, 12345, 0.12345, 0.000321, 0.0, -0.5, 12308.41, True, "x", Interval(0.5, 0.25, 0.75)]
    shown = ["–", "12,345", "0.123", "0.000321", "0.000", "-0.500", "12,308.4", "yes", "x", "0.500 [0.250, 0.750]"]
    assert [cell_text(cell) for cell in cells] == shown


def test_text_is_aligned() -> None:
    lines = as_text(TABLE).split("\n")
    assert lines[0] == "Scores" and lines[-1] == "5 draws."
    assert lines[2:6] == [
        "system     n      accuracy",
        "---------  -----  --------------------",
        "a|b <i>    1,200  0.741 [0.720, 0.760]",
        "two lines  –      0.500",
    ]


def test_wide_characters_keep_the_columns() -> None:
    lines = as_text(Table(("a", "b"), (("日本", 1), ("é" + "e\u0301", 2)))).split("\n")
    assert lines[2] == "日本  1" and lines[3] == "ée\u0301    2"


def test_markdown_escapes() -> None:
    text = as_markdown(TABLE)
    assert "| a\\|b &lt;i> | 1,200 | 0.741 \\[0.720, 0.760] |" in text
    assert "| two lines | – | 0.500 |" in text
    assert text.startswith("**Scores**\n\n| system | n | accuracy |\n|---|---|---|\n")
    assert escape_markdown("`a` *b* _c_ \\d") == "\\`a\\` \\*b\\* \\_c\\_ \\\\d"


def test_html_escapes_and_marks_numbers() -> None:
    page = as_html(TABLE)
    assert "<td>a|b &lt;i&gt;</td>" in page and "<i>" not in page
    assert '<td class="number">0.741 <span class="interval">[0.720, 0.760]</span></td>' in page


def test_rows_must_fit() -> None:
    with pytest.raises(ValueError, match="row 0 has 1 cells but the table 2"):
        Table(("a", "b"), (("x",),))
