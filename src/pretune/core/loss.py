"""Loss(sum, count) and how losses add up.

Losses are (sum, count), and counts come first: the loop sums `counts` over micro-batches and processes before the first
backward and divides each loss by its own total.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pretune.core.stream import Targets


@dataclass(frozen=True)
class Loss:
    """The sum of a loss over its items, how many (or how much weight) there were, and its weight in the total."""

    sum: Tensor
    count: float
    weight: float = 1.0


def weight_sum(targets: Targets) -> float:
    """The denominator of a mean over predictions: the sum of their weights."""
    return float(len(targets)) if targets.weight_M is None else float(targets.weight_M.sum())


def cross_entropy(logits_MV: Tensor, targets: Targets, label_smoothing: float = 0.0) -> Loss:
    """Weighted cross-entropy in nats, summed in fp32. gold_M are classes, or gold_MC distributions."""
    logits_MV, gold = logits_MV.float(), targets.gold_M
    if gold.dim() == 1 and not label_smoothing:
        each_M = _ClassEntropy.apply(logits_MV, gold)  # type: ignore[no-untyped-call]
    else:
        each_M = F.cross_entropy(logits_MV, gold, reduction="none", label_smoothing=label_smoothing)
    if targets.weight_M is not None:
        each_M = each_M * targets.weight_M
    return Loss(each_M.sum(), weight_sum(targets))


class _ClassEntropy(torch.autograd.Function):
    """-log softmax(logits)[gold] for each row. One [M, V] matrix where torch's own holds three: the log-probabilities
    of the forward pass become the gradient where they lie (so a second backward through one graph is refused)."""

    @staticmethod
    def forward(ctx: Any, logits_MV: Tensor, gold_M: Tensor) -> Tensor:
        log_probabilities_MV = logits_MV.log_softmax(-1)
        ctx.save_for_backward(log_probabilities_MV, gold_M)
        return -log_probabilities_MV.gather(1, gold_M[:, None])[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor, None]:
        log_probabilities_MV, gold_M = ctx.saved_tensors
        grad_MV = log_probabilities_MV.exp_()
        grad_MV.scatter_add_(1, gold_M[:, None], grad_MV.new_full((len(gold_M), 1), -1.0))
        return grad_MV.mul_(grad_M[:, None]), None


def total(losses: Mapping[str, Loss], counts: Mapping[str, float]) -> Tensor:
    """The weighted sum of the losses, each divided by its own total count (over micro-batches and processes)."""
    parts = [loss.weight * loss.sum / max(counts[name], 1e-12) for name, loss in losses.items()]
    return torch.stack([part.reshape(()) for part in parts]).sum()
