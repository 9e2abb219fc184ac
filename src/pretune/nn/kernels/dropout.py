"""Dropout (Srivastava et al. 2014) with cheap random bits on CPUs; torch's own elsewhere.

torch draws a Bernoulli number for each value: 1.9 ms for 832 x 384 on two cores of an AMD EPYC (family 25), in all a
twelfth of a step that fine-tunes a small encoder. Here a value takes 16 bits of NumPy's SFC64, whose seed comes from
torch's generator: 0.3 ms. A saved state of torch's generator therefore brings the same masks back, with any number of
threads. A rate is taken to the nearest 65,536th (0.1 is 0.100006), and kept values are scaled by exactly the share that
is kept, so that the mean stays.

Dimensions: N sequences, H heads, Q queries, K keys, E head size.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 1 << 16
"""So many rates can be told apart."""
LOWEST = -(1 << 15)
"""The lowest of as many 16-bit numbers."""


def dropout(x: Tensor, rate: float) -> Tensor:
    """x with values set to zero at this rate, the others scaled up so that the mean stays; 0 <= rate <= 1."""
    return x * scales(x, rate) if _is_fit(x, rate) else F.dropout(x, rate)


def add_dropped(x: Tensor, added: Tensor, rate: float) -> Tensor:
    """x + dropout(added, rate), of one shape."""
    if not _is_fit(added, rate) or x.dtype != added.dtype:
        return x + F.dropout(added, rate)
    return torch.addcmul(x, added, scales(added, rate))


def mixed_and_dropped(
    q_NHQE: Tensor,
    k_NHKE: Tensor,
    v_NHKE: Tensor,
    mask: Tensor | None,
    rate: float,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` with probabilities dropped out, [N, H, Q, E], for what
    `has_own_bits`: the values weighted by the probabilities that are kept. mask: added to the scaled products."""
    scale = q_NHQE.shape[-1] ** -0.5 if scale is None else scale
    scores_NHQK = (q_NHQE * scale) @ k_NHKE.transpose(-2, -1)
    if is_causal:
        mask = torch.full(scores_NHQK.shape[-2:], -torch.inf).triu_(1)
    if mask is None:
        probabilities_NHQK = scores_NHQK.softmax(dim=-1)
    else:  # zeros where nothing is seen
        probabilities_NHQK = torch.ops.aten._safe_softmax(scores_NHQK + mask, -1)
    return dropout(probabilities_NHQK, rate) @ v_NHKE


def _is_fit(x: Tensor, rate: float) -> bool:
    return 0 <= rate < 1 and has_own_bits(x)


def has_own_bits(x: Tensor) -> bool:
    """Whether bits are drawn here: float32 on a CPU, outside of compilers."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
    )


def scales(x: Tensor, rate: float) -> Tensor:
    """What x's values are multiplied by: 0, or what makes up for the dropped ones. float32, of x's shape."""
    num_dropped = min(round(rate * STEPS), STEPS - 1)
    seed = int(torch.randint(1 << 62, (), dtype=torch.int64))
    words = np.random.SFC64(seed).random_raw(-(-x.numel() // 4))
    bits = torch.from_numpy(words.view(np.int16))[: x.numel()].view(x.shape)
    return (bits >= LOWEST + num_dropped).to(torch.float32).mul_(STEPS / (STEPS - num_dropped))
