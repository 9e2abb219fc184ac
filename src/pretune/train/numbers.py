"""Numbers that go wrong: steps whose loss or gradient is not finite, weights that are not, and losses that spike.

A step that is not finite never changes the weights: the run stops there, or leaves the step out (`on_non_finite=skip`)
up to a limit. A spike is a loss more than `spike_sigma` standard deviations above the mean of the last losses; it is
recorded in metrics.jsonl with the samples it came from, and changes nothing (which batches to look at is what Chowdhery
et al. 2022, section 5.1, needed to know).
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pretune.core.errors import RunError

LEAST_LOSSES = 20
"""Losses that must have been seen before one can stand out."""
LEAST_DEVIATION = 0.01
"""Of the mean: what a deviation is taken to be at least, so that a flat curve does not spike at every breath."""


class NonFinite(RunError):
    """A step whose loss or gradient is not finite. The weights are as they were before it.

    what: which number, of which documents.
    """

    def __init__(self, step: int, what: str, documents: Sequence[int]) -> None:
        self.step, self.what, self.documents = step, what, list(documents)
        super().__init__(f"step {step}: {what}; {_named(documents)}")


@dataclass
class Numbers:
    """What went wrong so far, and the window that spikes are measured against. Travels in checkpoints."""

    window: int
    sigma: float | None
    num_skipped: int = 0
    num_spikes: int = 0
    losses: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.losses = deque(self.losses, maxlen=self.window)

    def spike(self, loss: float) -> dict[str, float] | None:
        """The facts of a spike, None for an ordinary loss. The loss joins the window."""
        found = None
        if self.sigma is not None and len(self.losses) >= min(LEAST_LOSSES, self.window):
            mean = statistics.fmean(self.losses)
            deviation = max(statistics.pstdev(self.losses, mean), LEAST_DEVIATION * abs(mean))
            if loss > mean + self.sigma * deviation:
                found = {"loss": loss, "mean": mean, "deviation": deviation}
                self.num_spikes += 1
        self.losses.append(loss)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"num_skipped": self.num_skipped, "num_spikes": self.num_spikes, "losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.num_skipped, self.num_spikes = state["num_skipped"], state["num_spikes"]
        self.losses.extend(state["losses"])

    def notes(self) -> list[str]:
        """What the user should know at the end."""
        counts = ((self.num_skipped, "were skipped: not finite"), (self.num_spikes, "had a spike of the loss"))
        return [f"{count} steps {what} (metrics.jsonl names the samples)" for count, what in counts if count]


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether every number is finite: one wait for the device, whatever the number of tensors."""
    floating = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    if not floating:
        return True
    largest = torch._foreach_norm(floating, math.inf)
    return bool(torch.stack([one.float() for one in largest]).isfinite().all())


MAX_NAMED = 20


def _named(documents: Sequence[int]) -> str:
    if not documents:
        return "the batch does not say which documents it is made of"
    more = f" and {len(documents) - MAX_NAMED} more" if len(documents) > MAX_NAMED else ""
    return f"documents in the batch: {', '.join(map(str, documents[:MAX_NAMED]))}{more}"
