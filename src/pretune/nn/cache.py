"""What a body keeps of the tokens it has read, so that it can go on a token at a time: keys and values in slots.

A sequence has a row of slots, filled from the left, and its own length. Prompts are read packed, and their keys and
values put into slots; a step then computes one row a sequence, with a mask over the slots that are not filled. What an
encoder gave is kept the same way, once.

Dimensions: N sequences, H heads of keys and values, G heads of queries, W slots, C = 2 (keys, values), E head size,
B = N·H, T packed tokens.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pretune.core.stream import Stream


class Slots:
    """Keys and values of N sequences in every layer of a body, [N, H, W, E] each, and how far they are filled.

    stream: packed; whose tokens they are filled with first. room: how many more of each sequence may follow.
    Sequences stand in the order they were given to `pack`.
    """

    def __init__(self, stream: Stream, room: int = 0) -> None:
        order_N = np.arange(len(stream.lengths_N)) if stream.order_N is None else np.asarray(stream.order_N)
        self.lengths_N: NDArray[np.int64] = np.empty_like(stream.lengths_N)
        self.lengths_N[order_N] = stream.lengths_N
        self.width = int(self.lengths_N.max(initial=0)) + room
        starts_N = np.cumsum(stream.lengths_N) - stream.lengths_N
        within_T = np.arange(stream.num_tokens) - np.repeat(starts_N, stream.lengths_N)
        device = stream.positions_T.device
        self._row_T = torch.from_numpy(np.repeat(order_N, stream.lengths_N)).to(device)
        self._within_T = torch.from_numpy(within_T).to(device)
        self.layers: list[tuple[Tensor, Tensor]] = []

    @property
    def used(self) -> int:
        """Slots up to the longest sequence's last."""
        return int(self.lengths_N.max(initial=0))

    def fill(self, kv_TCHE: Tensor) -> None:
        """Puts the packed keys and values of the next layer into slots of its own."""
        k_THE, v_THE = kv_TCHE.detach().unbind(1)
        self.layers.append((self._slots(k_THE), self._slots(v_THE)))

    def _slots(self, part_THE: Tensor) -> Tensor:
        _, heads, size = part_THE.shape
        slots = part_THE.new_zeros(len(self.lengths_N), heads, self.width, size)
        slots[self._row_T, :, self._within_T] = part_THE
        return slots

    def append(self, layer: int, kv_NCHE: Tensor, step: "Step") -> None:
        """Puts the key and the value of each sequence's new token at its next slot."""
        for slots, part_NHE in zip(self.layers[layer], kv_NCHE.unbind(1), strict=True):
            slots[step.sequences_N, :, step.at_N] = part_NHE

    def attend(self, layer: int, q_NHE: Tensor, mask: Tensor | None, scaled: bool) -> Tensor:
        """Attention of one query a sequence to its slots, [N, H·E]. Of G heads of queries, G / H consecutive ones share
        keys. mask: [N, 1 or G, 1, W], added to the scores.

        Two products, not scaled dot-product attention, which takes twice as long for a single query (CPU, 16 x 4 x 64).
        """
        (number, heads, size), used = q_NHE.shape, self.used
        k_BWE, v_BWE = (part.flatten(0, 1)[:, :used] for part in self.layers[layer])
        shared = len(k_BWE) // number
        scores = torch.bmm(q_NHE.reshape(number * shared, heads // shared, size), k_BWE.transpose(1, 2))
        scores = scores * size**-0.5 if scaled else scores
        if mask is not None:
            scores = (scores.view(number, heads, 1, used) + mask).view_as(scores)
        return torch.bmm(scores.softmax(-1), v_BWE).view(number, heads * size)

    def select(self, rows: Tensor) -> None:
        """Sequence n becomes what `rows[n]` was; they may become fewer or more."""
        self.layers = [(self._selected(k, rows), self._selected(v, rows)) for k, v in self.layers]
        self.lengths_N = self.lengths_N[rows.cpu().numpy()]

    def move(self, rows: NDArray[np.int64], since_N: NDArray[np.int64]) -> None:
        """Sequence n becomes what `rows[n]` was, where both are alike before slot `since_N[n]`: only what stands behind
        it is copied."""
        to = np.flatnonzero(rows != np.arange(len(rows)))
        self.lengths_N = self.lengths_N[rows]
        counts = self.lengths_N[to] - since_N[to]
        at = np.arange(counts.sum()) + np.repeat(since_N[to] - (np.cumsum(counts) - counts), counts)
        device = self._row_T.device
        to_M, from_M = (torch.from_numpy(np.repeat(each, counts)).to(device) for each in (to, rows[to]))
        at_M = torch.from_numpy(at).to(device)
        for slots in (part for layer in self.layers for part in layer):
            slots[to_M, :, at_M] = slots[from_M, :, at_M]

    def _selected(self, slots: Tensor, rows: Tensor) -> Tensor:
        chosen = slots.new_empty(len(rows), *slots.shape[1:])
        chosen[:, :, : self.used] = slots[:, :, : self.used].index_select(0, rows)
        chosen[:, :, self.used :] = 0
        return chosen


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

    def select(self, rows: Tensor) -> None:
        """Sequence n becomes what `rows[n]` was: beams that are gone on with, sequences that are finished left out."""
        self.read.select(rows)
        if self.source is not None:
            self.source.select(rows)

    def move(self, rows: NDArray[np.int64], since_N: NDArray[np.int64]) -> None:
        """As `select` where sequence n and `rows[n]` read the same source and are alike before slot `since_N[n]`: beams
        of one prompt."""
        self.read.move(rows, since_N)

    def step(self, ids_N: Tensor) -> "Step":
        """One more token of each sequence. ValueError where there is no slot left."""
        if self.read.used >= self.read.width:
            raise ValueError(f"no slot is left of {self.read.width}: give prefill more room")
        return Step(self, ids_N)


class Step:
    """One more token of N sequences: where it goes, and what it sees. Masks are made once and shared by all layers.

    stream: N sequences of one token each.
    """

    def __init__(self, cache: Cache, ids_N: Tensor) -> None:
        self.cache = cache
        device = ids_N.device
        self.at_N = torch.from_numpy(cache.lengths_N).to(device)
        self.sequences_N = torch.arange(len(ids_N), device=device)
        nothing = torch.zeros_like(ids_N)
        ones_N = np.ones(len(ids_N), np.int64)
        self.stream = Stream(ids_N, self.at_N, nothing, nothing, nothing, lengths_N=ones_N)
        cache.read.lengths_N = cache.read.lengths_N + 1
        self._masks: dict[tuple[str, int | None, torch.dtype], Tensor | None] = {}

    def mask(self, slots: Slots, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """[N, 1, 1, W], 0 where a filled slot is seen and -inf elsewhere; None where all are."""
        key = ("source" if slots is self.cache.source else "read", window, dtype)
        if key not in self._masks:
            self._masks[key] = self._made(slots, window, dtype)
        return self._masks[key]

    def _made(self, slots: Slots, window: int | None, dtype: torch.dtype) -> Tensor | None:
        lengths_N, used = slots.lengths_N, slots.used
        if (lengths_N == used).all() and (window is None or used <= window + 1):
            return None
        hidden_NW = np.arange(used) >= lengths_N[:, None]
        if window is not None:
            hidden_NW |= np.arange(used) < lengths_N[:, None] - 1 - window
        mask_NW = torch.zeros(hidden_NW.shape, dtype=dtype).masked_fill_(torch.from_numpy(hidden_NW), -torch.inf)
        return mask_NW[:, None, None].to(self.at_N.device)
