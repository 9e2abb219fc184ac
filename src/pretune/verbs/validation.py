"""Validation: losses on held-out samples of a corpus, the same samples with the same masks for every model and step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.protocols import Objective
from pretune.core.stream import Batch, Example
from pretune.corpus.samples import PretrainingSource


@dataclass(frozen=True)
class Validation:
    """At most max_samples, spread over the source, in batches of at most max_tokens, like lengths together."""

    objective: Objective
    source: PretrainingSource
    max_samples: int
    max_tokens: int
    device: str

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """{loss name: nats a prediction, "loss": their weighted sum}. InputError as `check`."""
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        weights: dict[str, float] = {}
        for losses in self.losses(model):
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.sum)
                counts[name] = counts.get(name, 0.0) + loss.count
                weights[name] = loss.weight
        self._refuse_empty(counts)
        means = {name: sums[name] / counts[name] for name in sums}
        return means | {"loss": sum(weights[name] * mean for name, mean in means.items())}

    def check(self) -> None:
        """InputError where the held-out text has nothing to predict for one of the losses, which then would be 0."""
        counts: dict[str, float] = {}
        for batch in self._packed(self.examples()):
            for name, count in self.objective.counts(batch).items():
                counts[name] = counts.get(name, 0.0) + count
        self._refuse_empty(counts)

    def _refuse_empty(self, counts: Mapping[str, float]) -> None:
        if empty := [name for name, count in counts.items() if count <= 0]:
            raise InputError(
                f"nothing to predict in the held-out text: its {self.number:,} samples have no prediction for "
                f"{', '.join(empty)}; [UNK] is never predicted: does the tokenizer know this text? If it does, hold "
                "out more when the corpus is built"
            )

    def losses(self, model: nn.Module) -> Iterator[Mapping[str, Loss]]:
        """Those of each batch."""
        for batch in self.batches():
            yield self.objective.loss(model, batch)

    @property
    def number(self) -> int:
        """How many samples there are."""
        return min(len(self.source), self.max_samples)

    def examples(self) -> list[Example]:
        """The held-out samples, in the corpus's order."""
        chosen = np.linspace(0, len(self.source) - 1, self.number).astype(int)
        return [self.source.example(int(index), 0, 1.0) for index in chosen]

    def batches(self, examples: Sequence[Example] | None = None) -> Iterator[Batch]:
        """The held-out samples, or some of them, on the device."""
        for batch in self._packed(self.examples() if examples is None else examples):
            yield batch.to(self.device)

    def _packed(self, examples: Sequence[Example]) -> Iterator[Batch]:
        for numbers in cut_by_tokens([example.num_tokens for example in examples], self.max_tokens):
            yield pack([examples[index] for index in numbers])
