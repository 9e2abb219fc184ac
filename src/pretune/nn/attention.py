"""Attention on packed streams: the n-th sequence of the queries reads the n-th of the keys.

Dimensions: T tokens (of the queries or the keys), R rows read, D hidden size, H heads, E head size, C maps; of a group:
N sequences, Q padded queries, K padded keys.

`attend` groups sequences (`layout.py`), masks what is not visible (`masks.py`) and calls scaled dot-product attention
(Vaswani et al. 2017, section 3.2.1) once a group. A query that sees no key gets zeros.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn.cache import Slots, Step
from pretune.nn.config import Rotary as RotaryChoice
from pretune.nn.config import TransformerConfig
from pretune.nn.initial import Linear
from pretune.nn.kernels.dropout import has_own_bits, mixed_and_dropped
from pretune.nn.kernels.linear import linear
from pretune.nn.layout import Layout, Side, layout_of
from pretune.nn.masks import is_causal, masks_of, narrowed
from pretune.nn.norms import make_norm
from pretune.nn.positions import Rotary
from pretune.nn.rows import collect, spread, take


@dataclass(frozen=True, eq=False)
class Group:
    """A group of sequences inside attention: its padded queries and keys, which one of the layout's groups it is, and
    the mask that says what is seen (None: everything)."""

    q_NHQE: Tensor
    k_NHKE: Tensor
    queries: Stream
    keys: Stream
    layout: Layout
    index: int
    mask: Tensor | None

    @property
    def query_side(self) -> Side:
        return self.layout.queries[self.index]

    @property
    def key_side(self) -> Side:
        return self.layout.keys[self.index]


class Source(NamedTuple):
    """What a decoder's layers read: the rows of an encoder's output, and the stream they are of."""

    rows_SD: Tensor
    stream: Stream


class Bias(Protocol):
    """Scores added to the scaled products of queries and keys, with gradients (T5, ALiBi, DeBERTa, XLNet)."""

    def __call__(self, group: Group) -> Tensor:
        """The group's mask with the scores added, which broadcasts to [N, H, Q, K]. Padded places repeat rows of the
        group; what they get is unused."""


class PassBias(Protocol):
    """What one forward pass knows of its biases."""

    def of_layer(self, attention: "SelfAttention") -> Bias:
        """The bias of a layer's scores, which may read its maps (DeBERTa)."""


