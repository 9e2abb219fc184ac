"""A toy source, model and criterion: sequences of unequal lengths, dropout, two losses with different counts."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.randomness import derive_rng
from pretune.core.stream import Batch, Example, Targets, bidirectional
from pretune.train.config import FitSettings
from pretune.train.feed import Feed, make_feed

VOCAB = 11


@dataclass(frozen=True)
class ToySource:
    """Sequences of 2 to `max_length` ids; `token` predicts every id from itself, `whole` one class a sequence."""

    num_samples: int
    max_length: int = 8
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        return f"toy-{self.max_length}-{self.seed}"

    def __len__(self) -> int:
        return self.num_samples

    def example(self, number: int, epoch: int, progress: float) -> Example:
        ids = derive_rng(self.seed, number).integers(0, VOCAB, 2 + number % (self.max_length - 1))
        shown = derive_rng(self.seed, epoch, number).permutation(len(ids))[: 1 + len(ids) // 2]
        token = Targets(np.sort(shown)[:, None], ids[np.sort(shown)], np.ones(len(shown), np.float32))
        whole = Targets(np.array([[0]]), np.array([int(ids[0]) % 2]), np.ones(1, np.float32))
        return Example(bidirectional(ids), predict={"token": token, "whole": whole}, origin_E=np.array([number]))


class ToyBody(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 12)
        self.norm = nn.LayerNorm(12)
        self.wide = nn.Linear(12, 24)
        self.narrow = nn.Linear(24, 12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        x_TD = self.embedding(batch.source.ids_T)
        return x_TD + self.dropout(self.narrow(torch.tanh(self.wide(self.norm(x_TD)))))


class ToyModel(nn.Module):
    """Output of `token` is tied to the embedding."""

    def __init__(self, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = ToyBody(dropout)
        tied = nn.Linear(12, VOCAB)
        tied.weight = self.body.embedding.weight
        self.heads = nn.ModuleDict({"token": tied, "whole": nn.Linear(12, 2)})

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        hidden_TD = self.body(batch)
        return {head: self.heads[head](hidden_TD[t.at_MK[:, 0]]) for head, t in batch.predict.items()}


class ToyCriterion:
    def counts(self, batch: Batch) -> dict[str, float]:
        return {head: weight_sum(targets) for head, targets in batch.predict.items()}

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Loss]:
        logits = model(batch)
        return {head: cross_entropy(logits[head], targets) for head, targets in batch.predict.items()}


class PoisonedCriterion(ToyCriterion):
    """The loss of any batch that holds document `poison` is not a number."""

    def __init__(self, poison: int) -> None:
        self.poison = poison

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Loss]:
        losses = super().loss(model, batch)
        if self.poison in batch.origin_E:
            losses["token"] = Loss(losses["token"].sum * F.relu(torch.tensor(float("nan"))), losses["token"].count)
        return losses


def toy_settings(**changes) -> FitSettings:
    base = {"batch_size": 6, "max_tokens_per_batch": 12, "max_length": 8, "steps": 8, "save_every_steps": 3}
    base |= {"log_every_steps": 1, "optimizer": {"lr": 1e-2}} | changes
    return FitSettings.model_validate(base)


def toy_feed(settings: FitSettings, num_samples: int = 20) -> Feed:
    return make_feed([ToySource(num_samples, length) for _, length in settings.lengths], settings)
