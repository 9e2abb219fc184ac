"""Initial weights from a seed. Each parameter draws from a generator of its own, derived from the seed and its name.

So a body starts the same with and without a head beside it, and the first layers of a deeper body are those of the
shallower one. `Linear` and `Embedding` here draw nothing when made: torch's would use the global generator.
"""

import torch
from torch import Tensor, nn

from pretune.core.randomness import derive_seed
from pretune.nn.config import Activation, FanIn, Init
from pretune.nn.kernels.linear import linear
from pretune.nn.kernels.packed import Packed


class Linear(nn.Linear):
    """torch's linear map by our kernel, empty until `initialise`.

    fused_rows: row counts of the maps that are fused in this one, (d, d, d) for queries, keys and values; () if it is
    a single map. An optimizer that treats a matrix as a whole (Muon) needs it.
    packed: where a model that predicts keeps its weights in another layout (`kernels/packed.py`).
    """

    fused_rows: tuple[int, ...] = ()
    packed: Packed | None = None

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """activation: of what the map gives."""
        if self.packed is not None:
            found = self.packed.product(input, self.weight, self.bias, activation)
            if found is not None:
                return found
        return linear(input, self.weight, self.bias, activation)

    def reset_parameters(self) -> None:
        """Leaves the weights as they are."""


class Embedding(nn.Embedding):
    """torch's embedding, empty until `initialise`."""

    def reset_parameters(self) -> None:
        """Leaves the weights as they are."""


def initialise(module: nn.Module, init: Init, seed: int, keep: nn.Module | None = None) -> None:
    """Draws matrices and embeddings, sets biases (and what a module says, `starts_at_zero`) to zero and norms to one.

    keep: a module whose parameters stay as they are where `module` shares them (a decoder tied to an embedding).
    Parameters on the meta device are passed over. Raises TypeError for a parameter of a kind it does not know.
    """
    done = set() if keep is None else {id(parameter) for parameter in keep.parameters()}
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            if id(parameter) not in done and not parameter.is_meta:
                _fill(part, name, parameter, init, derive_seed(seed, name))
            done.add(id(parameter))


@torch.no_grad()
def _fill(part: nn.Module, name: str, parameter: nn.Parameter, init: Init, seed: int) -> None:
    if name.rpartition(".")[2].startswith("bias") or getattr(part, "starts_at_zero", False):
        parameter.zero_()
    elif isinstance(part, nn.LayerNorm | nn.RMSNorm):
        parameter.fill_(1.0)
    elif isinstance(part, nn.LSTM):
        width = float(part.hidden_size**-0.5)
        parameter.copy_(torch.empty(parameter.shape).uniform_(-width, width, generator=_generator(seed)))
    elif isinstance(part, nn.Linear | nn.Embedding):
        parameter.copy_(_draw(parameter.shape, _std(part, init), getattr(init, "cutoff", None), seed))
    else:
        raise TypeError(f"no rule to initialise {name} of {type(part).__name__}")


def _std(part: nn.Linear | nn.Embedding, init: Init) -> float:
    if not isinstance(init, FanIn):
        return init.std
    if isinstance(part, nn.Linear):
        return float(init.gain * part.in_features**-0.5)
    return float(part.embedding_dim**-0.5) if init.embedding_std is None else init.embedding_std


def _draw(shape: torch.Size, std: float, cutoff: float | None, seed: int) -> Tensor:
    """On the CPU, so that every device starts from the same numbers."""
    generator = _generator(seed)
    values = torch.empty(shape)
    if cutoff is None or not std:  # torch's truncated normal divides by std
        return values.normal_(0.0, std, generator=generator)
    return nn.init.trunc_normal_(values, 0.0, std, -cutoff * std, cutoff * std, generator=generator)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
