"""Places of whole sentences that fit into the room: what `full_sentences` and `document_sentences` are made of.

A place is as many units (`sentence_units.py`: sentences, and pieces of those longer than the room) from where the last
place ended as fit, over document borders or not. At a border within a place there is one separator more to fit in.
Places of one token are left out.
Dimensions: U units, D documents, C places.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pretune.core.protocols import TokenStore
from pretune.objectives.arrangements import CHUNK, MIN_TOKENS
from pretune.objectives.sentence_units import of_document, unit_starts

Places = NDArray[np.int64]


def sentence_places(corpus: TokenStore, room: int, across: bool) -> Places:
    """[C, 2] token places [start, end), from the corpus's tables. across: a place may go on in the next document."""
    name = f"{'full' if across else 'document'}-sentences-{room}-{MIN_TOKENS}"
    return corpus.table(name, lambda corpus: _make(corpus, room, across)).reshape(-1, 2)


def _make(corpus: TokenStore, room: int, across: bool) -> Iterator[Places]:
    starts, documents = unit_starts(corpus, room), of_document(corpus, room)
    unit, num_units = 0, len(starts) - 1
    for at in range(0, num_units, CHUNK):
        end = min(at + CHUNK, num_units)
        stop = min(end + room, num_units)  # a place that begins in this piece has at most `room` units
        borders = np.unique(documents[documents.searchsorted(at, "right") : documents.searchsorted(stop)])
        before_U = borders.searchsorted(np.arange(at, stop), "right")  # documents that began since the piece's first
        # counting separators, unit u begins at starts[u] + before_U[u] and ends at starts[u + 1] + before_U[u]
        fits_U = (starts[at + 1 : stop + 1] + before_U).searchsorted(
            starts[at:end] + before_U[: end - at] + room, "right"
        )
        if not across:
            limits_U = np.append(borders - at, stop - at)[before_U[: end - at]]
            fits_U = np.minimum(fits_U, limits_U)
        following, firsts = (fits_U + at).tolist(), []
        while unit < end:
            firsts.append(unit)
            unit = following[unit - at]
        first_C = np.array(firsts, np.int64)
        place_C2 = np.stack([starts[first_C], starts[fits_U[first_C - at] + at]], axis=1)
        yield place_C2[place_C2[:, 1] - place_C2[:, 0] >= MIN_TOKENS].reshape(-1)
