"""A token drawn for each sequence, by its own generator, so that no draw depends on what else is in the batch.

Dimensions: N sequences, V vocabulary.

One uniform number a token, turned into a token by the cumulative distribution in the order of ids. The same prompt with
the same seed gets the same text whatever is generated beside it, as far as its logits are the same: batches of other
shapes compute sums in other orders, which moves a logit by about 1e-6.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pretune.core.randomness import derive_rng


def generators(seed: int, prompt: Sequence[int], number: int) -> list[np.random.Generator]:
    """One for each of `number` texts of a prompt. They depend on the prompt's ids, not on its place among others, so a
    prompt that stands twice gets the same texts twice."""
    return [derive_rng(seed, "generate", " ".join(map(str, prompt)), draw) for draw in range(number)]


def draw(scores_NV: Tensor, uniforms_N: Sequence[float]) -> Tensor:
    """ids_N: for each row the token at which the cumulative probability passes the uniform number.

    >>> draw(torch.tensor([[0.2, 0.0, 0.8]]).log().expand(2, 3), [0.1, 0.3])
    tensor([0, 2])
    """
    cumulative_NV = scores_NV.double().softmax(-1).cumsum(-1)
    sought_N1 = torch.tensor(uniforms_N, dtype=torch.float64, device=scores_NV.device).unsqueeze(1)
    return torch.searchsorted(cumulative_NV, sought_N1 * cumulative_NV[:, -1:], right=True).squeeze(1)
