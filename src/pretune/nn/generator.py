"""Generator: a masked language model with a body of its own, as a head of a model whose embeddings it shares.

Clark et al. 2020 ("ELECTRA"), section 3.2: a smaller Transformer beside the discriminator. Shared are, as in
google-research/electra (`modeling.py`, the scope "electra/embeddings"), all embeddings: of tokens, positions and
segments, and the norm over them; the paper names tokens and positions. The very modules are shared, so a parameter is
one for the optimizer, in a checkpoint and among the processes.

Dimensions: M predictions, V vocabulary.
"""

from torch import Tensor, nn

from pretune.core.stream import Batch, Targets
from pretune.nn.body import Body
from pretune.nn.disentangled import DistanceVectors
from pretune.nn.relative import RelativeScores

EMBEDDINGS = ("token_embedding", "position", "segment_embedding", "embedding_norm")
"""What is shared of a body; positions where they are added to tokens, not what attention adds to its scores."""


class Generator(nn.Module):
    """Logits over the vocabulary at the rows of `targets`, [M, V], by a body and a head of its own."""

    def __init__(self, body: Body, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    @property
    def embeddings(self) -> list[nn.Parameter]:
        """The parameters that it shares."""
        modules = [shared(self.body, name) for name in EMBEDDINGS]
        return [parameter for module in modules if module is not None for parameter in module.parameters()]

    def forward(self, batch: Batch, targets: Targets) -> Tensor:
        """Reads the batch's source. `rows_R` are not these rows: another head may read more of them."""
        rows_R, slot_MK = targets.at_MK.unique(return_inverse=True)
        hidden_RD = self.body(batch, rows=rows_R)
        return self.head(nn.functional.embedding(slot_MK, hidden_RD), targets)  # type: ignore[no-any-return]


def share_embeddings(body: Body, owner: Body) -> Body:
    """`body` with the embeddings of `owner` in place of its own. Heads tied to them must be made, or tied, afterwards.

    Raises ValueError, and changes nothing, where their sizes differ.
    """
    for name in EMBEDDINGS:
        own, other = (_shapes(shared(each, name)) for each in (body, owner))
        if own != other:
            raise ValueError(f"{name} is {own or 'missing'} and not {other or 'missing'}")
    for name in EMBEDDINGS:
        if (module := shared(owner, name)) is not None:
            setattr(body, name, module)
    return body


def shared(body: Body, name: str) -> nn.Module | None:
    """One of the embeddings, or None where the body has none of that name to share."""
    module: nn.Module | None = getattr(body, name)
    return None if isinstance(module, RelativeScores | DistanceVectors) else module


def _shapes(module: nn.Module | None) -> dict[str, list[int]]:
    return {} if module is None else {name: list(each.shape) for name, each in module.named_parameters()}
