"""Model: a body and named heads. The body runs to the read rows, and each head reads its own of them.

Dimensions: R rows that any head reads, M predictions of a head, K rows a prediction reads, D hidden size.
"""

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.core.stream import Batch
from pretune.nn.body import Body
from pretune.nn.generator import Generator
from pretune.nn.initial import initialise


class Model(nn.Module):
    """model(batch) -> {head: output}. A head is called `head(hidden_MKD, targets)`; it may share the body's weights.

    A head may own a body (`Generator`): it is called `head(batch, targets)`, and the model's body does not run for it.
    """

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
        outputs: dict[str, Tensor] = {}
        hidden_RD: Tensor | None = None
        for name in names:
            head, targets = self.heads[name], batch.predict[name]
            if isinstance(head, Generator):
                outputs[name] = head(batch, targets)
                continue
            hidden_RD = self._read(batch) if hidden_RD is None else hidden_RD
            # an embedding look-up: unlike indexing, its backward is fast on CPU, and a row may be read twice
            outputs[name] = head(F.embedding(targets.slot_MK, hidden_RD), targets)
        return outputs

    def _read(self, batch: Batch) -> Tensor:
        """The body's output at the rows that any head reads; where these are all, they need not be looked for."""
        rows = batch.rows_R
        is_whole = rows is not None and len(rows) == batch.read.num_tokens
        return self.body(batch, rows=None if is_whole else rows)  # type: ignore[no-any-return]

    def initialise(self, seed: int) -> None:
        """Draws all weights anew, the same for the same seed; what heads share with the body is the body's."""
        self.body.initialise(seed)
        for name, head in self.heads.items():
            initialise(head, self.body.config.init, derive_seed(seed, name), keep=self.body)
