"""Weights laid out for oneDNN and kept so, for inference with few rows: single texts and small batches.

oneDNN and MKL lay the weights of every call out anew. That costs as much as the product of a short text: 24 maps of
MiniLM for 10 tokens take 7.0 ms with MKL, 7.7 with oneDNN and 3.5 with weights that lie as oneDNN wants them (one core
of an AMD EPYC, family 25; 128 rows: 32, 30 and 27). Whoever predicts asks for it by `keep_packed(model)`; the layout is
made at the first call with few rows and made anew when the weights were changed or moved. It doubles the memory of the
weights, so larger batches, which hardly gain, do not make it.

What is written into `parameter.data` in place torch does not count as a change, and to find it out would mean to read
all weights at every call, which is most of what a short text costs: whoever writes so calls `keep_packed` again.

Dimensions: T rows, F rows after filling, I inputs, O outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pretune.nn.config import Activation
from pretune.nn.kernels.linear import filled, is_fit, product

MOST_ROWS = 128
FINE_ROWS, FINE_STEP, COARSE_STEP = 32, 4, 16
"""Rows are filled up to a multiple of FINE_STEP up to FINE_ROWS, then of COARSE_STEP: oneDNN keeps code for each."""


class Packed:
    """The packed form of one layer's weights, made when it is first needed. Copies of a model start without."""

    def __init__(self) -> None:
        self._made_of: tuple[int, int] | None = None
        self._packed: Tensor | None = None

    def product(
        self, x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, activation: Activation | None = None
    ) -> Tensor | None:
        """x W' + b, [T, O], activated, without gradients; None where this is not the way: many rows, gradients, other
        devices."""
        if torch.is_grad_enabled() or not is_fit(x_TI, weight_OI) or not 0 < x_TI.shape[0] <= MOST_ROWS:
            return None
        made_of = (weight_OI.data_ptr(), weight_OI._version)
        if self._packed is None or self._made_of != made_of:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight_OI.detach().contiguous(), FINE_STEP * 4)
            self._made_of = made_of
        num_rows = x_TI.shape[0]
        if missing := -num_rows % (FINE_STEP if num_rows <= FINE_ROWS else COARSE_STEP):
            y_FO = product(filled(x_TI, missing), self._packed, bias_O, activation)
            return y_FO.resize_(num_rows, y_FO.shape[1])
        return product(x_TI.contiguous(), self._packed, bias_O, activation)

    def __deepcopy__(self, memo: Any) -> "Packed":
        return Packed()

    def __reduce__(self) -> tuple[type["Packed"], tuple[()]]:
        return Packed, ()


def keep_packed(model: nn.Module) -> None:
    """Lets the linear layers of a model keep their weights packed when it computes few rows without gradients.

    What they have kept so far is given up."""
    for module in model.modules():
        if hasattr(module, "packed"):
            module.packed = Packed()  # type: ignore[assignment]
