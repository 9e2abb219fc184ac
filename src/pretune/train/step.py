"""Model and criterion as one module, and one optimizer step: counts first, then every micro-batch, then the update.

One wrapper around both: calling parts of a model beside its wrapper diverges silently once that is DDP or FSDP2.
Each loss is divided by its own count over all micro-batches, so that accumulation equals one big batch even when two
losses have different counts; dividing afterwards does not.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pretune.core.loss import total
from pretune.core.protocols import Criterion
from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch
from pretune.train.numbers import NonFinite


class Step(nn.Module):
    """forward(batch, counts) -> (the micro-batch's share of the step's loss, {name: sum over its items})."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion

    def forward(self, batch: Batch, counts: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        losses = self.criterion.loss(self.model, batch)
        return total(losses, counts), {name: loss.sum.detach() for name, loss in losses.items()}


@dataclass(frozen=True)
class Gradients:
    """What the backward passes of a step gave. losses: means over the step's items; loss: their weighted sum."""

    loss: float
    losses: dict[str, float]
    norm: float


def sum_counts(criterion: Criterion, batches: Sequence[Batch]) -> dict[str, float]:
    """The denominators of a step: each loss's count over all its micro-batches."""
    counts: Counter[str] = Counter()
    for batch in batches:
        counts.update(criterion.counts(batch))
    return dict(counts)


def gradients(
    step: Step,
    parameters: Sequence[Tensor],
    batches: Sequence[Batch],
    place: tuple[int, int, int],
    device: torch.device,
    autocast: torch.dtype | None,
    before_each: Callable[[], object] = lambda: None,
) -> Gradients:
    """Accumulates the gradients of a step; the caller zeroes them before and clips them after.

    place: (seed, step, rank), from which dropout is reseeded in every micro-batch.
    before_each: called before each micro-batch; the step is given up if it raises.
    Raises NonFinite for a loss or a gradient that is not finite, naming the documents; the weights are untouched then.
    """
    counts = sum_counts(step.criterion, batches)
    seed, number, rank = place
    rows = []
    for index, batch in enumerate(batches):
        before_each()
        torch.manual_seed(derive_seed(seed, "dropout", number, index, rank))
        with torch.autocast(device.type, autocast or torch.bfloat16, enabled=autocast is not None):
            loss, sums = step(batch.to(device), counts)
        loss.backward()
        zero = loss.new_zeros(())
        rows.append(torch.stack([loss.detach(), *(sums.get(name, zero).reshape(()) for name in counts)]).double())
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads).double()
    *values_BL, norm_row = torch.cat([torch.stack(rows), norm.expand(1, rows[0].numel())]).tolist()  # one wait a step
    _refuse_non_finite(values_BL, norm_row[0], list(counts), batches, number)
    sums_L = np.sum(values_BL, axis=0).tolist()
    losses = {name: value / max(counts[name], 1e-12) for name, value in zip(counts, sums_L[1:], strict=True)}
    return Gradients(sums_L[0], losses, norm_row[0])


def clip(parameters: Sequence[Tensor], norm: float, limit: float | None) -> None:
    """Scales gradients of a known norm down to a limit, as torch's `clip_grad_norm_` does."""
    if limit is not None and norm > limit:
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(grads, limit / (norm + 1e-6))


def _refuse_non_finite(
    values_BL: list[list[float]], norm: float, names: list[str], batches: Sequence[Batch], step: int
) -> None:
    bad = [index for index, values in enumerate(values_BL) if not all(map(math.isfinite, values))]
    if not bad and math.isfinite(norm):
        return
    if bad:
        values = values_BL[bad[0]]
        shown = [f"{n} {v}" for n, v in zip(["total", *names], values, strict=True) if not math.isfinite(v)]
        what = f"a loss is not finite ({', '.join(shown)})"
    else:
        what = f"the gradient is not finite (norm {norm})"
    culprits = [batches[index] for index in bad] if bad else list(batches)
    raise NonFinite(step + 1, what, documents_of(culprits))


def documents_of(batches: Sequence[Batch]) -> list[int]:
    """Numbers of the documents that batches are made of, ascending; empty where they do not say."""
    origins = [np.asarray(batch.origin_E) for batch in batches if batch.origin_E is not None]
    return np.unique(np.concatenate(origins)).tolist() if origins else []
