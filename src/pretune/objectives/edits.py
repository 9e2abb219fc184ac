"""Edits: corruptions that change how long a text is, as small rewriters that go one after another.

Deletion, sentence permutation and document rotation are those of Lewis et al. 2020 ("BART", section 2.2); reordering
within a distance that of Lample et al. 2018 (section 2.3). Generators learn to undo them. Infilling and masking are
in `text_infilling.py` and `token_masks.py`.

An edit is called `edit(text, vocab, rng)`, leaves what it is given as it is, and gives a text whose `source_P` still
says where each token came from, so that targets can be made after any number of edits. Texts have no special tokens of
a template; special ids in them ([UNK]) are moved and deleted like others, but never drawn.

Dimensions: P tokens of a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.core.stream import Span
from pretune.core.vocab import Vocab
from pretune.objectives.rewriters import Replacement, draw_ids

INSERTED = -1


@dataclass(frozen=True, eq=False)
class Edited:
    """A text while it is edited. source_P: which token of the original each one is, or stands in the place of; INSERTED
    for new ones. changed_P: whether it is new or another than the original's."""

    ids_P: NDArray[np.int64]
    marks_P: NDArray[np.uint8]
    source_P: NDArray[np.int64]
    changed_P: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids_P)

    def take(self, rows: NDArray[np.int64]) -> "Edited":
        """These tokens in this order."""
        return Edited(self.ids_P[rows], self.marks_P[rows], self.source_P[rows], self.changed_P[rows])

    def with_ids(self, rows: NDArray[np.int64], ids: NDArray[np.int64] | int) -> "Edited":
        """Other ids at some rows."""
        ids_P = self.ids_P.copy()
        ids_P[rows] = ids
        changed_P = self.changed_P | (ids_P != self.ids_P)
        return Edited(ids_P, self.marks_P, self.source_P, changed_P)

    def insert(self, before: NDArray[np.int64], ids: NDArray[np.int64] | int) -> "Edited":
        """New tokens, words of their own, each before a row of the text (its length: at the end)."""
        return Edited(
            np.insert(self.ids_P, before, ids),
            np.insert(self.marks_P, before, WORD_START),
            np.insert(self.source_P, before, INSERTED),
            np.insert(self.changed_P, before, True),
        )


def unedited(span: Span) -> Edited:
    """A span before the first edit."""
    ids_P = np.asarray(span.ids_P, np.int64)
    return Edited(ids_P, np.asarray(span.marks_P, np.uint8), np.arange(len(ids_P)), np.zeros(len(ids_P), np.bool_))


class Edit(Protocol):
    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited: ...


@dataclass(frozen=True)
class InTurn:
    """`in_turn(...)` makes one."""

    edits: tuple[Edit, ...]

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        for edit in self.edits:
            text = edit(text, vocab, rng)
        return text


def in_turn(*edits: Edit) -> InTurn:
    """Edits one after another, as one.

    >>> vocab = Vocab(30, np.arange(30) < 4, mask_id=3)
    >>> text = unedited(Span(np.arange(10, 18), np.full(8, WORD_START, np.uint8)))
    >>> edited = in_turn(Delete(0.25), Insert(0.25))(text, vocab, np.random.default_rng(1))
    >>> edited.ids_P.tolist(), edited.source_P.tolist()  # 10 and 15 are gone, 25 and a second 14 are new
    ([11, 12, 25, 13, 14, 16, 17, 14], [1, 2, -1, 3, 4, 6, 7, -1])
    """
    return InTurn(edits)


@dataclass(frozen=True)
class Substitute:
    """A share of the tokens becomes random tokens, which may happen to be the ones that stood there."""

    rate: float
    replacement: Replacement = "uniform"

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        rows = _some(len(text), self.rate, rng)
        return text.with_ids(rows, draw_ids(vocab, rng.random(len(rows)), self.replacement))


@dataclass(frozen=True)
class Delete:
    """A share of the tokens is left out (BART: "the model must decide which positions are missing inputs")."""

    rate: float

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        return text.take(np.delete(np.arange(len(text)), _some(len(text), self.rate, rng)))


@dataclass(frozen=True)
class Insert:
    """Random tokens, as many as a share of the text's length, each before a random token or at the end."""

    rate: float
    replacement: Replacement = "uniform"

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        before = np.sort(rng.integers(0, len(text) + 1, round(self.rate * len(text))))
        return text.insert(before, draw_ids(vocab, rng.random(len(before)), self.replacement))


@dataclass(frozen=True)
class ShuffleWords:
    """Words move at most `distance` places: they are sorted by their place plus a number from 0 to distance + 1, the
    last not included (Lample et al. 2018, section 2.3). Pieces of a word stay together; marks go with their tokens."""

    distance: int = 3

    def __post_init__(self) -> None:
        if self.distance < 0:
            raise InputError(f"distance is {self.distance}: it must be at least 0")

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        starts = starts_of(text, WORD_START)
        order = np.argsort(np.arange(len(starts)) + rng.random(len(starts)) * (self.distance + 1), kind="stable")
        return _reordered(text, starts, order)


@dataclass(frozen=True)
class ShuffleSentences:
    """Sentences in a random order (BART's sentence permutation)."""

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        starts = starts_of(text, SENTENCE_START)
        return _reordered(text, starts, rng.permutation(len(starts)))


@dataclass(frozen=True)
class Rotate:
    """The text begins at a random token, and what stood before it comes last (BART's document rotation)."""

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        return text.take(np.roll(np.arange(len(text)), -int(rng.integers(0, max(len(text), 1)))))


def _some(num: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """`round(rate * num)` of `num` rows, ascending."""
    return np.sort(rng.permutation(num)[: round(rate * num)])


def starts_of(text: Edited, mark: int) -> NDArray[np.int64]:
    """Where parts begin: the first token, and each one with the mark."""
    return np.unique(np.concatenate([np.zeros(min(len(text), 1), np.int64), np.flatnonzero(text.marks_P & mark)]))


def _reordered(text: Edited, starts: NDArray[np.int64], order: Sequence[int] | NDArray[np.int64]) -> Edited:
    if not len(starts):
        return text
    parts = np.split(np.arange(len(text)), starts[1:])
    return text.take(np.concatenate([parts[index] for index in order]))


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError(f"{name} is {share}: it must be a share from 0 to 1")
