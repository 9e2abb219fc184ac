"""Heads read rows: each is called `head(hidden_MKD, targets)` and gives one output for each of the M predictions.

Dimensions: M predictions, K rows a prediction reads (1 here), G groups, D hidden size, V vocabulary, C classes.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Targets
from pretune.nn.body import Body
from pretune.nn.config import HeadTransform, Init, LMHead
from pretune.nn.feed_forward import ACTIVATIONS
from pretune.nn.initial import Linear, initialise
from pretune.nn.norms import make_norm


class Transform(nn.Module):
    """Dense, activation and, if the settings have one, a norm. BERT's pooler is one with tanh and no norm."""

    def __init__(self, hidden_size: int, settings: HeadTransform) -> None:
        super().__init__()
        self.dense = Linear(hidden_size, hidden_size, bias=settings.bias)
        self.activation = ACTIVATIONS[settings.activation]
        self.norm = None if settings.norm is None else make_norm(settings.norm, hidden_size)

    def forward(self, x_MD: Tensor) -> Tensor:
        x_MD = self.activation(self.dense(x_MD))
        return x_MD if self.norm is None else self.norm(x_MD)


class MaskedLMHead(nn.Module):
    """Logits over the vocabulary at the read rows, [M, V].

    Tied: `decoder.weight` is the very Parameter `body.token_embedding.weight`.
    """

    def __init__(self, body: Body, settings: LMHead, init: Init, seed: int = 0) -> None:
        super().__init__()
        vocab_size, hidden_size = body.token_embedding.weight.shape
        self.transform = None if settings.transform is None else Transform(hidden_size, settings.transform)
        self.decoder = Linear(hidden_size, vocab_size, bias=settings.bias)
        if settings.tied:
            self.decoder.weight = body.token_embedding.weight
        initialise(self, init, seed, keep=body)

    def forward(self, hidden_MKD: Tensor, targets: Targets) -> Tensor:
        x_MD = one_row(hidden_MKD)
        return self.decoder(x_MD if self.transform is None else self.transform(x_MD))  # type: ignore[no-any-return]


class ClassificationHead(nn.Module):
    """Logits of classes, [M, C]; with one label a value, [M, 1].

    pooling "row": each prediction reads its own row, the summary row of a text or a token of it.
    pooling "mean": the rows of a text are predictions of one group (`group_M`), and every one of them gets the logits
    of the group's mean vector. With weights of 1 / rows the loss and its count are then those of one prediction a text.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        init: Init,
        *,
        transform: HeadTransform | None = None,
        pooling: Literal["row", "mean"] = "row",
        dropout: float = 0.0,
        bias: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = dropout
        self.transform = None if transform is None else Transform(hidden_size, transform)
        self.classifier = Linear(hidden_size, num_labels, bias=bias)
        initialise(self, init, seed)

    def forward(self, hidden_MKD: Tensor, targets: Targets) -> Tensor:
        x_MD = one_row(hidden_MKD)
        if self.pooling == "row":
            return self._classify(x_MD)
        if targets.group_M is None:
            raise ValueError("mean pooling needs group_M: the rows of a text are predictions of one group")
        return self._classify(group_mean(x_MD, targets.group_M)).index_select(0, targets.group_M)

    def _classify(self, x_MD: Tensor) -> Tensor:
        if self.transform is not None:
            x_MD = self.transform(x_MD)
        if self.dropout and self.training:
            x_MD = F.dropout(x_MD, self.dropout)
        return self.classifier(x_MD)  # type: ignore[no-any-return]


def one_row(hidden_MKD: Tensor) -> Tensor:
    """[M, D] of predictions that read one row each; ValueError where they read more."""
    if hidden_MKD.shape[1] != 1:
        raise ValueError(f"this head reads one row a prediction, not {hidden_MKD.shape[1]}")
    return hidden_MKD[:, 0]


def group_mean(x_MD: Tensor, group_M: Tensor) -> Tensor:
    """The mean vector of each group, [G, D]; groups are numbered from 0 without gaps."""
    num_groups = int(group_M.max()) + 1 if len(group_M) else 0
    sums_GD = x_MD.new_zeros(num_groups, x_MD.shape[1]).index_add(0, group_M, x_MD)
    return sums_GD / group_M.bincount(minlength=num_groups).unsqueeze(1)