def attend(
    q_THE: Tensor,
    k_THE: Tensor,
    v_THE: Tensor,
    queries: Stream,
    keys: Stream,
    *,
    window: int | None = None,
    bias: Bias | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Attention of every query to the visible keys of its sequence: [T of the queries, H, E].

    window: a query sees keys at most so many positions away. dropout: of probabilities, at this rate. scale: of
    products; None: 1 over the root of E.
    Raises ValueError where the streams do not have equally many sequences or a queried sequence has no keys.
    """
    if queries is keys:
        return attend_maps([torch.stack([q_THE, k_THE, v_THE], dim=1)], queries, keys, window, bias, dropout, scale)
    maps = [q_THE.unsqueeze(1), torch.stack([k_THE, v_THE], dim=1)]
    return attend_maps(maps, queries, keys, window, bias, dropout, scale)


def attend_maps(
    maps: list[Tensor],
    queries: Stream,
    keys: Stream,
    window: int | None,
    bias: Bias | None,
    dropout: float,
    scale: float | None = None,
) -> Tensor:
    """`attend` on maps that lie side by side: [x_TCHE] with C = 3 (q, k, v), or [q_TCHE, kv_TCHE] with C = 1 and 2."""
    layout = layout_of(queries, keys)
    window = narrowed(queries, keys, layout, window)
    causal = bias is None and window is None and is_causal(queries, keys)
    if len(maps) == 1:
        groups = spread(maps[0], layout.keys)
    else:
        both = zip(spread(maps[0], layout.queries), spread(maps[1], layout.keys), strict=True)
        groups = [q + kv for q, kv in both]
    if not groups:  # no rows, but zero gradients for every map
        return maps[0].new_zeros(0, *maps[0].shape[2:]) + 0 * torch.stack([part.sum() for part in maps]).sum()
    masks = [None] * len(groups) if causal else masks_of(queries, keys, layout, window, groups[0][0].dtype)
    outputs = []
    for index, ((q, k, v), mask) in enumerate(zip(groups, masks, strict=True)):
        if bias is not None:
            mask = bias(Group(q, k, queries, keys, layout, index, mask)).to(q.dtype)
        mix = mixed_and_dropped if dropout and has_own_bits(q) else F.scaled_dot_product_attention
        outputs.append(mix(q, k, v, mask, dropout, causal, scale=scale))
    return collect(outputs, layout.queries, queries.num_tokens)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one linear map for queries, keys and values: x_TD to [T, D], or [R, D].

    Read at some rows only, queries and the output exist at these rows, keys and values everywhere. Heads of keys and
    values may be fewer, each for consecutive heads of queries (Ainslie et al. 2023).
    """

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.num_heads = config.attention.num_heads
        self.num_shared = config.num_key_value_heads
        self.head_size = config.head_size
        self.dropout = config.attention.dropout
        self.scale = config.score_scale
        self.window = config.window(layer)
        self.sizes = [self.num_heads * self.head_size, 2 * self.num_shared * self.head_size]
        self.qkv = Linear(config.hidden_size, sum(self.sizes), bias=config.attention.bias)
        self.qkv.fused_rows = (self.sizes[0], self.sizes[1] // 2, self.sizes[1] // 2)
        self.output = Linear(self.sizes[0], config.hidden_size, bias=config.attention.bias)
        self.rotary = _rotary(config, self.window)
        self.query_norm = make_norm(config.norm, self.head_size) if config.attention.qk_norm else None
        self.key_norm = make_norm(config.norm, self.head_size) if config.attention.qk_norm else None

    def forward(
        self,
        x_TD: Tensor,
        stream: Stream,
        read: Stream | None = None,
        rows_R: Tensor | None = None,
        bias: PassBias | None = None,
        keep: Slots | None = None,
    ) -> Tensor:
        """read, rows_R: the rows that are read and the stream of them (`layout.read_rows`), or both None for all.
        bias: of the pass's scores. keep: slots that keys and values are kept in."""
        if (read is None or rows_R is None) and self.num_shared == self.num_heads:
            read = stream
            maps = [self._maps(self.qkv(x_TD), stream, ("query", "key", "value"))]
            kv_TCHE = maps[0][:, 1:]
        else:
            weights, biases = self.split()
            q_RD = linear(x_TD if rows_R is None else take(x_TD, rows_R), weights[0], biases[0])
            kv_TX = linear(x_TD, weights[1], biases[1])
            read = stream if read is None else read
            maps = [self._maps(q_RD, read, ("query",)), self._maps(kv_TX, stream, ("key", "value"))]
            kv_TCHE = maps[1]
            maps[1] = self._for_all_heads(kv_TCHE)
        if keep is not None:
            keep.fill(kv_TCHE)
        rate = self.dropout if self.training else 0.0
        of_layer = None if bias is None else bias.of_layer(self)
        mixed_RHE = attend_maps(maps, read, stream, self.window, of_layer, rate, self.scale)
        return self.output(mixed_RHE.flatten(1))  # type: ignore[no-any-return]

    def step(self, x_ND: Tensor, step: Step, layer: int) -> Tensor:
        """One more row of each sequence, [N, D]."""
        maps_NX = self.qkv(x_ND)
        if self.num_shared == self.num_heads:
            maps_NCHE = self._maps(maps_NX, step.stream, ("query", "key", "value"))
            q_NHE, kv_NCHE = maps_NCHE[:, 0], maps_NCHE[:, 1:]
        else:
            q_NX, kv_NX = maps_NX.split(self.sizes, dim=1)
            q_NHE = self._maps(q_NX, step.stream, ("query",))[:, 0]
            kv_NCHE = self._maps(kv_NX, step.stream, ("key", "value"))
        step.append(layer, kv_NCHE)
        return self.output(step.attend(layer, q_NHE, self.window, self.scale))  # type: ignore[no-any-return]

    def split(self) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        """The weights and biases of queries, and of keys and values."""
        weights = torch.split(self.qkv.weight, self.sizes)
        return weights, (None, None) if self.qkv.bias is None else torch.split(self.qkv.bias, self.sizes)

    def _for_all_heads(self, kv_TCHE: Tensor) -> Tensor:
        """A key and a value for each head of queries."""
        shared = self.num_heads // self.num_shared
        return kv_TCHE if shared == 1 else kv_TCHE.repeat_interleave(shared, dim=2)

    def _maps(self, maps_TX: Tensor, stream: Stream, names: tuple[str, ...]) -> Tensor:
        """[T, C·H·E] to [T, C, H, E], queries and keys normed and turned where the config says so."""
        shape = (maps_TX.shape[0], len(names), self.num_heads if "query" in names else self.num_shared, self.head_size)
        if self.query_norm is not None and self.key_norm is not None:
            norms = {"query": self.query_norm, "key": self.key_norm}
            parts = zip(names, maps_TX.view(shape).unbind(1), strict=True)
            maps_TX = torch.stack([norms[n](part).to(part.dtype) if n in norms else part for n, part in parts], dim=1)
            maps_TX = maps_TX.flatten(1)
        if self.rotary is not None:
            maps_TX = self.rotary(maps_TX, stream, len(names), sum(name != "value" for name in names))
        return maps_TX.view(shape)


class CrossAttention(nn.Module):
    """Attention to the rows of an encoder's output, with maps as self-attention has them: x_TD to [T, D], or [R, D].

    `at` rows are read as in self-attention; every row of the source is seen (Vaswani et al. 2017, section 3.2.3).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads, self.head_size = config.attention.num_heads, config.head_size
        self.dropout = config.attention.dropout
        self.scale = config.score_scale
        size = self.num_heads * self.head_size
        self.query = Linear(config.hidden_size, size, bias=config.attention.bias)
        self.key_value = Linear(config.hidden_size, 2 * size, bias=config.attention.bias)
        self.key_value.fused_rows = (size, size)
        self.output = Linear(size, config.hidden_size, bias=config.attention.bias)

    def forward(self, x_RD: Tensor, queries: Stream, source: Source, keep: Slots | None = None) -> Tensor:
        """x_RD: the rows of `queries`. keep: slots that the source's keys and values are kept in."""
        q_RCHE = self.query(x_RD).view(-1, 1, self.num_heads, self.head_size)
        kv_SCHE = self.key_value(source.rows_SD).view(-1, 2, self.num_heads, self.head_size)
        if keep is not None:
            keep.fill(kv_SCHE)
        rate = self.dropout if self.training else 0.0
        mixed = attend_maps([q_RCHE, kv_SCHE], queries, source.stream, None, None, rate, self.scale)
        return self.output(mixed.flatten(1))  # type: ignore[no-any-return]

    def step(self, x_ND: Tensor, step: Step, layer: int) -> Tensor:
        """One more row of each sequence, [N, D]."""
        q_NHE = self.query(x_ND).view(-1, self.num_heads, self.head_size)
        return self.output(step.attend_source(layer, q_NHE, self.scale))  # type: ignore[no-any-return]


def _rotary(config: TransformerConfig, window: int | None) -> Rotary | None:
    choice = config.position
    if not isinstance(choice, RotaryChoice):
        return None
    is_local = window is not None and choice.local_base is not None
    base = choice.local_base if is_local and choice.local_base else choice.base
    return Rotary(base, config.head_size, choice.scaling)
