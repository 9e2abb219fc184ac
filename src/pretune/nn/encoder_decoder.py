"""An encoder and a decoder of the same block: the decoder reads its own sequence from left to right and, in every
layer, all rows of the encoder's output for the n-th source sequence (Vaswani et al. 2017, section 3.1).

Token vectors are shared by both stacks; positions, norms and layers are each stack's own. Heads read the decoder's
rows.

Dimensions: T tokens of the target stream, S of the source stream, R rows read, N sequences, D hidden size.
"""

from typing import Any, Literal

from torch import Tensor

from pretune.core.stream import Batch
from pretune.nn.attention import Source
from pretune.nn.body import Body
from pretune.nn.cache import Cache, Slots
from pretune.nn.config import TransformerConfig
from pretune.nn.initial import Embedding
from pretune.nn.transformer import Transformer


class EncoderDecoder(Body):
    """Two streams in, hidden vectors of the target stream out. config: with a decoder."""

    config: TransformerConfig

    def __init__(self, config: TransformerConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.token_size)
        self.encoder = Transformer(config.of_encoder, None, tokens=self.token_embedding)
        self.decoder = Transformer(config.of_decoder, None, tokens=self.token_embedding, reads_source=True)
        if seed is not None:
            self.initialise(seed)

    def forward(self, batch: Batch, rows: Tensor | None = None, layers: Literal["all"] | None = None) -> Any:
        """The decoder's hidden vectors: [T, D], or [R, D] at `rows` of the target stream; with layers="all" the list of
        its embeddings and each of its layers' output. The encoder's are `encode(batch)`.

        Raises ValueError for a batch without a target stream.
        """
        return self.decoder.run(_target(batch), rows, layers, self._source(batch))

    def encode(self, batch: Batch, layers: Literal["all"] | None = None) -> Any:
        """The encoder's hidden vectors, [S, D]; with layers="all" the list of its embeddings and layers' output."""
        return self.encoder.run(batch.source, None, layers)

    def prefill(self, batch: Batch, room: int) -> tuple[Tensor, Cache]:
        """As `Transformer.prefill`; the encoder runs once."""
        target = _target(batch)
        cache = Cache(Slots(target, room), Slots(batch.source))
        return self.decoder.fill(target, cache, self._source(batch)), cache

    def step(self, ids_N: Tensor, cache: Cache) -> Tensor:
        """As `Transformer.step`."""
        return self.decoder.step(ids_N, cache)

    def _source(self, batch: Batch) -> Source:
        return Source(self.encode(batch), batch.source)


def _target(batch: Batch) -> Any:
    if batch.target is None:
        raise ValueError("an encoder-decoder reads two streams, and the batch has no target stream")
    return batch.target
