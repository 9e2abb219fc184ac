"""Heads of siamese encoders: the vector of a text, and classes of two vectors (Reimers and Gurevych 2019, section 3).

Both texts of a pair go through the same body, as sequences of one packed stream; a text's vector is the mean, the
maximum, row by row, or the first row of its last layer, special tokens included.

Dimensions: M rows, K rows a prediction reads (1 here), U texts, G pairs, D hidden size, C classes.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Targets
from pretune.nn.config import Init
from pretune.nn.heads import one_row
from pretune.nn.initial import Linear, initialise
from pretune.nn.pooling import group_max, group_mean, texts_of

EmbeddingPooling = Literal["row", "mean", "max"]


class EmbeddingHead(nn.Module):
    """The vector of each text, [U, D], in the order of their rows. It has no weights.

    pooling: "row", where each text is one prediction at its summary row, or over all rows of a text (`pooling.py`).
    normalize: vectors have length 1.
    """

    def __init__(self, pooling: EmbeddingPooling = "mean", normalize: bool = False) -> None:
        super().__init__()
        self.pooling = pooling
        self.normalize = normalize

    def forward(self, hidden_MKD: Tensor, targets: Targets) -> Tensor:
        x_MD = one_row(hidden_MKD)
        if self.pooling != "row":
            text_M = texts_of(targets)
            x_MD = group_max(x_MD, text_M) if self.pooling == "max" else group_mean(x_MD, text_M)
        return F.normalize(x_MD, dim=-1) if self.normalize else x_MD


class SiameseHead(nn.Module):
    """Logits of classes, [G, C], of W [u; v; |u - v|] for two vectors u and v (section 3, equation 1), with a bias."""

    def __init__(self, hidden_size: int, num_labels: int, init: Init, seed: int = 0) -> None:
        super().__init__()
        self.classifier = Linear(3 * hidden_size, num_labels)
        initialise(self, init, seed)

    def forward(self, u_GD: Tensor, v_GD: Tensor) -> Tensor:
        return self.classifier(torch.cat([u_GD, v_GD, (u_GD - v_GD).abs()], -1))  # type: ignore[no-any-return]
