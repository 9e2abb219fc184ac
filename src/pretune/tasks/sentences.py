"""Tagged sentences: their words and tags, where words stand in the text, and how a long sentence is cut in windows."""

import re

from pretune.metrics.checks import IntArray
from pretune.text.labels import label_name
from pretune.text.records import Record

Place = tuple[str, int, int]
"""A word and its characters [start, end)."""


def places_of(record: Record) -> list[Place]:
    """The words of a record with their places.

    `words`: a list (places are those in the words joined by single spaces), or one text, cut at white space. Without
    `words`, the `text` is cut at white space where it has `tags`, a tag a word, else as `cut_text` does.
    InputError where there is no word at all.

    >>> places_of(Record({"words": ["No", "way", "!"]}))
    [('No', 0, 2), ('way', 3, 6), ('!', 7, 8)]
    >>> places_of(Record({"text": " No  way!"}))
    [('No', 1, 3), ('way', 5, 8), ('!', 8, 9)]
    >>> places_of(Record({"text": " No  way!", "tags": "X Y"}))
    [('No', 1, 3), ('way!', 5, 9)]
    """
    value = record.get("words", record.get("text"))
    if isinstance(value, str) and "words" not in record and "tags" not in record:
        places = cut_text(value)
    elif isinstance(value, str):
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


def text_of_words(record: Record) -> str:
    """The text that `places_of` counts characters in."""
    value = record.get("words", record.get("text"))
    return value if isinstance(value, str) else " ".join(value or ())


_EDGES = re.compile(r"""([\[({<"'«“‘„¿¡]*)(.*?)([\])}>"'»”’.,;:!?…]*)$""", re.DOTALL)
_CLITIC = re.compile(r"(?<=\w)(n['’]t|['’](?:s|re|ve|ll|d|m))$", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(?:[^\W\d]\.)*[^\W\d]")


def cut_text(text: str) -> list[Place]:
    """Words of a text as treebanks and CoNLL's files cut them, roughly: at white space, then brackets, quotes and
    punctuation at the edges, each mark by itself, and English clitics. What has no letter or digit stays whole.

    >>> [word for word, _, _ in cut_text("(John's U.S. visit didn't cost $3.50!) -- ok...")]
    ['(', 'John', "'s", 'U.S.', 'visit', 'did', "n't", 'cost', '$3.50', '!', ')', '--', 'ok', '...']
    """
    found: list[Place] = []
    for chunk in re.finditer(r"\S+", text):
        start = chunk.start()
        for part in _parts(chunk.group()):
            found.append((part, start, start + len(part)))
            start += len(part)
    return found


def _parts(chunk: str) -> list[str]:
    if not any(map(str.isalnum, chunk)):
        return [chunk]
    edges = _EDGES.match(chunk)
    assert edges is not None
    before, core, after = edges.groups()
    if after.startswith(".") and _ABBREVIATION.fullmatch(core):
        core, after = core + ".", after[1:]
    clitic = _CLITIC.search(core)
    words = [core] if clitic is None else [core[: clitic.start()], clitic.group()]
    return [*before, *words, *re.findall(r"\.{2,}|.", after)]
