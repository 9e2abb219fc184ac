"""Norms as modules: LayerNorm (Ba et al. 2016) with or without bias, RMSNorm (Zhang and Sennrich 2019)."""

from torch import nn

from pretune.nn.config import Norm


def make_norm(norm: Norm, size: int) -> nn.Module:
    """The norm over a last dimension of `size`. Its parameters are `weight` and, if it has one, `bias`."""
    if norm.kind == "rms":
        return nn.RMSNorm(size, eps=norm.eps)
    return nn.LayerNorm(size, eps=norm.eps, bias=norm.bias)
