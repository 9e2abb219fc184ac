"""The gradients of one step that several processes take together; `step.py` has the same for one process alone.

Each process works off its own micro-batches. What is logged and what decides (losses, the norm of the gradient, whether
all of it is finite) are sums over all of them, equal everywhere, so that all take the step or none does.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch
from pretune.train.numbers import NonFinite
from pretune.train.parallel import Parallel
from pretune.train.shards import whole
from pretune.train.step import Gradients, documents_of


def joint_gradients(
    parallel: Parallel,
    parameters: Sequence[Tensor],
    batches: Sequence[Batch],
    counts: Mapping[str, float],
    num_rounds: int,
    place: tuple[int, int, int],
    device: torch.device,
    autocast: torch.dtype | None,
) -> Gradients:
    """Accumulates the gradients of a step over micro-batches and processes. Collective.

    counts: the denominators, summed over all processes. num_rounds: `parallel.num_rounds`; rounds beyond the process's
    own micro-batches repeat its last one with weight zero. place: (seed, step, rank), from which dropout is reseeded.
    Raises NonFinite, in every process, for a loss or a gradient that is not finite in any, naming the documents.
    """
    seed, number, rank = place
    world = parallel.processes.world
    rows, used = [], []
    for index in range(num_rounds):
        is_own = index < len(batches)
        batch = batches[index if is_own else -1].to(device)
        torch.manual_seed(derive_seed(seed, "dropout", number, index, rank))
        with parallel.adding_up(index == num_rounds - 1):
            with torch.autocast(device.type, autocast or torch.bfloat16, enabled=autocast is not None):
                loss, sums, used_K = parallel.wrapper(batch, counts)
            (loss * (world if is_own else 0.0)).backward()
        if is_own:
            zero = loss.new_zeros(())
            rows.append(torch.stack([loss.detach(), *(sums.get(name, zero).reshape(()) for name in counts)]).double())
            used.append(used_K.to(device))
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = whole(torch.nn.utils.get_total_norm(grads)).double().reshape(1)
    shared = parallel.processes.sum(torch.cat([torch.stack(rows).sum(0), torch.stack(used).sum(0)]))
    norm_value, *values = torch.cat([norm, shared]).tolist()  # one wait a step
    sums_L, used_sums = values[: 1 + len(counts)], values[1 + len(counts) :]
    if not all(map(math.isfinite, [norm_value, *sums_L])):
        _refuse(parallel, norm_value, sums_L, list(counts), rows, batches, number)
    parallel.drop_unused(used_sums)
    losses = {name: value / max(counts[name], 1e-12) for name, value in zip(counts, sums_L[1:], strict=True)}
    return Gradients(sums_L[0], losses, norm_value)


def _refuse(
    parallel: Parallel,
    norm: float,
    sums_L: Sequence[float],
    names: Sequence[str],
    rows: Sequence[Tensor],
    batches: Sequence[Batch],
    step: int,
) -> None:
    """Raises NonFinite with the documents of everybody's bad micro-batches, or of all if only the gradient is bad."""
    shown = [f"{n} {v}" for n, v in zip(["total", *names], sums_L, strict=True) if not math.isfinite(v)]
    if shown:
        what = f"a loss is not finite ({', '.join(shown)})"
        own = [batch for batch, row in zip(batches, rows, strict=True) if not row.isfinite().all()]
    else:
        what = f"the gradient is not finite (norm {norm})"
        own = list(batches)
    everybodys = parallel.processes.gather_json(documents_of(own))
    raise NonFinite(step + 1, what, sorted({number for numbers in everybodys for number in numbers}))
