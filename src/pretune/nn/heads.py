"""Heads read rows: each is called `head(hidden_MKD, targets)` and gives one output for each of the M predictions.

Dimensions: M predictions, K rows a prediction reads (1; of a span boundary 2), U texts, D hidden size, V vocabulary,
C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Targets
from pretune.nn.body import Body
from pretune.nn.config import HeadTransform, Init, LMHead, Norm
from pretune.nn.initial import Embedding, Linear, initialise
from pretune.nn.kernels.dropout import dropout
from pretune.nn.norms import make_norm
from pretune.nn.pooling import AttentionPooling, Pooling, group_max, group_mean, last_max_mean, texts_of


class Transform(nn.Module):
    """Dense, activation and, if the settings have one, a norm. BERT's pooler is one with tanh and no norm.

    input_size: of what it maps to hidden_size; None: the same.
    """

    def __init__(self, hidden_size: int, settings: HeadTransform, input_size: int | None = None) -> None:
        super().__init__()
        self.dense = Linear(input_size or hidden_size, hidden_size, bias=settings.bias)
        self.activation = settings.activation
        self.norm = None if settings.norm is None else make_norm(settings.norm, hidden_size)

    def forward(self, x_MD: Tensor) -> Tensor:
        x_MD = self.dense(x_MD, self.activation)
        return x_MD if self.norm is None else self.norm(x_MD)


class MaskedLMHead(nn.Module):
    """Logits over the vocabulary at the read rows, [M, V].

    Tied: `decoder.weight` is the very Parameter `body.token_embedding.weight`.
    """

    def __init__(self, body: Body, settings: LMHead, init: Init, seed: int = 0) -> None:
        super().__init__()
        vocab_size, token_size = body.token_embedding.weight.shape
        hidden_size: int = body.config.hidden_size
        if settings.transform is None and token_size != hidden_size:
            raise ValueError(f"rows of {hidden_size} need a transform to meet token vectors of {token_size}")
        self.transform = None if settings.transform is None else Transform(token_size, settings.transform, hidden_size)
        self.decoder = Linear(token_size, vocab_size, bias=settings.bias)
        self.scale = hidden_size**-0.5 if settings.scaled else None
        if settings.tied:
            self.decoder.weight = body.token_embedding.weight
        initialise(self, init, seed, keep=body)

    def forward(self, hidden_MKD: Tensor, targets: Targets | None = None) -> Tensor:
        x_MD = one_row(hidden_MKD)
        x_MD = x_MD if self.scale is None else x_MD * self.scale
        return self.decoder(x_MD if self.transform is None else self.transform(x_MD))  # type: ignore[no-any-return]


class SpanBoundaryHead(nn.Module):
    """Logits of a span's token, [M, V], from the two rows outside the span and the token's place in it, `given_M`.

    Joshi et al. 2020 ("SpanBERT"), section 3.2: position embeddings of 200, two layers with GELU and LayerNorm; the
    output matrix is the token embedding's, with a bias of its own (facebookresearch/SpanBERT, pair_bert.py).
    """

    def __init__(
        self, body: Body, init: Init, seed: int = 0, num_positions: int = 20, position_size: int = 200
    ) -> None:
        super().__init__()
        vocab_size, token_size = body.token_embedding.weight.shape
        hidden_size: int = body.config.hidden_size
        layer = HeadTransform("gelu", bias=True, norm=Norm("layer", eps=1e-12))
        self.position = Embedding(num_positions, position_size)
        self.first = Transform(hidden_size, layer, 2 * hidden_size + position_size)
        self.second = Transform(token_size, layer, hidden_size)
        self.decoder = Linear(token_size, vocab_size)
        self.decoder.weight = body.token_embedding.weight
        initialise(self, init, seed, keep=body)

    def forward(self, hidden_MKD: Tensor, targets: Targets) -> Tensor:
        if hidden_MKD.shape[1] != 2 or targets.given_M is None:
            raise ValueError("this head reads two rows a prediction, the ones outside a span, and a place in the span")
        place_MP = F.embedding(targets.given_M, self.position.weight)
        x_MX = torch.cat([hidden_MKD.flatten(1), place_MP.to(hidden_MKD.dtype)], dim=1)
        return self.decoder(self.second(self.first(x_MX)))  # type: ignore[no-any-return]


class ClassificationHead(nn.Module):
    """Logits of classes, [M, C]; with one label a value, [M, 1].

    pooling "row": each prediction reads its own row, the summary row of a text or a token of it.
    drop_input: dropout also before the transform (RoBERTa, ELECTRA).
    Others (`pooling.py`): the rows of a text are predictions of one group, and every one of them gets the logits of the
    text's vector. With weights of 1 / rows the loss and its count are then those of one prediction a text.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        init: Init,
        *,
        transform: HeadTransform | None = None,
        pooling: Pooling = "row",
        dropout: float = 0.0,
        bias: bool = True,
        drop_input: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.drop_input = drop_input
        self.dropout = dropout
        self.attention = AttentionPooling(hidden_size) if pooling == "attention" else None
        pooled_size = 3 * hidden_size if pooling == "concat" else hidden_size
        self.transform = None if transform is None else Transform(hidden_size, transform, pooled_size)
        self.classifier = Linear(pooled_size if transform is None else hidden_size, num_labels, bias=bias)
        initialise(self, init, seed)

    def forward(self, hidden_MKD: Tensor, targets: Targets) -> Tensor:
        x_MD = one_row(hidden_MKD)
        if self.pooling == "row":
            return self._classify(x_MD)
        text_M = texts_of(targets)
        return self._classify(self._pool(x_MD, text_M)).index_select(0, text_M)

    def _pool(self, x_MD: Tensor, text_M: Tensor) -> Tensor:
        if self.attention is not None:
            return self.attention(x_MD, text_M)  # type: ignore[no-any-return]
        if self.pooling == "concat":
            return last_max_mean(x_MD, text_M)
        return group_max(x_MD, text_M) if self.pooling == "max" else group_mean(x_MD, text_M)

    def _classify(self, x_MD: Tensor) -> Tensor:
        if self.drop_input:
            x_MD = self._drop(x_MD)
        if self.transform is not None:
            x_MD = self.transform(x_MD)
        return self.classifier(self._drop(x_MD))  # type: ignore[no-any-return]

    def _drop(self, x_MD: Tensor) -> Tensor:
        return dropout(x_MD, self.dropout) if self.dropout and self.training else x_MD


def one_row(hidden_MKD: Tensor) -> Tensor:
    """[M, D] of predictions that read one row each; ValueError where they read more."""
    if hidden_MKD.shape[1] != 1:
        raise ValueError(f"this head reads one row a prediction, not {hidden_MKD.shape[1]}")
    return hidden_MKD[:, 0]
