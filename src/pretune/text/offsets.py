"""Spans of a text by character, and whether they are where they are said to be. Imports no torch."""

from typing import NamedTuple


class Answer(NamedTuple):
    """A span of the context. start: its first character; None where the file does not say."""

    text: str
    start: int | None = None


def offset_problem(context: str, answer: Answer) -> str | None:
    """What is wrong with the place of an answer, and where its text stands if that is clear.

    >>> offset_problem("No way!", Answer("way", 4))
    "the answer 'way' is said to stand at 4, where the context has 'ay!'; it stands at 3"
    """
    text, start = answer
    if start is None or (start >= 0 and context.startswith(text, start)):
        return None
    there = "nothing" if not 0 <= start < len(context) else repr(context[start : start + min(len(text), 40)])
    places = places_of(context, text)
    where = f"; it stands at {places[0]}" if len(places) == 1 else "" if places else "; it stands nowhere in it"
    return f"the answer {text!r:.60} is said to stand at {start}, where the context has {there}{where}"


def places_of(context: str, text: str) -> list[int]:
    """Where a text stands in a context, occurrences that overlap included.

    >>> places_of("banana", "ana")
    [1, 3]
    """
    found: list[int] = []
    at = context.find(text)
    while at >= 0:
        found.append(at)
        at = context.find(text, at + 1)
    return found
