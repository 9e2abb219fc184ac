"""Model: a body and named heads. The body runs to the read rows, and each head reads its own of them.

Dimensions: R rows that any head reads, M predictions of a head, K rows a prediction reads, D hidden size.
"""

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch
from pretune.nn.body import Body
from pretune.nn.initial import initialise


class Model(nn.Module):
    """model(batch) -> {head: output}. A head is called `head(hidden_MKD, targets)`; it may share the body's weights."""

    body: Body

    def __init__(self, body: Body, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.body = body
        self.heads = nn.ModuleDict(heads)

    def forward(self, batch: Batch, heads: Iterable[str] | None = None) -> dict[str, Tensor]:
        """The outputs of the named heads; None: of every head the batch has predictions for.

        Raises ValueError for a head that the batch has no predictions for, or the model does not have.
        """
        names = list(batch.predict) if heads is None else list(heads)
        for name in names:
            if name not in batch.predict or name not in self.heads:
                where = "batch predicts" if name not in batch.predict else "model has the heads"
                there = batch.predict if name not in batch.predict else self.heads
                raise ValueError(f"no head {name!r}: the {where} {', '.join(there) or 'nothing'}")
        if not names:
            return {}
        hidden_RD = self.body(batch, rows=batch.rows_R)
        # an embedding look-up: unlike indexing, its backward is fast on CPU, and a row may be read twice
        return {
            name: self.heads[name](F.embedding(batch.predict[name].slot_MK, hidden_RD), batch.predict[name])
            for name in names
        }

    def initialise(self, seed: int) -> None:
        """Draws all weights anew, the same for the same seed; what heads share with the body is the body's."""
        self.body.initialise(seed)
        for name, head in self.heads.items():
            initialise(head, self.body.config.init, derive_seed(seed, name), keep=self.body)
