"""Positions as modules: learned and sinusoidal vectors added to the token's, rotary angles for queries and keys.

Dimensions: T tokens, D hidden size, C maps of the C·H·E wide input (queries, keys, values), H heads, E head size.

Rotary pairs dimension i with i + E/2 (the layout of GPT-NeoX and of Hugging Face's models), where Su et al. (2021,
equation 34) pair neighbours: the same up to an order of the dimensions.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pretune.core.stream import Stream
from pretune.nn import config
from pretune.nn.initial import Embedding


def check_positions(stream: Stream, max_positions: int) -> None:
    """Raises ValueError for a sequence longer than the positions there are. Looks at host lengths only."""
    check_width(int(stream.lengths_N.max(initial=0)), max_positions)


def check_width(longest: int, max_positions: int) -> None:
    """Raises ValueError where a sequence is to become longer than there are positions."""
    if longest > max_positions:
        raise ValueError(f"a sequence of {longest} tokens is longer than the {max_positions} positions of this model")


class Learned(nn.Module):
    """A vector for each position: positions_T to [T, D]."""

    def __init__(self, settings: config.Learned, hidden_size: int) -> None:
        super().__init__()
        self.first = settings.first
        self.embedding = Embedding(settings.first + settings.max_positions, hidden_size)

    @property
    def num_positions(self) -> int:
        return self.embedding.num_embeddings - self.first

    def forward(self, stream: Stream) -> Tensor:
        check_positions(stream, self.num_positions)
        return F.embedding(stream.positions_T + self.first, self.embedding.weight)


class Sinusoidal(nn.Module):
    """Vaswani et al. (2017, section 3.5): dimension 2i is sin(p / base^(2i/D)), dimension 2i + 1 its cosine; not
    interleaved, all sines stand before all cosines."""

    table_PD: Tensor

    def __init__(self, settings: config.Sinusoidal, hidden_size: int) -> None:
        super().__init__()
        self.register_buffer("table_PD", _sinusoids(settings, hidden_size), persistent=False)

    @property
    def num_positions(self) -> int:
        return len(self.table_PD)

    def forward(self, stream: Stream) -> Tensor:
        check_positions(stream, self.num_positions)
        return F.embedding(stream.positions_T, self.table_PD)


def _sinusoids(settings: config.Sinusoidal, hidden_size: int) -> Tensor:
    """[P, D] fp32, from angles in fp64, for far positions; numpy's, for on the meta device torch would load seconds of
    code to multiply by a number. There the table is empty."""
    if torch.empty(0).is_meta:
        return torch.empty(settings.max_positions, hidden_size)
    rates = settings.base ** -(np.arange(0, hidden_size, 2) / hidden_size)
    angles = np.outer(np.arange(settings.max_positions), rates)
    waves = [np.sin(angles), np.cos(angles)]
    table_PD = np.stack(waves, -1).reshape(len(angles), -1) if settings.interleaved else np.concatenate(waves, -1)
    return torch.from_numpy(table_PD[:, :hidden_size].astype(np.float32))


def frequencies(size: int, base: float) -> Tensor:
    """Angles a position, [ceil(size / 2)] fp32, from 1 down to about 1 / base."""
    return 1.0 / (base ** (torch.arange(0, size, 2).float() / size))


def scaled(rates: Tensor, scaling: config.Llama3Scaling) -> Tensor:
    """Angles a position with their long wavelengths made longer.

    >>> scaled(torch.tensor([1.0, 0.01, 0.0001]), config.Llama3Scaling(8.0, 1.0, 4.0, 1000))
    tensor([1.0000e+00, 2.9754e-03, 1.2500e-05])
    """
    turns = rates * scaling.original_max_positions / (2 * math.pi)  # over as many positions as there were at first
    share = (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)
    share = share.clamp(0, 1)  # of the wavelength as it was
    return (1 - share) * rates / scaling.factor + share * rates


class Rotary(nn.Module):
    """Turns queries and keys by their positions' angles, in fp32 angles cast to the input's type."""

    def __init__(self, base: float, head_size: int, scaling: config.Llama3Scaling | None = None) -> None:
        super().__init__()
        self.base = base
        self.head_size = head_size
        self.scaling = scaling

    def angles(self, stream: Stream, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines [T, 1, 1, E/2], computed once a stream and kept in its cache."""
        key = ("rotary", self.base, self.head_size, self.scaling, dtype)
        if key not in stream.cache:
            rates = frequencies(self.head_size, self.base)
            rates = rates if self.scaling is None else scaled(rates, self.scaling)
            angles = torch.outer(stream.positions_T.float(), rates.to(stream.positions_T.device))[:, None, None]
            stream.cache[key] = (angles.cos().to(dtype), angles.sin().to(dtype))
        return stream.cache[key]  # type: ignore[no-any-return]

    def forward(self, maps_TX: Tensor, stream: Stream, num_maps: int, num_turned: int) -> Tensor:
        """maps_TX, [T, C·H·E] with C = num_maps, with its first `num_turned` maps turned **in place**.

        The input is what a linear map just gave, and no backward needs it: turning it where it lies saves a copy.
        """
        cos, sin = self.angles(stream, maps_TX.dtype)
        return _Turn.apply(maps_TX, cos, sin, num_maps, num_turned)  # type: ignore[no-any-return, no-untyped-call]


class _Turn(torch.autograd.Function):
    """Rotation in place; its backward is the rotation by the opposite angle, in a copy."""

    @staticmethod
    def forward(ctx: Any, maps_TX: Tensor, cos: Tensor, sin: Tensor, num_maps: int, num_turned: int) -> Tensor:
        ctx.mark_dirty(maps_TX)
        ctx.save_for_backward(cos, sin)
        ctx.num_maps, ctx.num_turned = num_maps, num_turned
        _turn_(maps_TX, cos, sin, num_maps, num_turned)
        return maps_TX

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TX: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        grad_TX = grad_TX.clone(memory_format=torch.contiguous_format)
        _turn_(grad_TX, cos, -sin, ctx.num_maps, ctx.num_turned)
        return grad_TX, None, None, None, None


def _turn_(maps_TX: Tensor, cos: Tensor, sin: Tensor, num_maps: int, num_turned: int) -> None:
    half = cos.shape[-1]
    heads = maps_TX.shape[1] // (num_maps * 2 * half)
    halves = maps_TX.view(len(maps_TX), num_maps, heads, 2, half)[:, :num_turned]
    first, second = halves.unbind(3)
    crossed = first * sin
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).add_(crossed)
