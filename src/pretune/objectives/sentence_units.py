"""Sentence units: places made of whole sentences, for objectives on pairs of spans.

A unit is a sentence, or, of a sentence longer than the room, a piece of it. A place is as many units from where the
last place ended as reach the room (so the last unit may pass it: the original code cuts such pairs afterwards), or as
there are before the document ends. Dimensions: U units, D documents, C places.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.protocols import TokenStore
from pretune.objectives.arrangements import MIN_TOKENS

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
        corpus.table(f"units-{room}", lambda corpus: _starts(corpus, room)),
        corpus.table(f"units-{room}-documents", lambda corpus: _of_document(corpus, room)),
        corpus.table(f"units-{room}-places-{MIN_TOKENS}", lambda corpus: _places(corpus, room)).reshape(-1, 2),
        corpus.table(f"documents-of-{MIN_TOKENS}", _documents),
    )


def _starts(corpus: TokenStore, room: int) -> Places:
    sentences_S = np.asarray(corpus.sentence_starts, np.int64)
    lengths_S = np.diff(sentences_S, append=corpus.num_tokens)
    pieces_S = -(-lengths_S // room)
    nth_U = np.arange(int(pieces_S.sum())) - np.repeat(np.cumsum(pieces_S) - pieces_S, pieces_S)
    return np.append(np.repeat(sentences_S, pieces_S) + nth_U * room, corpus.num_tokens)


def _of_document(corpus: TokenStore, room: int) -> Places:
    return np.searchsorted(_starts(corpus, room)[:-1], np.asarray(corpus.document_starts)).astype(np.int64)


def _places(corpus: TokenStore, room: int) -> Places:
    starts, of_document = _starts(corpus, room), _of_document(corpus, room)
    limit_U = np.repeat(of_document[1:], np.diff(of_document))
    ends_U = np.minimum(np.searchsorted(starts, starts[:-1] + room), limit_U)
    following = memoryview(ends_U.data)
    firsts, unit = [], 0
    while unit < len(following):
        firsts.append(unit)
        unit = following[unit]
    first_C = np.array(firsts, np.int64)
    end_C = ends_U[first_C]
    enough_C = starts[end_C] - starts[first_C] >= MIN_TOKENS
    return np.stack([first_C, end_C], axis=1)[enough_C].reshape(-1)


def _documents(corpus: TokenStore) -> Places:
    """A place ends before the room is full only with its document, so whatever has MIN_TOKENS has a place."""
    return np.flatnonzero(np.diff(np.asarray(corpus.document_starts)) >= MIN_TOKENS)
