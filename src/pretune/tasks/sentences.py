"""Tagged sentences: their words and tags, where words stand in the text, and how a long sentence is cut in windows."""

import re
from collections.abc import Sequence

from pretune.core.errors import InputError
from pretune.metrics.checks import IntArray
from pretune.text.labels import label_name
from pretune.text.records import Record

Place = tuple[str, int, int]
"""A word and its characters [start, end)."""


def places_of(record: Record) -> list[Place]:
    """The words of a record with their places.

    `words`: a list (places are those in the words joined by single spaces), or one text. Without `words`, the `text` is
    cut at white space. InputError where there is no word at all.

    >>> places_of(Record({"words": ["No", "way", "!"]}))
    [('No', 0, 2), ('way', 3, 6), ('!', 7, 8)]
    >>> places_of(Record({"text": " No  way!"}))
    [('No', 1, 3), ('way!', 5, 9)]
    """
    value = record.get("words", record.get("text"))
    if isinstance(value, str):
        places = [(found.group(), found.start(), found.end()) for found in re.finditer(r"\S+", value)]
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        places, start = [], 0
        for word in value:
            places.append((word, start, start + len(word)))
            start += len(word) + 1
    else:
        raise record.error(
            "no list of words; the record has " + (", ".join(map(repr, record)) or "nothing"),
            'write {"words": [...], "tags": [...]} or CoNLL columns, or name the column: columns.words=NAME',
        )
    if not places:
        raise record.error("the sentence has no words", "leave it out")
    return places


def words_of(record: Record) -> list[str]:
    return [word for word, _, _ in places_of(record)]


def tags_of(record: Record) -> list[str]:
    """The tag of each word, by name; a list, or a text cut at white space. InputError where they do not match."""
    value = record.get("tags")
    if value is None:
        raise record.error("the tags are missing", "fill them in, or name the column: columns.tags=NAME")
    tags = value.split() if isinstance(value, str) else value
    num_words = len(places_of(record))
    if not isinstance(tags, list) or len(tags) != num_words:
        given = len(tags) if isinstance(tags, list) else type(tags).__name__
        raise record.error(f"{num_words} words but {given} tags", "give every word a tag")
    for word, tag in zip(words_of(record), tags, strict=True):
        if isinstance(tag, bool) or not isinstance(tag, str | int) or tag == "":
            raise record.error(f"tag {tag!r} of {word!r} is not a name", "write tags as text")
    return [label_name(tag) for tag in tags]


def windows(first_pieces_W: IntArray, num_pieces: int, room: int) -> list[tuple[int, int, int]]:
    """Cuts a sentence into windows of whole words with at most `room` pieces each: (first word, end word, kept pieces).

    A window holds as many words as fit. A word that alone is longer than `room` is a window whose last pieces are left
    out. first_pieces_W: the number of each word's first piece. Places do not overlap, so every word is in one window.

    >>> import numpy as np
    >>> windows(np.array([0, 1, 3, 4]), 9, room=3)                  # words of 1, 2, 1 and 5 pieces
    [(0, 2, 3), (2, 3, 1), (3, 4, 3)]
    """
    ends = [*first_pieces_W[1:].tolist(), num_pieces]
    found: list[tuple[int, int, int]] = []
    word = 0
    while word < len(ends):
        start, last = int(first_pieces_W[word]), word + 1
        while last < len(ends) and ends[last] - start <= room:
            last += 1
        found.append((word, last, min(ends[last - 1] - start, room)))
        word = last
    return found


def is_span_scheme(labels: Sequence[str]) -> bool:
    """Whether tags are those of spans: O, and B-, I- (E-, S-) before a type, with at least one of these.

    >>> is_span_scheme(["B-PER", "I-PER", "O"]), is_span_scheme(["ADJ", "NOUN"]), is_span_scheme(["O", "X"])
    (True, False, False)
    """
    return any(re.match(r"[BIES]-.", label) for label in labels) and all(
        re.fullmatch(r"O|[BIES]-.+", label) for label in labels
    )


def span_metric_only_for_spans(metric: str, labels: Sequence[str]) -> None:
    """InputError where F1 of spans is asked of tags that mark none."""
    if metric == "f1" and labels and not is_span_scheme(labels):
        raise InputError(f"f1 is of spans, and these tags mark none: {', '.join(labels[:10])}: give metric=accuracy")
