"""How packed sequences are laid out inside attention: in groups of near-equal length, padded only there.

Dimensions: T tokens, N sequences, Q and K padded queries and keys of a group, P = N·width padded places of one side.

The n-th sequence of the queries reads the n-th of the keys. Consecutive sequences form a group, which pads at most
MAX_PADDING rows; many sequences of one length stand alone, since they need neither a gather nor a mask. A layout is
computed once for a pair of streams and kept in the stream's cache, its masks with it: all layers share them.
"""

import weakref
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretune.core.stream import Stream

MAX_PADDING = 64
"""Padded rows a group may hold."""
STANDS_ALONE = 512
"""Rows from which sequences of one length get a group of their own."""

IntArray = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Side:
    """One stream's share of a group: rows [start, end) as `num` sequences padded to `width`.

    taken_P: the row, counted from `start`, that fills each padded place; padding repeats a row of the group.
    place_T: the padded place of each row. Both None where all lengths are equal: then the rows are the places.
    """

    start: int
    end: int
    num: int
    width: int
    taken_P: Tensor | None = None
    place_T: Tensor | None = None

    def pad(self, column_T: Tensor) -> Tensor:
        """A column of the stream as [num, width]."""
        part = column_T[self.start : self.end]
        return (part if self.taken_P is None else part[self.taken_P]).view(self.num, self.width)

    def real(self) -> Tensor | None:
        """[num, width], True where a place holds a token; None where all do."""
        if self.place_T is None:
            return None
        flat = torch.zeros(self.num * self.width, dtype=torch.bool, device=self.place_T.device)
        return flat.index_fill_(0, self.place_T, True).view(self.num, self.width)


@dataclass(frozen=True, eq=False)
class Layout:
    """Groups of (queries, keys). Groups without a query are left out. masks: by (window, dtype), filled on demand."""

    queries: tuple[Side, ...]
    keys: tuple[Side, ...]
    masks: dict[Any, Any] = field(default_factory=dict)


def layout_of(queries: Stream, keys: Stream) -> Layout:
    """The layout of two streams, the same stream twice for self-attention, from the cache or computed.

    Raises ValueError where the streams differ in their number of sequences or a queried sequence has no keys.
    """
    if queries is keys:
        if "layout" not in keys.cache:
            keys.cache["layout"] = _layout(queries, keys, cut([keys.lengths_N]))
        return keys.cache["layout"]  # type: ignore[no-any-return]
    known = queries.cache.get("layout across")
    if known is None or known[0]() is not keys:
        if len(queries.lengths_N) != len(keys.lengths_N):
            raise ValueError(f"{len(queries.lengths_N)} sequences of queries for {len(keys.lengths_N)} of keys")
        _keep_across(queries, keys, _layout(queries, keys, cut([queries.lengths_N, keys.lengths_N])))
    return queries.cache["layout across"][1]  # type: ignore[no-any-return]


def _keep_across(queries: Stream, keys: Stream, layout: Layout) -> None:
    queries.cache["layout across"] = (weakref.ref(keys), layout)  # weak: `keys` may keep `queries` in its own cache


def read_rows(stream: Stream, rows_R: Tensor) -> Stream:
    """The rows that are read as a stream of queries, N sequences of zero or more rows; `stream` is their keys.

    rows_R: sorted unique rows of `stream`; ValueError otherwise. Kept in the stream's cache.
    """
    known = stream.cache.get("rows")
    if known is not None and known[0] is rows_R:
        return known[1]  # type: ignore[no-any-return]
    rows = rows_R.cpu().numpy()
    if rows.ndim != 1 or (len(rows) and (rows[0] < 0 or rows[-1] >= stream.num_tokens or (np.diff(rows) <= 0).any())):
        raise ValueError(f"rows must be sorted, unique and within the {stream.num_tokens} rows of the stream")
    read = Stream(
        ids_T=stream.ids_T[rows_R],
        positions_T=stream.positions_T[rows_R],
        segment_ids_T=stream.segment_ids_T[rows_R],
        shown_at_T=stream.shown_at_T[rows_R],
        sees_up_to_T=stream.sees_up_to_T[rows_R],
        lengths_N=np.diff(np.searchsorted(rows, np.concatenate([[0], np.cumsum(stream.lengths_N)]))),
        visibility="full" if stream.visibility == "full" else "mixed",
    )
    # grouped by the keys alone: there are few queries, and their padding costs little
    _keep_across(read, stream, _layout(read, stream, cut([stream.lengths_N])))
    stream.cache["rows"] = (rows_R, read)
    return read


def cut(sides: list[IntArray]) -> list[int]:
    """Where groups begin, and the number of sequences at the end. sides: lengths_N of each stream to be padded.

    >>> cut([np.array([1, 2, 30, 60, 90])])
    [0, 3, 5]
    """
    lengths_NS = np.stack(sides, axis=1)
    changes = np.flatnonzero((lengths_NS[1:] != lengths_NS[:-1]).any(axis=1)) + 1
    starts = [0, *changes.tolist(), len(lengths_NS)]
    borders, rows, widths, alone = [0], 0, [0] * len(sides), True
    for start, end in pairwise(starts):
        run = lengths_NS[start].tolist()
        wider = [max(pair) for pair in zip(widths, run, strict=True)]
        added = (end - start) * sum(run)
        padding = (end - borders[-1]) * sum(wider) - rows - added
        is_large = added >= STANDS_ALONE * len(sides)
        if start > 0 and (alone or is_large or padding > MAX_PADDING):
            borders.append(start)
            rows, wider = 0, run
        rows, widths, alone = rows + added, wider, is_large
    return [*borders, len(lengths_NS)]


def _layout(queries: Stream, keys: Stream, borders: list[int]) -> Layout:
    device = keys.positions_T.device
    query_sides = _sides(queries.lengths_N, borders, device)
    key_sides = query_sides if queries is keys else _sides(keys.lengths_N, borders, device)
    used = [index for index, side in enumerate(query_sides) if side.end > side.start]
    for index in used:
        side, first = key_sides[index], borders[index]
        if (keys.lengths_N[first : first + side.num] == 0).any():
            raise ValueError("a sequence of the keys is empty: attention needs at least one key")
    return Layout(tuple(query_sides[i] for i in used), tuple(key_sides[i] for i in used))


def _sides(lengths_N: IntArray, borders: list[int], device: torch.device) -> list[Side]:
    ends = np.concatenate([[0], np.cumsum(lengths_N)])
    sides = []
    for first, last in pairwise(borders):
        lengths = lengths_N[first:last]
        start, end, width = int(ends[first]), int(ends[last]), int(lengths.max())
        taken = place = None
        if end - start < width * (last - first):
            column = np.arange(width)
            within = np.minimum(column, np.maximum(lengths - 1, 0)[:, None])
            rows = np.minimum((ends[first:last] - start)[:, None] + within, end - start - 1)
            taken = torch.from_numpy(rows.reshape(-1)).to(device)
            place = torch.from_numpy(np.flatnonzero(column < lengths[:, None])).to(device)
        sides.append(Side(start, end, last - first, width, taken, place))
    return sides
