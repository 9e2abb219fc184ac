"""Which rows hold the same text: in one file (duplicates, label noise), and in two (leakage).

Two rows are *the same* when all their texts are equal after white space at the ends and between words is evened out,
and *nearly the same* when they are equal after NFKC, lower case, and leaving out everything but letters and digits
("It's fine!" and "its  fine"). Texts without a letter or digit are never nearly the same. Rows are compared by 16-byte
hashes, so that a row costs a few hundred bytes. Not found: paraphrases, and texts that contain one another.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pretune.text.contents import Contents, contents_of
from pretune.text.records import Record

Key = bytes
_NOT_WORD = re.compile(r"[\W_]+")


def same_form(text: str) -> str:
    """The text with its white space evened out."""
    return " ".join(text.split())


def near_form(text: str) -> str:
    """Letters and digits alone, in lower case.

    >>> near_form("It's  FINE!"), near_form("its fine"), near_form(":-)")
    ('itsfine', 'itsfine', ':-)')
    """
    letters = _NOT_WORD.sub("", unicodedata.normalize("NFKC", text).casefold() if not text.isascii() else text.lower())
    return letters or same_form(text)


def key_of(texts: Iterable[str | None], form: Callable[[str], str]) -> Key:
    return hashlib.blake2b("\0".join(form(text or "") for text in texts).encode(), digest_size=16).digest()


@dataclass
class Fingerprints:
    """The rows of one file as hashes, in order."""

    same: list[Key] = field(default_factory=list)
    near: list[Key] = field(default_factory=list)
    gold: list[Key] = field(default_factory=list)

    def add(self, contents: Contents) -> None:
        self.same.append(key_of(contents.texts, same_form))
        self.near.append(key_of(contents.texts, near_form))
        self.gold.append(key_of(contents.names, str))

    @cached_property
    def first(self) -> dict[Key, int]:
        """Near key -> the first row that has it."""
        return {key: row for row, key in reversed(list(enumerate(self.near)))}


def fingerprints(records: Sequence[Record], contents: Callable[[Record], Contents] = contents_of) -> Fingerprints:
    found = Fingerprints()
    for record in records:
        found.add(contents(record))
    return found


@dataclass(frozen=True)
class Repeats:
    """Rows whose text came before in the same file: pairs (first row, this row)."""

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]
    """Only nearly the same."""
    noisy: list[tuple[int, int]]
    """Exactly the same text, another label than at its first place."""


def repeats(rows: Fingerprints) -> Repeats:
    """Duplicates and label noise of one file.

    >>> rows = [("a b", "x"), ("A b!", "x"), ("a  b", "y"), ("c", "x")]
    >>> repeats(fingerprints([Record({"text": text, "label": label}) for text, label in rows]))
    Repeats(exact=[(0, 2)], near=[(0, 1)], noisy=[(0, 2)])
    """
    first_same: dict[Key, int] = {}
    found = Repeats([], [], [])
    for row, key in enumerate(rows.same):
        before = first_same.setdefault(key, row)
        if before < row:
            found.exact.append((before, row))
            if rows.gold[before] != rows.gold[row]:
                found.noisy.append((before, row))
        elif (like := rows.first[rows.near[row]]) < row:
            found.near.append((like, row))
    return found


@dataclass(frozen=True)
class Leaks:
    """Rows of one file that an earlier file has too: pairs (row there, row here). exact: how many are the same and not
    only nearly so; other_label: how many are labelled differently."""

    pairs: list[tuple[int, int]]
    exact: int
    other_label: int


def leaks(rows: Fingerprints, earlier: Fingerprints) -> Leaks:
    """What `rows` shares with an earlier file."""
    known = set(earlier.same)
    pairs = [(there, row) for row, key in enumerate(rows.near) if (there := earlier.first.get(key)) is not None]
    exact = sum(rows.same[row] in known for _, row in pairs)
    return Leaks(pairs, exact, sum(earlier.gold[there] != rows.gold[row] for there, row in pairs))
