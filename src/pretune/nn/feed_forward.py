"""The feed-forward part of a block: two linear maps, or the gated form of Shazeer (2020, "GLU variants")."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.nn import config
from pretune.nn.initial import Linear


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[config.Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class FeedForward(nn.Module):
    """x_TD to [T, D]. Gated: `inner` gives 2F values, the first F are activated, the others are the gate."""

    def __init__(self, hidden_size: int, settings: config.FeedForward) -> None:
        super().__init__()
        size = settings.intermediate_size
        self.gated = settings.gated
        self.dropout = settings.dropout
        self.activation = ACTIVATIONS[settings.activation]
        self.inner = Linear(hidden_size, 2 * size if self.gated else size, bias=settings.bias)
        self.inner.fused_rows = (size, size) if self.gated else ()
        self.output = Linear(size, hidden_size, bias=settings.bias)

    def forward(self, x_TD: Tensor) -> Tensor:
        inner = self.inner(x_TD)
        if self.gated:
            value_TF, gate_TF = inner.chunk(2, dim=-1)
            return self.output(self._drop(self.activation(value_TF) * gate_TF))  # type: ignore[no-any-return]
        return self.output(self._drop(self.activation(inner)))  # type: ignore[no-any-return]

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.dropout and self.training else x
