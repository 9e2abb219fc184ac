"""CoNLL-U (universaldependencies.org/format.html, version 2) to a row a sentence: words and their tags.

A word a line, in ten fields separated by tabs: ID, FORM, LEMMA, UPOS, XPOS, FEATS, HEAD, DEPREL, DEPS, MISC; an empty
field is written `_`; a blank line ends a sentence; lines that begin with # before its first word are comments.

Words are the syntactic ones, which treebanks tag and their scorers count (IDs 1, 2, 3 ...). Multiword tokens (a range,
`1-2 vámonos`) have no tags of their own and empty nodes (`8.1`) are no words of the text, so both are checked and left
out. A row: {"words", "tags" (UPOS), "xpos", "feats"}, and "id" where a comment says sent_id. Not here: lemmas, trees,
the text as it was written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretune.text.faults import Faults
from pretune.text.lines import read_lines

NUM_FIELDS = 10
FORM, UPOS, XPOS, FEATS = 1, 3, 4, 5
_ID = re.compile(r"(\d+)(?:([-.])(\d+))?")
_SENT_ID = re.compile(r"#\s*sent_id\s*=\s*(\S.*)")


@dataclass
class _Sentence:
    """The lines of a sentence read so far. start: the line it begins at; covered: the last word that a range has."""

    start: int = 0
    name: str | None = None
    words: list[list[str]] = field(default_factory=list)
    num_empty: int = 0
    covered: int = 0
    is_damaged: bool = False

    def row(self) -> dict[str, Any]:
        columns = {"words": FORM, "tags": UPOS, "xpos": XPOS, "feats": FEATS}
        row: dict[str, Any] = {name: [word[place] for word in self.words] for name, place in columns.items()}
        return row if self.name is None else {"id": self.name, **row}

    def add(self, fields: list[str]) -> tuple[str, str] | None:
        """Takes a line; (reason, detail) where it does not fit behind those before."""
        if len(fields) != NUM_FIELDS or not all(fields):
            return "wrong number of cells", f"{sum(map(bool, fields))} filled of the {NUM_FIELDS} of CoNLL-U"
        number = _ID.fullmatch(fields[0])
        if number is None:
            return "word number", f"{fields[0]!r:.20}"
        first, kind, second = number.groups()
        if kind is None:
            return self._add_word(int(first), fields)
        return self._add_range(int(first), int(second)) if kind == "-" else self._add_empty(int(first), int(second))

    def _add_word(self, number: int, fields: list[str]) -> tuple[str, str] | None:
        if number != len(self.words) + 1:
            return "word number", f"{number} where {len(self.words) + 1} is due"
        self.words.append(fields)
        self.num_empty = 0
        return None

    def _add_range(self, first: int, last: int) -> tuple[str, str] | None:
        if first != len(self.words) + 1 or last <= first or first <= self.covered:
            return "word number", f"the range {first}-{last} before word {len(self.words) + 1}"
        self.covered = last
        return None

    def _add_empty(self, word: int, number: int) -> tuple[str, str] | None:
        if (word, number) != (len(self.words), self.num_empty + 1):
            due = f"{len(self.words)}.{self.num_empty + 1}"
            return "word number", f"the empty node {word}.{number} where {due} is due"
        self.num_empty = number
        return None


def read_conllu(path: str | Path, faults: Faults, max_line_bytes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) for each sentence. What does not fit is reported, and its sentence left out."""
    sentence = _Sentence()
    for number, line in read_lines(path, faults, max_line_bytes):
        if line is None:
            sentence.is_damaged = True
        elif not line.strip():
            yield from _finished(path, sentence, faults)
            sentence = _Sentence()
        elif line.startswith("#") and not sentence.words:
            told = _SENT_ID.match(line)
            sentence.name = told[1].strip() if told else sentence.name
        else:
            sentence.start = sentence.start or number
            if not sentence.is_damaged and (problem := sentence.add(line.split("\t"))):
                faults.report(path, number, *problem)
                sentence.is_damaged = True
    yield from _finished(path, sentence, faults)


def _finished(path: str | Path, sentence: _Sentence, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    if sentence.is_damaged or not sentence.start:
        return
    if sentence.covered > len(sentence.words):
        detail = f"a range ends at {sentence.covered}, the sentence at {len(sentence.words)}"
        faults.report(path, sentence.start, "word number", detail)
    elif not sentence.words:
        faults.report(path, sentence.start, "word number", "a sentence without words")
    else:
        yield sentence.start, sentence.row()
