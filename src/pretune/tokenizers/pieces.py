"""Pieces: the ids of one text, with what objectives and tasks must know of each piece; Columns: of many texts.

Dimensions: P pieces of a text, N texts, T their pieces end to end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pretune.core.stream import Span


@dataclass(frozen=True, eq=False)
class Pieces:
    """A text as P pieces, without special tokens of a template.

    ids_P: int32. marks_P: uint8, `core.marks.WORD_START` on the first piece of each word, else 0.
    offsets_P2: int32, [start, end) in characters of the text (of the word itself after `encode_words`), without the
    space that some kinds keep in front of a word; empty where a piece stands for nothing visible.
    words_P: int32, number of the word a piece belongs to, from 0, never falling.
    """

    ids_P: NDArray[np.int32]
    marks_P: NDArray[np.uint8]
    offsets_P2: NDArray[np.int32]
    words_P: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids_P)

    def span(self, start: int = 0, end: int | None = None) -> "Span":
        """Pieces [start, end) as a `core.stream.Span`; that file imports torch, so it is imported here."""
        from pretune.core.stream import Span

        return Span(self.ids_P[start:end], self.marks_P[start:end])


@dataclass(frozen=True, eq=False)
class Columns:
    """N texts as T pieces end to end: what a corpus keeps of them.

    ids_T: int32. starts_T: whether a word starts with the piece. ends_T: int32, where it ends in its text, in
    characters. lengths_N: int64, pieces of each text.
    """

    ids_T: NDArray[np.int32]
    starts_T: NDArray[np.bool_]
    ends_T: NDArray[np.int32]
    lengths_N: NDArray[np.int64]

    def without_first_letter(self, of_N: NDArray[np.bool_]) -> "Columns":
        """Leaves out the first word of the texts of_N, which is one character there."""
        texts_T = np.repeat(np.arange(len(of_N)), self.lengths_N)
        of_T = of_N[texts_T]
        words_T = np.cumsum(self.starts_T)
        before_N = np.concatenate([[0], words_T])[np.cumsum(self.lengths_N) - self.lengths_N]
        kept_T = ~of_T | (words_T - before_N[texts_T] > 1)
        ends_T = self.ends_T - of_T.astype(np.int32)
        lengths_N = np.bincount(texts_T[kept_T], minlength=len(of_N)).astype(np.int64)
        return Columns(self.ids_T[kept_T], self.starts_T[kept_T], ends_T[kept_T], lengths_N)


def end_to_end(parts: Sequence[Columns]) -> Columns:
    """The texts of all parts, one after the other."""
    columns = zip(*((part.ids_T, part.starts_T, part.ends_T, part.lengths_N) for part in parts), strict=True)
    return Columns(*(np.concatenate(column) for column in columns))


def joined(parts: Iterable[tuple[int, Pieces]]) -> Pieces:
    """The pieces of a text from those of its parts, each with the place of its first character in the text."""
    held: list[Pieces] = []
    num_words = 0
    for start, part in parts:
        held.append(
            Pieces(part.ids_P, part.marks_P, part.offsets_P2 + np.int32(start), part.words_P + np.int32(num_words))
        )
        num_words += int(part.words_P[-1]) + 1 if len(part) else 0
    if len(held) == 1:
        return held[0]
    return Pieces(
        np.concatenate([part.ids_P for part in held]),
        np.concatenate([part.marks_P for part in held]),
        np.concatenate([part.offsets_P2 for part in held]),
        np.concatenate([part.words_P for part in held]),
    )
