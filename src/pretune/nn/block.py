"""One block for every Transformer family: self-attention and feed-forward, each added to the residual.

Post-norm (Vaswani et al. 2017): x = norm(x + part(x)). Pre-norm (Xiong et al. 2020): x = x + part(norm(x)).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn.attention import SelfAttention
from pretune.nn.config import TransformerConfig
from pretune.nn.feed_forward import FeedForward
from pretune.nn.norms import make_norm
from pretune.nn.rows import take


class Block(nn.Module):
    """x_TD to [T, D]; with rows to read, to [R, D], equal to those rows of the whole.

    `attention_norm` is None in the first layer of a pre-norm body whose embeddings have a norm (ModernBERT), unless it
    shares its weights with others.
    """

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.is_pre = config.placement == "pre"
        self.dropout = config.hidden_dropout
        self.attention = SelfAttention(config, layer)
        self.feed_forward = FeedForward(config.hidden_size, config.feed_forward)
        is_first = layer == 0 and config.num_groups is None
        has_norm = not (self.is_pre and config.embedding_norm and is_first)
        self.attention_norm = make_norm(config.norm, config.hidden_size) if has_norm else None
        self.feed_forward_norm = make_norm(config.norm, config.hidden_size)

    def forward(self, x_TD: Tensor, stream: Stream, read: Stream | None = None, rows_R: Tensor | None = None) -> Tensor:
        inner = self.attention_norm(x_TD) if self.is_pre and self.attention_norm is not None else x_TD
        added = self._drop(self.attention(inner, stream, read, rows_R))
        x = (x_TD if rows_R is None else take(x_TD, rows_R)) + added
        if self.is_pre:
            return x + self._drop(self.feed_forward(self.feed_forward_norm(x)))
        if self.attention_norm is not None:
            x = self.attention_norm(x)
        return self.feed_forward_norm(x + self._drop(self.feed_forward(x)))  # type: ignore[no-any-return]

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.dropout and self.training else x
