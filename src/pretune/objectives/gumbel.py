"""Samples of a softmax by Gumbel noise that a number a row decides: argmax(logits + noise) (Gumbel 1954; "Gumbel-max").

google-research/electra draws V uniforms a row on the device; in a batch they would be larger than all the rest of it. A
row brings one number of 63 bits instead, and its noise for token v is made of the v-th output of SplitMix64 (Steele et
al. 2014) seeded with it. So a batch alone decides its noise, on any device and in any micro-batch.

Why not one uniform a row and the cumulative distribution: over a large vocabulary the last bits of the logits move all
of its borders, and which sample is drawn would depend on how a batch was cut. The largest of V sums is rarely close.

Dimensions: M rows, V vocabulary.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEP, FIRST, SECOND = (number - (1 << 64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""SplitMix64's constants as signed numbers; products wrap, as they should."""
CPU_ENTRIES, GPU_ENTRIES = 1 << 17, 1 << 24
"""Noise is made for so many entries at a time, so that it stays in the cache, or in bounds."""


def noise_keys(rng: np.random.Generator, num_rows: int) -> NDArray[np.int64]:
    """A number for each row that will be sampled."""
    return rng.integers(0, 1 << 63, num_rows, dtype=np.int64)


def gumbel_noise(keys_M: Tensor, size: int) -> Tensor:
    """Standard Gumbel noise, [M, V] fp32 for V = size, from -2.8 to 16.6: uniforms have 23 bits.

    >>> gumbel_noise(torch.tensor([1, 2]), 3)
    tensor([[0.5653, 1.2265, 3.5259],
            [0.6432, 1.2420, 0.6575]])
    """
    bits_MV = keys_M[:, None] + torch.arange(1, size + 1, device=keys_M.device) * STEP
    bits_MV ^= _shifted(bits_MV, 30)
    bits_MV *= FIRST
    bits_MV ^= _shifted(bits_MV, 27)
    bits_MV *= SECOND
    bits_MV ^= _shifted(bits_MV, 31)
    uniform_MV = _shifted(bits_MV, 41).float().add_(0.5).mul_(2.0**-23)
    return uniform_MV.log_().neg_().log_().neg_()


def gumbel_sample(logits_MV: Tensor, keys_M: Tensor) -> Tensor:
    """A class for each row, [M], drawn from its softmax. No gradient flows through it.

    >>> logits_MV = torch.tensor([0.5, 0.3, 0.2]).log().expand(10_000, 3)
    >>> drawn_M = gumbel_sample(logits_MV, torch.from_numpy(noise_keys(np.random.default_rng(0), 10_000)))
    >>> drawn_M.bincount() / 10_000
    tensor([0.4887, 0.3023, 0.2090])
    """
    logits_MV, size = logits_MV.detach(), logits_MV.shape[1]
    num_rows = max(1, (CPU_ENTRIES if logits_MV.device.type == "cpu" else GPU_ENTRIES) // size)
    drawn = [
        (logits + gumbel_noise(keys, size)).argmax(1)
        for logits, keys in zip(torch.split(logits_MV, num_rows), torch.split(keys_M, num_rows), strict=True)
    ]
    return torch.cat(drawn)


def _shifted(bits: Tensor, number: int) -> Tensor:
    """A logical shift to the right: the sign is a bit like others."""
    return (bits >> number).bitwise_and_((1 << (64 - number)) - 1)
