"""Body: what every body offers, whatever its layers are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch, Stream
from pretune.nn.cache import Cache
from pretune.nn.initial import initialise

MakeHead = Callable[[str, "Body", int | None], nn.Module]
"""A family's `head(kind, body, num_labels)`."""


class Body(nn.Module):
    """The stem of a model: streams in, hidden vectors out. Packed, without padding. Made of (config, seed).

    config: its typed choices. token_embedding: what a tied decoder shares. family: the name of the family it belongs
    to, "" before `join`; seed: what that family draws weights from.
    """

    config: Any
    token_embedding: nn.Embedding

    def __init__(self) -> None:
        super().__init__()
        self.family = ""
        self.seed = 0
        self._make_head: MakeHead | None = None

    def embed(self, stream: Stream) -> Tensor:
        """x_TD, what the first layer reads."""
        raise NotImplementedError

    def forward(self, batch: Batch, rows: Tensor | None = None, layers: Literal["all"] | None = None) -> Any:
        """Hidden vectors, [T, D], or [R, D] at `rows`; every layer's, [T, D] each, with layers="all"."""
        raise NotImplementedError

    def prefill(self, batch: Batch, room: int) -> tuple[Tensor, Cache]:
        """Reads what sequences begin with: the last token's vectors [N, D], as given, and what `step` goes on with."""
        raise NotImplementedError

    def step(self, ids_N: Tensor, cache: Cache) -> Tensor:
        """Reads one more token of each sequence: their vectors, [N, D]."""
        raise NotImplementedError

    def like(self, **changes: Any) -> Self:
        """A fresh body with some fields of the config changed, its weights drawn from the seed of this body's family,
        and independent of this body's."""
        other = type(self)(replace(self.config, **changes), derive_seed(self.seed, "like"))  # type: ignore[call-arg]
        other.family, other._make_head, other.seed = self.family, self._make_head, self.seed
        return other

    def initialise(self, seed: int) -> None:
        """Draws the weights anew, by `config.init`, the same for the same seed."""
        initialise(self, self.config.init, seed)

    def join(self, family: str, make_head: MakeHead, seed: int = 0) -> Self:
        """Makes this a body of a family, which knows what its heads look like. Returns the body itself."""
        self.family = family
        self.seed = seed
        self._make_head = make_head
        return self

    def family_head(self, kind: str, num_labels: int | None = None) -> nn.Module:
        """A fresh head as this body's family makes it ("lm", "next_sentence", "sequence", "token")."""
        if self._make_head is None:
            raise ValueError("this body belongs to no family: body.join(family, make_head) first")
        return self._make_head(kind, self, num_labels)

    @property
    def device(self) -> torch.device:
        return self.token_embedding.weight.device
