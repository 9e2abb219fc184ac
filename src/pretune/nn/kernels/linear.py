"""The linear map, and what may follow it, through oneDNN on CPUs with AVX-512, where it is large enough; torch's own
elsewhere.

torch multiplies fp32 matrices on CPU with MKL, which uses no AVX-512 on processors that are not Intel's: 100 GFLOP/s a
core against oneDNN's 230 on an AMD EPYC (family 26), forward, and 230 and 140 to 215 for the two products backward. The
results differ in the order of sums only. oneDNN is part of torch, reached by the operator that its compiler uses too;
`torch.backends.mkldnn.enabled = False` turns it off. Not measured on Intel's, where both should be equal.

oneDNN makes code for each shape it meets and keeps it, 0.7 MB for each; packed batches have another number of rows each
time. Rows are therefore filled up with zeros to a multiple of 64 (16 where they are few): a copy, but less than making
the code anew (19 -> 16 ms for the three products at 2,000 x 256 x 1,024), and memory stays bounded.

Without gradients the activation is part of oneDNN's product, while its values are still in registers.

Dimensions: T rows, F rows after filling, I inputs, O outputs.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pretune.nn.config import Activation


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
_NAMES = {
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
    "tanh": ("tanh", ""),
}
"""Ours -> the operator's attribute and algorithm."""

LEAST_PRODUCTS = 1 << 20
"""Multiplications from which the call pays: below, oneDNN's overhead of some 10 microseconds is more than it saves."""
FEW_ROWS, FINE_ROWS, COARSE_ROWS = 512, 16, 64
"""Rows are filled up to a multiple of FINE_ROWS below FEW_ROWS, of COARSE_ROWS from there on."""

_HAS_IT = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
_POINTWISE: Any = torch.ops.mkldnn._linear_pointwise.default if _HAS_IT else None


def linear(
    x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None, activation: Activation | None = None
) -> Tensor:
    """x W' + b, [T, O], activated where it is told how; as `torch.nn.functional.linear` up to the order of sums. It has
    no second derivative."""
    if not _pays(x_TI, weight_OI):
        y_TO = F.linear(x_TI, weight_OI, bias_O)
    elif torch.is_grad_enabled():
        y_TO = _Linear.apply(x_TI, weight_OI, bias_O)  # type: ignore[no-untyped-call]
    else:
        return _cut(product(_filled(x_TI), weight_OI.contiguous(), bias_O, activation), len(x_TI))
    return y_TO if activation is None else ACTIVATIONS[activation](y_TO)


def _pays(x_TI: Tensor, weight_OI: Tensor) -> bool:
    return x_TI.dim() == 2 and x_TI.shape[0] * weight_OI.numel() >= LEAST_PRODUCTS and is_fit(x_TI, weight_OI)


def is_fit(x_TI: Tensor, weight_OI: Tensor) -> bool:
    """Whether oneDNN can be called with these two."""
    return (
        _HAS_IT
        and x_TI.dim() == 2
        and x_TI.dtype == weight_OI.dtype == torch.float32
        and x_TI.device.type == weight_OI.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and bool(torch.backends.mkldnn.enabled)
    )


def product(a_RI: Tensor, b_CI: Tensor, bias_C: Tensor | None = None, activation: Activation | None = None) -> Tensor:
    """a b' + bias by oneDNN, activated. Transposed views are read where they lie."""
    name, algorithm = ("none", "") if activation is None else _NAMES[activation]
    return _POINTWISE(a_RI, b_CI, bias_C, name, [], algorithm)  # type: ignore[no-any-return]


def _weight_gradient(grad_FO: Tensor, x_FI: Tensor) -> Tensor:
    """grad' x, [O, I]. oneDNN lays its first matrix out anew where it is transposed: grad, or x where copying x and
    the result, which is transposed then, is less. A vocabulary's matrix and few rows: 80 against 62 GFLOP/s."""
    num_rows, num_outputs = grad_FO.shape
    num_inputs = x_FI.shape[1]
    if num_rows * num_outputs > (num_rows + num_outputs) * num_inputs:
        return product(x_FI.t(), grad_FO.t()).t().contiguous()
    return product(grad_FO.t(), x_FI.t())


def _filled(x_TI: Tensor) -> Tensor:
    """x, contiguous, with rows of zeros up to the next size that oneDNN is called with; x itself where it has one."""
    num_rows = x_TI.shape[0]
    step = COARSE_ROWS if num_rows >= FEW_ROWS else FINE_ROWS
    missing = -num_rows % step
    return x_TI.contiguous() if not missing else filled(x_TI, missing)


def filled(x_TI: Tensor, missing: int) -> Tensor:
    """x with rows of zeros behind it. (`F.pad` writes zeros everywhere first.)"""
    num_rows, size = x_TI.shape
    x_FI = x_TI.new_empty(num_rows + missing, size)
    x_FI[:num_rows] = x_TI
    x_FI[num_rows:] = 0
    return x_FI


def _cut(y_FO: Tensor, num_rows: int) -> Tensor:
    """The first rows. Not a view, which nobody could change in place: the same memory, with its end left out."""
    return y_FO.resize_(num_rows, y_FO.shape[1])


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        x_FI, weight_OI = _filled(x_TI), weight_OI.contiguous()
        ctx.save_for_backward(x_FI, weight_OI)
        return _cut(product(x_FI, weight_OI, bias_O), len(x_TI))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TO: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x_FI, weight_OI = ctx.saved_tensors
        grad_FO = _filled(grad_TO)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _cut(product(grad_FO, weight_OI.t()), len(grad_TO)) if needs_x else None,
            _weight_gradient(grad_FO, x_FI) if needs_weight else None,
            grad_TO.sum(0) if needs_bias else None,
        )
