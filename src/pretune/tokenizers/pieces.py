"""Pieces: the ids of one text, with what objectives and tasks must know of each piece.

Dimensions: P pieces.
"""

from collections.abc import Iterable
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
