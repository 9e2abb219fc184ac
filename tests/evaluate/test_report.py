"""The page parses, needs nothing from outside, escapes what it shows and shows the numbers it was given."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from pretune.evaluate.blanks import Blank, Blanks, as_table, guesses
from pretune.evaluate.chart import Chart, Reference, Series
from pretune.evaluate.report import Code, Report, Text, as_html, write_report
from pretune.evaluate.table import Table
from pretune.metrics.intervals import Interval

EVIL = '<script>alert("x")</script> & $title ${body}'
VOID = {"meta", "br", "link", "img"}


def page() -> str:
    line = Series(EVIL, ((0.0, 6.5), (10.0, 4.25)))
    return as_html(
        Report(
            EVIL,
            (
                Text(EVIL, (EVIL,)),
                Text("warned", ("not beaten",), warning=True),
                Chart(EVIL, EVIL, EVIL, (line,), (Reference(EVIL, 6.4375),), notes=(EVIL,)),
                Table((EVIL, "score"), ((EVIL, Interval(0.741, 0.72, 0.763)), ("n", 12345)), EVIL, (EVIL,)),
                Blanks(EVIL, (Blank(EVIL, EVIL, ((EVIL, 0.5),), (("handle", 0.875),), "Handle"),), (EVIL,)),
                Code("Command", EVIL),
            ),
            subtitle=EVIL,
            figures={EVIL: 1234, "loss": 4.25},
        )
    )


class Strict(HTMLParser):
    """Collects text and attributes, and fails on tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed() -> Strict:
    parser = Strict()
    parser.feed(page())
    parser.close()
    return parser


def test_tags_close_in_order() -> None:
    assert parsed().open == []


def test_nothing_comes_from_outside() -> None:
    names = {name for _, name, _ in parsed().attributes}
    assert not names & {"src", "href", "srcset", "data", "action", "onclick", "onload"}
    text = page()
    assert not re.search(r"https?:|url\(|@import|<link|<script|<iframe|<object", text)


def test_all_texts_are_escaped_and_come_back_whole() -> None:
    texts = parsed().texts
    assert sum(EVIL in text for text in texts) >= 12
    assert "<script" not in page()
    assert all(EVIL not in (value or "") or name == "aria-label" for _, name, value in parsed().attributes)


def test_the_drawing_is_valid_xml() -> None:
    (svg,) = re.findall(r"<svg.*?</svg>", page(), re.S)
    ElementTree.fromstring(svg)


def test_numbers_are_those_given() -> None:
    text = page()
    for shown in ("0.741 <span", "[0.720, 0.763]", "12,345", "<dd>1,234</dd>", "<dd>4.250</dd>", "0.875", "0.500"):
        assert shown in text
    assert ": 4.25 at 10.0</title>" in text and ": 6.4375</title>" in text


def test_the_right_guess_is_marked_whatever_its_case() -> None:
    assert re.findall(r'<li class="hit"><code>(.*?)</code>', page()) == ["handle"]


def test_light_and_dark_define_the_same_colours() -> None:
    light, dark = (set(re.findall(r"--[\w-]+(?=:)", block)) for block in re.findall(r":root \{(.*?)\}", page(), re.S))
    assert light == dark
    assert set(re.findall(r"var\((--[\w-]+)\)", page())) <= light


def test_blanks_as_a_table() -> None:
    filled = guesses([{"token": "door", "score": 0.25, "sequence": "the door"}])
    table = as_table(Blanks("b", (Blank("the", ".", (), filled, "door"), Blank("", "x", (), ()))))
    assert table.rows == (("the ____ .", "door", "", "door 0.25"), ("____ x", None, "", ""))


def test_it_is_written_where_asked(tmp_path: Path) -> None:
    report = Report("t", (Text("", ("é",)),))
    assert write_report(report, tmp_path / "report.html").read_text("utf-8") == as_html(report)
