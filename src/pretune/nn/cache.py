"""What a body keeps of the tokens it has read, so that it can go on a token at a time: keys and values in slots.

A sequence sees slots of one row, and knows which. Prompts are read packed, and their keys and values put into slots; a
step then computes one token a sequence. What an encoder gave is kept the same way, once.

Sequences that begin alike, such as the beams of a prompt or several texts for one source, share a row: what they have
in common is kept and read once, and a beam that goes on from another one sees its slots, without a copy. Neighbouring
rows are read together, up to the last slot in use; where long sequences stand first, as `decode` orders them, few empty
slots are read.

Dimensions: P rows of slots, R readers of each, N = P·R sequences, H heads of keys and values, G heads of queries, W
slots, C = 2 (keys, values), E head size, T packed tokens, X = C·N·H. Of rows that are read together: M rows, B = M·H,
Q = R·G / H queries of the same keys, W slots in use.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pretune.core.stream import Stream

MOST_READERS = 16
"""More sequences that begin alike get rows of their own: each computes with all slots of its row."""
NUM_PARTS, LEAST_SAVED = 4, 1 << 18
"""Rows are read in so many parts where each part saves reading at least so many numbers of a layer: it costs some
operations, which take as long."""


@dataclass(frozen=True, eq=False)
class Part:
    """Neighbouring rows that are read together. added_BWQ: to the products of keys and queries, -inf where nothing is
    seen. beta: 0 where nothing is added."""

    rows: slice
    width: int
    added_BWQ: Tensor
    beta: int


class Slots:
    """Keys and values in every layer of a body, [C, P, H, W, E], and what each sequence sees of them.

    stream: packed; whose tokens they are filled with first, each sequence in a row of its own, in the order they were
    given to `pack`. room: how many more tokens of each may follow.
    lengths_N: tokens of each sequence. used_P: slots of each row. positions_PW: of the tokens in the slots.
    """

    def __init__(self, stream: Stream, room: int = 0) -> None:
        order_P = np.arange(len(stream.lengths_N)) if stream.order_N is None else np.asarray(stream.order_N)
        self.lengths_N: NDArray[np.int64] = np.empty_like(stream.lengths_N)
        self.lengths_N[order_P] = stream.lengths_N
        self.room = room
        self._alone()
        starts_P = np.cumsum(stream.lengths_N) - stream.lengths_N
        within_T = np.arange(stream.num_tokens) - np.repeat(starts_P, stream.lengths_N)
        device = stream.positions_T.device
        self._row_T = torch.from_numpy(np.repeat(order_P, stream.lengths_N)).to(device)
        self._within_T = torch.from_numpy(within_T).to(device)
        self.layers: list[Tensor] = []

    def _alone(self) -> None:
        """Each sequence has a row, filled from the left."""
        self.readers, self.used_P = 1, self.lengths_N
        shape = (len(self.lengths_N), self.used + self.room)
        self.positions_PW: NDArray[np.int64] = np.broadcast_to(np.arange(shape[1]), shape).copy()
        self.seen_NW: NDArray[np.bool_] = self.positions_PW < self.lengths_N[:, None]
        self._parts: dict[int | None, list[Part]] = {}

    @property
    def used(self) -> int:
        """Slots up to the last one in use."""
        return int(self.used_P.max(initial=0))

    @property
    def width(self) -> int:
        return int(self.positions_PW.shape[1])

    def fill(self, kv_TCHE: Tensor) -> None:
        """Puts the packed keys and values of the next layer into slots of its own."""
        _, both, heads, size = kv_TCHE.shape
        slots = kv_TCHE.new_zeros(both, len(self.lengths_N), heads, self.width, size)
        slots[:, self._row_T, :, self._within_T] = kv_TCHE.detach()
        self.layers.append(slots)

    def go_on(self) -> Tensor:
        """A slot for the next token of each sequence: where in a layer's memory its key and its value go, [X].

        ValueError where no slot is left.
        """
        if not self.room:
            raise ValueError(f"no slot is left of {self.width}: give prefill more room")
        both, number, heads, width, _ = self.layers[0].shape
        slot_PR = self.used_P[:, None] + np.arange(self.readers)
        self.seen_NW[np.arange(len(self.lengths_N)), slot_PR.ravel()] = True
        np.put_along_axis(self.positions_PW, slot_PR, self.lengths_N.reshape(slot_PR.shape), axis=1)
        self.used_P, self.lengths_N, self.room = self.used_P + self.readers, self.lengths_N + 1, self.room - 1
        self._parts = {}
        rows_CPH = np.arange(both * number * heads).reshape(both, number, 1, heads)
        return torch.from_numpy((rows_CPH * width + slot_PR[:, :, None]).ravel()).to(self.layers[0].device)

    def append(self, layer: int, kv_NCHE: Tensor, places_X: Tensor) -> None:
        """Puts the key and the value of each sequence's new token where `go_on` said."""
        slots = self.layers[layer]
        new_XE = kv_NCHE.transpose(0, 1).reshape(len(places_X), -1)
        slots.view(-1, slots.shape[-1]).index_copy_(0, places_X, new_XE)

    def attend(self, layer: int, q_NGE: Tensor, window: int | None, scale: float, scores: Tensor | None) -> Tensor:
        """Attention of one query a sequence to its slots, [N, G·E]. Of G heads of queries, G / H consecutive ones share
        keys. scale: of products. scores: [N or 1, G, 1, W], added to them.

        Two products, not scaled dot-product attention, which takes longer for few queries (CPU, 16 x 4 x 64, of 215
        slots: one query 1.0 to 1.2 times, four queries 2.5 times). Keys stand first: queries first take twice as long.
        """
        number, all_heads, size = q_NGE.shape
        heads = self.layers[layer].shape[2]
        if window not in self._parts:
            self._parts[window] = self._made(window, all_heads // heads, q_NGE.dtype, scores)
        split = (-1, self.readers, heads, all_heads // heads, size)
        q_PHQE = q_NGE.view(split).transpose(1, 2).flatten(2, 3)
        mixed = [self._read(layer, q_PHQE[part.rows].flatten(0, 1), part, scale) for part in self._parts[window]]
        mixed_BQE = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
        apart = mixed_BQE.view(-1, heads, self.readers, all_heads // heads, size).transpose(1, 2)
        return apart.reshape(number, all_heads * size)

    def _read(self, layer: int, q_BQE: Tensor, part: Part, scale: float) -> Tensor:
        """[B, Q, E]"""
        k_BWE, v_BWE = self.layers[layer][:, part.rows].flatten(1, 2)[:, :, : part.width]
        products_BWQ = torch.baddbmm(part.added_BWQ, k_BWE, q_BQE.transpose(1, 2), beta=part.beta, alpha=scale)
        return torch.bmm(products_BWQ.transpose(1, 2).contiguous().softmax(-1), v_BWE)

    def _made(self, window: int | None, shared: int, dtype: torch.dtype, scores: Tensor | None) -> list[Part]:
        """What is read now. shared: heads of queries with the same keys, G / H."""
        hidden_PRW = ~self.seen_NW.reshape(len(self.used_P), self.readers, -1)[:, :, : self.used]
        if window is not None:
            now_PR1 = self.lengths_N.reshape(-1, self.readers, 1) - 1
            hidden_PRW |= self.positions_PW[:, None, : self.used] < now_PR1 - window
        if scores is not None:  # [P or 1, R or 1, H, G / H, W]
            readers = self.readers if len(scores) > 1 else 1
            scores = scores.view(-1, readers, self.layers[0].shape[2], shared, scores.shape[-1])
        parts = self._cut()
        return [self._part(rows, width, hidden_PRW[rows, :, :width], shared, dtype, scores) for rows, width in parts]

    def _cut(self) -> list[tuple[slice, int]]:
        """Neighbouring rows, and their slots in use."""
        number, used = len(self.used_P), self.used
        each, rest = divmod(number, NUM_PARTS)
        if each:
            sizes = np.full(NUM_PARTS, each) + (np.arange(NUM_PARTS) < rest)
            starts = np.cumsum(sizes) - sizes
            widths = np.maximum.reduceat(self.used_P, starts)
            saved = (used * number - (widths * sizes).sum()) * self.layers[0][:, 0, :, 0].numel()
            if saved >= NUM_PARTS * LEAST_SAVED:
                rows = zip(starts.tolist(), sizes.tolist(), widths.tolist(), strict=True)
                return [(slice(start, start + size), width) for start, size, width in rows]
        return [(slice(0, number), used)]

    def _part(
        self,
        rows: slice,
        width: int,
        hidden_MRW: NDArray[np.bool_],
        shared: int,
        dtype: torch.dtype,
        scores: Tensor | None,
    ) -> Part:
        layer = self.layers[0]
        added = None
        if hidden_MRW.any():
            nothing = torch.zeros(hidden_MRW.shape, dtype=dtype).masked_fill_(torch.from_numpy(hidden_MRW), -torch.inf)
            added = nothing.to(layer.device)[:, :, None, None]
        if scores is not None:
            own = scores[rows if len(scores) > 1 else slice(None), ..., :width]
            added = own if added is None else own + added
        if added is None:
            return Part(rows, width, layer.new_zeros(()), 0)
        added = added.expand(len(hidden_MRW), self.readers, layer.shape[2], shared, width)
        return Part(rows, width, added.permute(0, 2, 4, 1, 3).flatten(3).flatten(0, 1), 1)

    def repeat(self, times: int) -> None:
        """Each sequence becomes `times` neighbours, which go on apart."""
        if self.readers * times > MOST_READERS:
            self.select(np.repeat(np.arange(len(self.lengths_N)), times))
            return
        self.readers *= times
        self.lengths_N = np.repeat(self.lengths_N, times)
        self._parts = {}
        more = ((0, 0), (0, max(0, self.used + self.room * self.readers - self.width)))
        self.seen_NW = np.pad(np.repeat(self.seen_NW, times, axis=0), more)
        self.positions_PW = np.pad(self.positions_PW, more)
        if self.room:
            self.layers = [self._grown(slots) for slots in self.layers]

    def _grown(self, slots: Tensor) -> Tensor:
        both, number, heads, _, size = slots.shape
        grown = slots.new_zeros(both, number, heads, self.width, size)
        grown[:, :, :, : self.used] = slots[:, :, :, : self.used]
        return grown

    def select(self, rows_N: NDArray[np.int64]) -> None:
        """Sequence n becomes what `rows_N[n]` was; they may become fewer or more."""
        row_N, each = rows_N // self.readers, self.readers
        if each > 1 and (len(rows_N) % each or (row_N.reshape(-1, each) != row_N[::each, None]).any()):
            self._part_company(rows_N)
            return
        row_P = row_N[::each]
        self.lengths_N, self.seen_NW, self._parts = self.lengths_N[rows_N], self.seen_NW[rows_N], {}
        if not np.array_equal(row_P, np.arange(len(self.used_P))):
            rows = torch.from_numpy(row_P).to(self.layers[0].device)
            self.layers = [self._selected(slots, rows) for slots in self.layers]
            self.used_P, self.positions_PW = self.used_P[row_P], self.positions_PW[row_P]

    def _selected(self, slots: Tensor, rows: Tensor) -> Tensor:
        both, _, *rest = slots.shape
        chosen = slots.new_empty(both, len(rows), *rest)
        chosen[:, :, :, : self.used] = slots[:, :, :, : self.used].index_select(1, rows)
        chosen[:, :, :, self.used :] = 0
        return chosen

    def _part_company(self, rows_N: NDArray[np.int64]) -> None:
        """`select` where readers of a row do not stay together: each gets a row of its own."""
        to_K, from_K = np.nonzero(self.seen_NW[rows_N])
        row_K = (rows_N // self.readers)[to_K]
        self.lengths_N = self.lengths_N[rows_N]
        at_K = np.arange(len(to_K)) - np.repeat(np.cumsum(self.lengths_N) - self.lengths_N, self.lengths_N)
        self._alone()
        device = self.layers[0].device
        row, at, to, place = (torch.from_numpy(each).to(device) for each in (row_K, from_K, to_K, at_K))
        for layer, slots in enumerate(self.layers):
            both, _, heads, _, size = slots.shape
            self.layers[layer] = slots.new_zeros(both, len(rows_N), heads, self.width, size)
            self.layers[layer][:, to, :, place] = slots[:, row, :, at]


class Cache:
    """The state of N sequences that a body goes on with. read: what the body has read; source: what its layers read of
    an encoder, which grows no more."""

    def __init__(self, read: Slots, source: Slots | None = None) -> None:
        self.read = read
        self.source = source

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Tokens that each sequence has so far, on the decoder's side."""
        return self.read.lengths_N

    def repeat(self, times: int) -> None:
        """Each sequence becomes `times` neighbours, which go on apart."""
        for slots in self._both():
            slots.repeat(times)

    def select(self, rows: Tensor) -> None:
        """Sequence n becomes what `rows[n]` was: beams that are gone on with, sequences that are finished left out."""
        rows_N = rows.cpu().numpy()
        for slots in self._both():
            slots.select(rows_N)

    def _both(self) -> list[Slots]:
        return [self.read] if self.source is None else [self.read, self.source]


class Step:
    """One more token of N sequences: where it goes, and what it sees, made once and shared by all layers.

    stream: N sequences of one token each. scores: [N or 1, G, 1, W], added to the products of queries and keys.
    ValueError where no slot is left.
    """

    def __init__(self, cache: Cache, ids_N: Tensor) -> None:
        self.cache = cache
        self.at_N = torch.from_numpy(cache.lengths_N).to(ids_N.device)
        nothing = torch.zeros_like(ids_N)
        ones_N = np.ones_like(cache.lengths_N)
        self.stream = Stream(ids_N, self.at_N, nothing, nothing, nothing, lengths_N=ones_N)
        self.scores: Tensor | None = None
        self._places_X = cache.read.go_on()

    def append(self, layer: int, kv_NCHE: Tensor) -> None:
        """Keeps the keys and values of the new tokens."""
        self.cache.read.append(layer, kv_NCHE, self._places_X)

    def attend(self, layer: int, q_NGE: Tensor, window: int | None, scale: float) -> Tensor:
        """What the new tokens take from those that were read, themselves among them, [N, G·E]."""
        return self.cache.read.attend(layer, q_NGE, window, scale, self.scores)

    def attend_source(self, layer: int, q_NGE: Tensor, scale: float) -> Tensor:
        """What they take from the encoder's rows, [N, G·E]. ValueError where the cache has none."""
        if self.cache.source is None:
            raise ValueError("this cache holds nothing of an encoder")
        return self.cache.source.attend(layer, q_NGE, None, scale, None)
