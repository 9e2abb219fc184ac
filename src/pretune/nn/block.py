"""One block for every Transformer family: self-attention and feed-forward, each added to the residual; between them, in
a decoder that stands beside an encoder, attention to the encoder's rows.

Post-norm (Vaswani et al. 2017): x = norm(x + part(x)). Pre-norm (Xiong et al. 2020): x = x + part(norm(x)).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn.attention import CrossAttention, PassBias, SelfAttention, Source
from pretune.nn.cache import Cache, Step
from pretune.nn.config import TransformerConfig
from pretune.nn.feed_forward import FeedForward
from pretune.nn.kernels.dropout import add_dropped
from pretune.nn.norms import make_norm
from pretune.nn.rows import take


@dataclass(frozen=True, eq=False)
class Pass:
    """What the blocks of a body share in one forward pass: the stream, a bias of the scores, the encoder's rows for a
    decoder, and where keys and values are kept for going on."""

    stream: Stream
    bias: PassBias | None = None
    source: Source | None = None
    cache: Cache | None = None


class Block(nn.Module):
    """x_TD to [T, D]; with rows to read, to [R, D], equal to those rows of the whole.

    `attention_norm` is None in the first layer of a pre-norm body whose embeddings have a norm (ModernBERT), unless it
    shares its weights with others. reads_source: whether it attends to an encoder's rows.
    """

    def __init__(self, config: TransformerConfig, layer: int, reads_source: bool = False) -> None:
        super().__init__()
        self.is_pre = config.placement == "pre"
        self.dropout = config.hidden_dropout
        self.attention = SelfAttention(config, layer)
        self.feed_forward = FeedForward(config.hidden_size, config.feed_forward)
        is_first = layer == 0 and config.num_groups is None
        has_norm = not (self.is_pre and config.embedding_norm and is_first)
        self.attention_norm = make_norm(config.norm, config.hidden_size) if has_norm else None
        self.cross = CrossAttention(config) if reads_source else None
        self.cross_norm = make_norm(config.norm, config.hidden_size) if reads_source else None
        self.feed_forward_norm = make_norm(config.norm, config.hidden_size)

    def forward(self, x_TD: Tensor, given: Pass, read: Stream | None = None, rows_R: Tensor | None = None) -> Tensor:
        keep = None if given.cache is None else given.cache.read
        added = self.attention(self._before(self.attention_norm, x_TD), given.stream, read, rows_R, given.bias, keep)
        x = self._after(self.attention_norm, (x_TD if rows_R is None else take(x_TD, rows_R)), added)
        if self.cross is not None and given.source is not None:
            keep = None if given.cache is None else given.cache.source
            queries = given.stream if read is None else read
            added = self.cross(self._before(self.cross_norm, x), queries, given.source, keep)
            x = self._after(self.cross_norm, x, added)
        return self._fed_forward(x)

    def step(self, x_ND: Tensor, step: Step, layer: int) -> Tensor:
        """One more row of each sequence, [N, D]. layer: whose slots are meant, where layers share a block."""
        added = self.attention.step(self._before(self.attention_norm, x_ND), step, layer)
        x = self._after(self.attention_norm, x_ND, added)
        if self.cross is not None:
            x = self._after(self.cross_norm, x, self.cross.step(self._before(self.cross_norm, x), step, layer))
        return self._fed_forward(x)

    def _fed_forward(self, x: Tensor) -> Tensor:
        norm = self.feed_forward_norm
        return self._after(norm, x, self.feed_forward(self._before(norm, x)))

    def _before(self, norm: nn.Module | None, x: Tensor) -> Tensor:
        """What a part reads."""
        return norm(x) if self.is_pre and norm is not None else x

    def _after(self, norm: nn.Module | None, x: Tensor, added: Tensor) -> Tensor:
        """The residual with what a part gave."""
        x = add_dropped(x, added, self.dropout) if self.dropout and self.training else x + added
        return x if self.is_pre or norm is None else norm(x)
