"""The feed-forward part of a block: two linear maps, or the gated form of Shazeer (2020, "GLU variants")."""

from torch import Tensor, nn

from pretune.nn import config
from pretune.nn.initial import Linear
from pretune.nn.kernels.dropout import dropout
from pretune.nn.kernels.linear import ACTIVATIONS


class FeedForward(nn.Module):
    """x_TD to [T, D]. Gated: `inner` gives 2F values, the first F are activated, the others are the gate."""

    def __init__(self, hidden_size: int, settings: config.FeedForward) -> None:
        super().__init__()
        size = settings.intermediate_size
        self.gated = settings.gated
        self.dropout = settings.dropout
        self.activation = settings.activation
        self.inner = Linear(hidden_size, 2 * size if self.gated else size, bias=settings.bias)
        self.inner.fused_rows = (size, size) if self.gated else ()
        self.output = Linear(size, hidden_size, bias=settings.bias)

    def forward(self, x_TD: Tensor) -> Tensor:
        if self.gated:
            value_TF, gate_TF = self.inner(x_TD).chunk(2, dim=-1)
            inner_TF = ACTIVATIONS[self.activation](value_TF) * gate_TF
        else:
            inner_TF = self.inner(x_TD, self.activation)
        return self.output(self._drop(inner_TF))  # type: ignore[no-any-return]

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout) if self.dropout and self.training else x
