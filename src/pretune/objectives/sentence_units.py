"""Sentence units: places made of whole sentences, for objectives on pairs of spans.

A unit is a sentence, or, of a sentence longer than the room, a piece of it. A place is as many units from where the
last place ended as reach the room (so the last unit may pass it: the original code cuts such pairs afterwards), or as
there are before the document ends. Dimensions: U units, D documents, C places.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.protocols import TokenStore
from pretune.objectives.arrangements import CHUNK, MIN_TOKENS

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """starts: [U + 1] token places. of_document: [D + 1] first unit of each. places: [C, 2] units [first, end).
    documents: those that have a place, ascending."""

    starts: Places
    of_document: Places
    places: Places
    documents: Places

    def reach(self, first: int, num_tokens: int, limit: int) -> int:
        """The end of the fewest units from `first` with `num_tokens` tokens: one at least, and not past `limit`."""
        end = int(self.starts.searchsorted(int(self.starts[first]) + num_tokens))
        return min(max(end, first + 1), limit)


def units(corpus: TokenStore, room: int) -> Units:
    """The units of a corpus for a room of so many tokens, from its tables: computed once."""
    return Units(
        unit_starts(corpus, room),
        of_document(corpus, room),
        corpus.table(f"units-{room}-places-{MIN_TOKENS}", lambda corpus: _make_places(corpus, room)).reshape(-1, 2),
        corpus.table(f"documents-of-{MIN_TOKENS}", _make_documents),
    )


def unit_starts(corpus: TokenStore, room: int) -> Places:
    """[U + 1] token places of the units of a corpus."""
    return corpus.table(f"units-{room}", lambda corpus: _make_starts(corpus, room))


def of_document(corpus: TokenStore, room: int) -> Places:
    """[D + 1] the first unit of each document."""
    return corpus.table(f"units-{room}-documents", lambda corpus: _make_of_document(corpus, room))


def _make_starts(corpus: TokenStore, room: int) -> Iterator[Places]:
    sentences_S = corpus.sentence_starts
    for at in range(0, len(sentences_S), CHUNK):
        part_S = sentences_S[at : at + CHUNK + 1]
        part_S = np.append(part_S, corpus.num_tokens) if len(part_S) <= CHUNK else part_S
        pieces_S = -(-np.diff(part_S) // room)
        nth_U = np.arange(int(pieces_S.sum())) - np.repeat(np.cumsum(pieces_S) - pieces_S, pieces_S)
        yield np.repeat(part_S[:-1], pieces_S) + nth_U * room
    yield np.array([corpus.num_tokens], np.int64)


def _make_of_document(corpus: TokenStore, room: int) -> Iterator[Places]:
    starts, document_starts = unit_starts(corpus, room)[:-1], corpus.document_starts
    for at in range(0, len(document_starts), CHUNK):
        yield np.searchsorted(starts, document_starts[at : at + CHUNK]).astype(np.int64)


def _make_places(corpus: TokenStore, room: int) -> Iterator[Places]:
    starts, documents = unit_starts(corpus, room), of_document(corpus, room)
    unit, num_units = 0, len(starts) - 1
    for at in range(0, num_units, CHUNK):
        units_U = np.arange(at, min(at + CHUNK, num_units))
        limit_U = documents[np.searchsorted(documents, units_U, "right")]
        ends_U = np.minimum(np.searchsorted(starts, starts[units_U] + room), limit_U)
        following, firsts = memoryview(ends_U.data), []
        while unit < at + len(units_U):
            firsts.append(unit)
            unit = following[unit - at]
        first_C = np.array(firsts, np.int64)
        end_C = ends_U[first_C - at]
        enough_C = starts[end_C] - starts[first_C] >= MIN_TOKENS
        yield np.stack([first_C, end_C], axis=1)[enough_C].reshape(-1)


def _make_documents(corpus: TokenStore) -> Iterator[Places]:
    """A place ends before the room is full only with its document, so whatever has MIN_TOKENS has a place."""
    starts = corpus.document_starts
    for at in range(0, corpus.num_documents, CHUNK):
        yield np.flatnonzero(np.diff(starts[at : at + CHUNK + 1]) >= MIN_TOKENS) + at
