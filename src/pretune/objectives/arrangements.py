"""Arrangements: a corpus as numbered places, cut once for (corpus, arrangement, room), for any seed and epoch.

The numbers of a document's first places are a cumulative table [D + 1], so a place is found in O(log D).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments, Span
from pretune.objectives.bodies import ONE, TWO

MIN_TOKENS = 2
"""A place has at least so many tokens: one token alone has no context to be predicted from."""

CHUNK = 1 << 18
"""Entries of a piece of a table, which is made piece by piece."""


class Arrangement(Protocol):
    """What `mlm` and the like cut samples with; same meaning as in `core.protocols.Objective`."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int: ...
    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments: ...


class OnlyArranges:
    """Makes an arrangement an objective to name first in `add`: it corrupts and predicts nothing."""

    streams: ClassVar[tuple[str, ...]] = (ONE, TWO)

    def corrupt(self, example: Example, context: Context) -> Example:
        return example

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {}


@dataclass(frozen=True)
class Contiguous(OnlyArranges):
    """Documents cut from their start into pieces of `max_length` less the special tokens; no piece crosses a border.

    The rest of a document is a piece too (packed, it costs no padding) unless it has fewer than MIN_TOKENS tokens.
    """

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a max_length without room for MIN_TOKENS, and where no document has so many."""
        num_places = int(self._table(corpus, room_of(max_length, num_special[0]))[-1])
        return some_places(num_places)

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """One span. Raises IndexError for a number the corpus does not have."""
        room = room_of(context.max_length, context.num_special[0])
        table = self._table(corpus, room)
        check_number(number, int(table[-1]))
        document = int(table.searchsorted(number, "right")) - 1
        starts = corpus.document_starts
        start = int(starts[document]) + (number - int(table[document])) * room
        return Segments([span(corpus, start, min(start + room, int(starts[document + 1])))])

    def _table(self, corpus: TokenStore, room: int) -> NDArray[np.int64]:
        def first_places(corpus: TokenStore) -> Iterator[NDArray[np.int64]]:
            starts, last = corpus.document_starts, 0
            yield np.zeros(1, np.int64)
            for at in range(0, corpus.num_documents, CHUNK):
                lengths_D = np.diff(starts[at : at + CHUNK + 1])
                first_D = last + np.cumsum((lengths_D + room - MIN_TOKENS) // room)
                last = int(first_D[-1])
                yield first_D

        return corpus.table(f"contiguous-{room}-{MIN_TOKENS}", first_places)


def span(corpus: TokenStore, start: int, end: int) -> Span:
    """The tokens [start, end) of a corpus."""
    return Span(corpus.ids(start, end), corpus.marks(start, end))


def room_of(max_length: int, num_special: int) -> int:
    """How many tokens of text a sample holds. InputError where that is fewer than MIN_TOKENS."""
    room = max_length - num_special
    if room < MIN_TOKENS:
        raise InputError(
            f"max_length is {max_length}: with {num_special} special tokens it must be at least "
            f"{num_special + MIN_TOKENS}"
        )
    return room


def some_places(num_places: int) -> int:
    """The number of places. InputError where there are none."""
    if not num_places:
        raise InputError(f"no document of the corpus has {MIN_TOKENS} tokens: there is nothing to learn from")
    return num_places


def check_number(number: int, num_places: int) -> None:
    if not 0 <= number < num_places:
        raise IndexError(f"sample {number} of a corpus of {num_places} samples")
