"""Attention on packed streams: the n-th sequence of the queries reads the n-th of the keys.

Dimensions: T tokens (of the queries or the keys), R rows read, D hidden size, H heads, E head size, C maps; of a group:
N sequences, Q padded queries, K padded keys.

`attend` groups sequences (`layout.py`), masks what is not visible (`masks.py`) and calls scaled dot-product attention
(Vaswani et al. 2017, section 3.2.1) once a group. A query that sees no key gets zeros.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn.config import Rotary as RotaryChoice
from pretune.nn.config import TransformerConfig
from pretune.nn.initial import Linear
from pretune.nn.kernels.linear import linear
from pretune.nn.layout import layout_of
from pretune.nn.masks import is_causal, masks_of, narrowed
from pretune.nn.norms import make_norm
from pretune.nn.positions import Rotary
from pretune.nn.rows import collect, spread, take


class Bias(Protocol):
    """Scores added to the scaled products of queries and keys, with gradients (T5, ALiBi, DeBERTa, XLNet)."""

    def __call__(self, q_NHQE: Tensor, k_NHKE: Tensor, positions_NQ: Tensor, positions_NK: Tensor) -> Tensor:
        """Scores that broadcast to [N, H, Q, K]. Padded places repeat rows of the group; what they give is unused."""


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
) -> Tensor:
    """Attention of every query to the visible keys of its sequence: [T of the queries, H, E].

    window: a query sees keys at most so many positions away. dropout: of probabilities, at this rate.
    Raises ValueError where the streams do not have equally many sequences or a queried sequence has no keys.
    """
    if queries is keys:
        return attend_maps([torch.stack([q_THE, k_THE, v_THE], dim=1)], queries, keys, window, bias, dropout)
    maps = [q_THE.unsqueeze(1), torch.stack([k_THE, v_THE], dim=1)]
    return attend_maps(maps, queries, keys, window, bias, dropout)


def attend_maps(
    maps: list[Tensor], queries: Stream, keys: Stream, window: int | None, bias: Bias | None, dropout: float
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
            positions_NQ = layout.queries[index].pad(queries.positions_T)
            positions_NK = layout.keys[index].pad(keys.positions_T)
            scores = bias(q, k, positions_NQ, positions_NK).to(q.dtype)
            mask = scores if mask is None else scores + mask
        outputs.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal))
    return collect(outputs, layout.queries, queries.num_tokens)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one linear map for queries, keys and values: x_TD to [T, D], or [R, D].

    Read at some rows only, queries and the output exist at these rows, keys and values everywhere.
    """

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.num_heads = config.attention.num_heads
        self.head_size = config.head_size
        self.dropout = config.attention.dropout
        self.window = config.window(layer)
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size, bias=config.attention.bias)
        self.qkv.fused_rows = (config.hidden_size,) * 3
        self.output = Linear(config.hidden_size, config.hidden_size, bias=config.attention.bias)
        self.rotary = _rotary(config, self.window)
        self.query_norm = make_norm(config.norm, self.head_size) if config.attention.qk_norm else None
        self.key_norm = make_norm(config.norm, self.head_size) if config.attention.qk_norm else None

    def forward(self, x_TD: Tensor, stream: Stream, read: Stream | None = None, rows_R: Tensor | None = None) -> Tensor:
        """read, rows_R: the rows that are read and the stream of them (`layout.read_rows`), or both None for all."""
        if read is None or rows_R is None:
            read = stream
            maps = [self._maps(self.qkv(x_TD), stream, ("query", "key", "value"))]
        else:
            weights, biases = self._split()
            q_RD = linear(take(x_TD, rows_R), weights[0], biases[0])
            kv_TX = linear(x_TD, weights[1], biases[1])
            maps = [self._maps(q_RD, read, ("query",)), self._maps(kv_TX, stream, ("key", "value"))]
        rate = self.dropout if self.training else 0.0
        mixed_RHE = attend_maps(maps, read, stream, self.window, None, rate)
        return self.output(mixed_RHE.flatten(1))  # type: ignore[no-any-return]

    def _split(self) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
        """The weights and biases of queries, and of keys and values."""
        size = self.qkv.in_features
        weights = torch.split(self.qkv.weight, [size, 2 * size])
        return weights, (None, None) if self.qkv.bias is None else torch.split(self.qkv.bias, [size, 2 * size])

    def _maps(self, maps_TX: Tensor, stream: Stream, names: tuple[str, ...]) -> Tensor:
        """[T, C·H·E] to [T, C, H, E], queries and keys normed and turned where the config says so."""
        shape = (len(maps_TX), len(names), self.num_heads, self.head_size)
        if self.query_norm is not None and self.key_norm is not None:
            norms = {"query": self.query_norm, "key": self.key_norm}
            parts = zip(names, maps_TX.view(shape).unbind(1), strict=True)
            maps_TX = torch.stack([norms[n](part).to(part.dtype) if n in norms else part for n, part in parts], dim=1)
            maps_TX = maps_TX.flatten(1)
        if self.rotary is not None:
            maps_TX = self.rotary(maps_TX, stream, len(names), sum(name != "value" for name in names))
        return maps_TX.view(shape)


def _rotary(config: TransformerConfig, window: int | None) -> Rotary | None:
    choice = config.position
    if not isinstance(choice, RotaryChoice):
        return None
    is_local = window is not None and choice.local_base is not None
    return Rotary(choice.local_base if is_local and choice.local_base else choice.base, config.head_size)
