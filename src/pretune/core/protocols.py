"""The protocols by which the rooms meet: objectives and tasks with the loop, objectives with corpora."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pretune.core.loss import Loss
from pretune.core.stream import Batch, Example, Segments
from pretune.core.vocab import Vocab


@dataclass(frozen=True)
class Context:
    """What an objective is told: the vocabulary, the longest sequence (special tokens included), its own generator,
    how many special tokens the template adds to one span and to two, and the share of the run that is done (0 to 1).

    start_id: what a decoder's input begins with; None for a body without a decoder beside its encoder.
    place: (seed, epoch, sample), what `rng` was derived from; objectives whose draws repeat need it (`mlm(copies=10)`).
    """

    vocab: Vocab
    max_length: int
    rng: np.random.Generator
    num_special: tuple[int, int] = (2, 3)
    progress: float = 0.0
    place: tuple[int, int, int] | None = None
    start_id: int | None = None


class TokenStore(Protocol):
    """What an arrangement needs of a corpus: T tokens in D documents, with marks, read by place."""

    @property
    def num_documents(self) -> int: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def vocab(self) -> Vocab: ...
    @property
    def document_starts(self) -> NDArray[np.int64]:
        """[D + 1] token places: document d is [starts[d], starts[d + 1])."""

    @property
    def sentence_starts(self) -> NDArray[np.int64]:
        """[S] token places at which a sentence starts, ascending; every non-empty document's start is one."""

    def ids(self, start: int, end: int) -> NDArray[np.int32]: ...
    def marks(self, start: int, end: int) -> NDArray[np.uint8]: ...
    def table(self, name: str, compute: "TableMaker") -> NDArray[np.int64]:
        """A table [N] of sample places, computed once for this corpus and name, kept beside it and memory-mapped."""


class TableMaker(Protocol):
    """A table in pieces, one after another, so that it can be made of a corpus of any size in bounded memory."""

    def __call__(self, corpus: TokenStore) -> Iterable[NDArray[np.int64]]: ...


class Criterion(Protocol):
    """What the loop needs of an objective or a task. `loss(...)[name].count == counts(batch)[name]`."""

    def counts(self, batch: Batch) -> dict[str, float]: ...
    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]: ...


class Objective(Criterion, Protocol):
    """A frozen dataclass of pure functions: which positions, what the input becomes, what the target becomes."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """How many numbered places the corpus has; max_length and num_special as in the Context of `arrange`."""

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments: ...
    def corrupt(self, example: Example, context: Context) -> Example: ...
    def heads(self, body: Any) -> dict[str, nn.Module]: ...
