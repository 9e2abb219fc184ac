"""The Transformer body: embeddings, blocks, and the last layer at read rows only.

Dimensions: T tokens of the source stream, R rows read, D hidden size.

The last layer computes queries, its output map and feed-forward only at the rows that are read; keys and values exist
everywhere. This is exact, not an approximation: no later layer reads the other rows.
"""

from dataclasses import replace
from typing import Any, Literal, Self

import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch, Stream, left_to_right
from pretune.nn import config as choices
from pretune.nn.bilstm import BiLSTM
from pretune.nn.block import Block
from pretune.nn.body import Body
from pretune.nn.config import TransformerConfig
from pretune.nn.initial import Embedding, Linear, initialise
from pretune.nn.layout import read_rows
from pretune.nn.norms import make_norm
from pretune.nn.positions import Learned, Sinusoidal
from pretune.nn.rows import take


class Transformer(Body):
    """An encoder of one stream: each sequence sees itself, as its visibility says.

    Its weights are drawn from `seed` when it is made. On the meta device, and with None, for whoever fills them with
    weights of a file, they are not.
    """

    config: TransformerConfig

    def __init__(self, config: TransformerConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        size = config.token_size
        self.token_embedding = Embedding(config.vocab_size, size)
        self.position = _added_positions(config)
        self.segment_embedding = Embedding(config.num_segments, size) if config.num_segments else None
        self.embedding_norm = make_norm(config.norm, size) if config.embedding_norm else None
        is_mapped = config.embedding_size is not None
        self.embedding_map = Linear(size, config.hidden_size) if is_mapped else None
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_groups or config.num_layers))
        self.final_norm = make_norm(config.norm, config.hidden_size) if config.final_norm else None
        self.top = BiLSTM(config.hidden_size) if config.top is not None else None
        if seed is not None:
            self.initialise(seed)

    def initialise(self, seed: int) -> None:
        """Draws the weights anew, by `config.init`."""
        initialise(self, self.config.init, seed)

    def like(self, **changes: Any) -> Self:
        """A fresh body with some fields of the config changed, its weights drawn from the seed of this body's family,
        and independent of this body's."""
        other = type(self)(replace(self.config, **changes), derive_seed(self.seed, "like"))
        other.family, other._make_head, other.seed = self.family, self._make_head, self.seed
        return other

    def embed(self, stream: Stream) -> Tensor:
        """Token, position and segment vectors added up, normed, dropped out and mapped as the config says: [T, D].

        Raises ValueError for a stream in numpy and for a sequence longer than there are positions.
        """
        if not isinstance(stream.ids_T, Tensor):
            raise ValueError("the batch is still in numpy: move it to the model's device with batch.to(device)")
        x_TD = F.embedding(stream.ids_T, self.token_embedding.weight)
        if self.segment_embedding is not None:
            x_TD = x_TD + F.embedding(stream.segment_ids_T, self.segment_embedding.weight)
        if self.position is not None:
            x_TD = x_TD + self.position(stream)
        if self.embedding_norm is not None:
            x_TD = self.embedding_norm(x_TD)
        rate = self.config.embedding_dropout
        x_TD = F.dropout(x_TD, rate) if rate and self.training else x_TD
        return x_TD if self.embedding_map is None else self.embedding_map(x_TD)

    def forward(self, batch: Batch, rows: Tensor | None = None, layers: Literal["all"] | None = None) -> Any:
        """Hidden vectors after the last layer (and the final norm): [T, D], or [R, D] at `rows` of the source stream.

        rows: int64, sorted and unique, such as `batch.rows_R`. layers="all": the list of the embeddings and of each
        layer's output, all [T, D]; its last one is what the plain call gives. What stands on top is one layer more, and
        reads every row of the last layer.
        Raises ValueError for a batch with a target stream, for unsorted rows, and for rows with layers="all".
        """
        if batch.target is not None:
            raise ValueError("this body reads one stream, and the batch has a target stream too")
        if layers is not None and rows is not None:
            raise ValueError("layers='all' gives every row: leave rows out")
        stream = self._seen(batch.source)
        x_TD = self.embed(stream)
        kept = [x_TD]
        blocks = [self.layers[self.config.block(layer)] for layer in range(self.config.num_layers)]
        for block in blocks[:-1]:
            x_TD = block(x_TD, stream)
            kept.append(x_TD)
        wanted, rows = rows, None if self.top is not None else rows
        read = None if rows is None else read_rows(stream, rows)
        x_RD = blocks[-1](x_TD, stream, read, rows)
        if self.final_norm is not None:
            x_RD = self.final_norm(x_RD)
        if self.top is not None:
            kept.append(x_RD)
            x_RD = self.top(x_RD, stream)
            x_RD = x_RD if wanted is None else take(x_RD, wanted)
        return x_RD if layers is None else [*kept, x_RD]

    def put_on_top(self, choice: choices.BiLSTM, seed: int) -> None:
        """Gives the body a layer on top, with fresh weights."""
        self.config = replace(self.config, top=choice)
        self.top = BiLSTM(self.config.hidden_size)
        initialise(self.top, self.config.init, derive_seed(seed, "top"))
        self.top.to(self.device)

    def _seen(self, stream: Stream) -> Stream:
        """The stream as this body sees it, made once and kept in the stream's cache."""
        if not self.config.attention.causal or stream.visibility == "causal":
            return stream
        if "left to right" not in stream.cache:
            stream.cache["left to right"] = left_to_right(stream)
        return stream.cache["left to right"]  # type: ignore[no-any-return]


def _added_positions(config: TransformerConfig) -> nn.Module | None:
    if isinstance(config.position, choices.Learned):
        return Learned(config.position, config.token_size)
    if isinstance(config.position, choices.Sinusoidal):
        return Sinusoidal(config.position, config.token_size)
    return None
