"""Validation: losses on held-out samples of a corpus, the same samples with the same masks for every model and step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from pretune.core.loss import Loss
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.protocols import Objective
from pretune.core.stream import Batch
from pretune.corpus.samples import PretrainingSource


@dataclass(frozen=True)
class Validation:
    """At most max_samples, spread over the source, in batches of at most max_tokens of neighbours."""

    objective: Objective
    source: PretrainingSource
    max_samples: int
    max_tokens: int
    device: str

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """{loss name: nats a prediction, "loss": their weighted sum}."""
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        weights: dict[str, float] = {}
        for losses in self.losses(model):
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.sum)
                counts[name] = counts.get(name, 0.0) + loss.count
                weights[name] = loss.weight
        means = {name: sums[name] / max(counts[name], 1e-12) for name in sums}
        return means | {"loss": sum(weights[name] * mean for name, mean in means.items())}

    def losses(self, model: nn.Module) -> Iterator[Mapping[str, Loss]]:
        """Those of each batch."""
        for batch in self.batches():
            yield self.objective.loss(model, batch)

    @property
    def number(self) -> int:
        """How many samples there are."""
        return min(len(self.source), self.max_samples)

    def batches(self) -> Iterator[Batch]:
        """The held-out samples, on the device."""
        chosen = np.linspace(0, len(self.source) - 1, self.number).astype(int)
        examples = [self.source.example(int(index), 0, 1.0) for index in chosen]
        for numbers in cut_by_tokens([example.num_tokens for example in examples], self.max_tokens):
            yield pack([examples[index] for index in numbers]).to(self.device)
