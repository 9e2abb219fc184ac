"""Fill-in-the-blank examples: what a masked language model puts into a blank before and after training."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from pretune.evaluate.table import Table

Guesses = tuple[tuple[str, float], ...]
"""(token, probability), best first."""


@dataclass(frozen=True)
class Blank:
    """left and right: the text around the blank. original: what stood there, None if unknown."""

    left: str
    right: str
    before: Guesses
    after: Guesses
    original: str | None = None


@dataclass(frozen=True)
class Blanks:
    title: str
    blanks: tuple[Blank, ...]
    notes: tuple[str, ...] = ()


def guesses(filled: Sequence[dict[str, object]]) -> Guesses:
    """What `Pretrained.fill` gives for one blank, as guesses."""
    return tuple((str(one["token"]), float(str(one["score"]))) for one in filled)


def as_table(blanks: Blanks) -> Table:
    """For the terminal and Markdown: a row a blank."""
    rows = tuple(
        (f"{b.left} ____ {b.right}".strip(), b.original, _listed(b.before), _listed(b.after)) for b in blanks.blanks
    )
    return Table(("text", "original", "before", "after"), rows, blanks.title, blanks.notes)


def _listed(found: Guesses) -> str:
    return ", ".join(f"{token} {score:.2f}" for token, score in found)


def as_html(blanks: Blanks) -> str:
    """Each blank with two lists of guesses and a bar as long as each probability; the original word is marked."""
    return "\n".join(
        [_blank(one) for one in blanks.blanks] + [f'<p class="note">{html.escape(n)}</p>' for n in blanks.notes]
    )


def _blank(blank: Blank) -> str:
    shown = f"<mark>{html.escape(blank.original) if blank.original else '____'}</mark>"
    text = f"{html.escape(blank.left)} {shown} {html.escape(blank.right)}"
    columns = "".join(
        f"<div><h4>{name}</h4>{_bars(found, blank.original)}</div>"
        for name, found in (("before", blank.before), ("after", blank.after))
    )
    return f'<figure class="blank"><p>{text}</p><div class="sides">{columns}</div></figure>'


def _bars(found: Guesses, original: str | None) -> str:
    rows = []
    for token, score in found:
        kind = ' class="hit"' if original is not None and token.lower() == original.lower() else ""
        bar = f'<span class="bar" style="width:{100 * min(max(score, 0.0), 1.0):.1f}%"></span>'
        rows.append(f"<li{kind}><code>{html.escape(token)}</code><span>{score:.3f}</span><i>{bar}</i></li>")
    return f'<ol class="guesses">{"".join(rows)}</ol>'
