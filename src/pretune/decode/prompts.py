"""A forced beginning behind what a prompt opens: ids that the decoder reads as if it had written them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pretune.core.stream import Example, Stream

Prompt = tuple[int, ...]


def decoder_ids(example: Example) -> Prompt:
    """What the decoder reads of an example: the prompt, or beside an encoder its start token and what was forced."""
    return tuple(example.read.ids_T.tolist())


def forced(example: Example, ids: Sequence[int]) -> Example:
    """The example with ids behind the one sequence that its decoder reads; each sees what stands before it."""
    if not len(ids):
        return example
    longer = _longer(example.read, np.asarray(ids, np.int64))
    return replace(example, source=longer) if example.target is None else replace(example, target=longer)


def _longer(stream: Stream, ids_P: NDArray[np.int64]) -> Stream:
    index_P = np.arange(stream.num_tokens, stream.num_tokens + len(ids_P))
    marks_T = None if stream.marks_T is None else np.append(stream.marks_T, np.zeros(len(ids_P), np.uint8))
    return replace(
        stream,
        ids_T=np.append(stream.ids_T, ids_P),
        positions_T=np.append(stream.positions_T, index_P + stream.positions_T[0]),
        segment_ids_T=np.append(stream.segment_ids_T, np.full(len(ids_P), stream.segment_ids_T[-1])),
        shown_at_T=np.append(stream.shown_at_T, index_P),
        sees_up_to_T=np.append(stream.sees_up_to_T, index_P),
        lengths_N=np.array([stream.num_tokens + len(ids_P)]),
        marks_T=marks_T,
    )
