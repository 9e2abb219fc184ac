"""The Transformer body: embeddings, blocks, and the last layer at read rows only.

Dimensions: T tokens of the source stream, R rows read, D hidden size.

The last layer computes queries, its output map and feed-forward only at the rows that are read; keys and values exist
everywhere. This is exact, not an approximation: no later layer reads the other rows.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch, Stream, left_to_right
from pretune.nn import config as choices
from pretune.nn.attention import PassBias, Source
from pretune.nn.bilstm import BiLSTM
from pretune.nn.block import Block, Pass
from pretune.nn.body import Body
from pretune.nn.cache import Cache, Slots, Step
from pretune.nn.config import TransformerConfig
from pretune.nn.disentangled import DistanceVectors
from pretune.nn.initial import Embedding, Linear, initialise
from pretune.nn.kernels.dropout import dropout
from pretune.nn.layout import read_rows
from pretune.nn.norms import make_norm
from pretune.nn.positions import Learned, Sinusoidal, check_width
from pretune.nn.relative import RelativeScores
from pretune.nn.rows import take


class Transformer(Body):
    """A body of one stream: each sequence sees itself, as its visibility says.

    Its weights are drawn from `seed` when it is made. On the meta device, and with None, for whoever fills them with
    weights of a file, they are not. tokens: token vectors that it shares with another stack; None: its own.
    reads_source: whether its layers read an encoder's rows too.
    """

    config: TransformerConfig

    def __init__(
        self,
        config: TransformerConfig,
        seed: int | None = 0,
        *,
        tokens: Embedding | None = None,
        reads_source: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        size = config.token_size
        self.token_embedding = Embedding(config.vocab_size, size) if tokens is None else tokens
        self.position = _positions(config)
        self.segment_embedding = Embedding(config.num_segments, size) if config.num_segments else None
        self.embedding_norm = make_norm(config.norm, size) if config.embedding_norm else None
        is_mapped = config.embedding_size is not None
        self.embedding_map = Linear(size, config.hidden_size) if is_mapped else None
        self.layers = nn.ModuleList(
            Block(config, layer, reads_source) for layer in range(config.num_groups or config.num_layers)
        )
        self.final_norm = make_norm(config.norm, config.hidden_size) if config.final_norm else None
        self.top = BiLSTM(config.hidden_size) if config.top is not None else None
        if seed is not None:
            self.initialise(seed)

    def embed(self, stream: Stream) -> Tensor:
        """Token, position and segment vectors added up, normed, dropped out and mapped as the config says: [T, D].

        Raises ValueError for a stream in numpy and for a sequence longer than there are positions.
        """
        if not isinstance(stream.ids_T, Tensor):
            raise ValueError("the batch is still in numpy: move it to the model's device with batch.to(device)")
        x_TD = F.embedding(stream.ids_T, self.token_embedding.weight)
        if self.config.scaled_embedding:
            x_TD = x_TD * self.config.token_size**0.5
        if self.segment_embedding is not None:
            x_TD = x_TD + F.embedding(stream.segment_ids_T, self.segment_embedding.weight)
        if isinstance(self.position, Learned | Sinusoidal):
            x_TD = x_TD + self.position(stream)
        if self.embedding_norm is not None:
            x_TD = self.embedding_norm(x_TD)
        rate = self.config.embedding_dropout
        x_TD = dropout(x_TD, rate) if rate and self.training else x_TD
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
        return self.run(batch.source, rows, layers)

    def run(
        self,
        stream: Stream,
        rows: Tensor | None = None,
        layers: Literal["all"] | None = None,
        source: Source | None = None,
        cache: Cache | None = None,
    ) -> Any:
        """`forward` for a stream. source: an encoder's rows, which the layers read. cache: filled with keys and values
        of all rows."""
        if layers is not None and rows is not None:
            raise ValueError("layers='all' gives every row: leave rows out")
        stream = self._seen(stream)
        x_TD = self.embed(stream)
        kept = [x_TD]
        bias = self._bias(stream)
        given = Pass(stream, bias, source, cache)
        blocks = self._blocks()
        for block in blocks[:-1]:
            x_TD = block(x_TD, given)
            kept.append(x_TD)
        wanted, rows = rows, None if self.top is not None else rows
        read = None if rows is None else read_rows(stream, rows)
        x_RD = blocks[-1](x_TD, given, read, rows)
        if self.final_norm is not None:
            x_RD = self.final_norm(x_RD)
        if self.top is not None:
            kept.append(x_RD)
            x_RD = self.top(x_RD, stream)
            x_RD = x_RD if wanted is None else take(x_RD, wanted)
        return x_RD if layers is None else [*kept, x_RD]

    def prefill(self, batch: Batch, room: int) -> tuple[Tensor, Cache]:
        """Reads what sequences begin with. Gives the hidden vector of each one's last token, [N, D], and the cache with
        which `step` goes on; sequences are in the order in which their examples were given to `pack`.

        room: how many tokens of each may follow. Raises ValueError for a longer sequence than there are positions.
        """
        if batch.target is not None:
            raise ValueError("this body reads one stream, and the batch has a target stream too")
        cache = Cache(Slots(batch.source, room))
        return self.fill(batch.source, cache), cache

    def fill(self, stream: Stream, cache: Cache, source: Source | None = None) -> Tensor:
        """`prefill` for a stream and an empty cache."""
        if self.top is not None:
            raise ValueError("a body with a layer on top does not generate")
        if isinstance(self.position, Learned | Sinusoidal):
            check_width(cache.read.width, self.position.num_positions)
        order = np.arange(len(stream.lengths_N)) if stream.order_N is None else stream.order_N
        last_N = torch.from_numpy(np.cumsum(stream.lengths_N) - 1).to(self.device)
        hidden_ND = self.run(stream, last_N, None, source, cache)
        return hidden_ND[torch.from_numpy(np.argsort(order)).to(self.device)]  # type: ignore[no-any-return]

    def step(self, ids_N: Tensor, cache: Cache) -> Tensor:
        """Reads one more token of each sequence: their hidden vectors, [N, D]. ValueError where no slot is left."""
        step = Step(cache, ids_N)
        x_ND = self.embed(step.stream)
        if isinstance(self.position, RelativeScores):
            step.scores = self.position.step(step)
        for layer, block in enumerate(self._blocks()):
            x_ND = block.step(x_ND, step, layer)
        return x_ND if self.final_norm is None else self.final_norm(x_ND)

    def _bias(self, stream: Stream) -> PassBias | None:
        """What a pass adds to the scores of attention."""
        if isinstance(self.position, RelativeScores):
            return self.position.for_pass()
        return self.position.for_pass(stream) if isinstance(self.position, DistanceVectors) else None

    def _blocks(self) -> list[Any]:
        """The block of each layer."""
        return [self.layers[self.config.block(layer)] for layer in range(self.config.num_layers)]

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


def _positions(config: TransformerConfig) -> nn.Module | None:
    if isinstance(config.position, choices.Learned):
        return Learned(config.position, config.token_size)
    if isinstance(config.position, choices.Sinusoidal):
        return Sinusoidal(config.position, config.token_size)
    if isinstance(config.position, choices.RelativeBuckets):
        return RelativeScores(config.position, config.attention.num_heads, config.attention.causal)
    if isinstance(config.position, choices.Disentangled):
        return DistanceVectors(config.position, config)
    return None
