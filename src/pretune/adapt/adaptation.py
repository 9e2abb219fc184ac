"""Ways to adapt a model by name, and how many of its parameters there are and train."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pretune.core.registry import find
from pretune.nn.model import Model

Adapt = Callable[[Model], Model]


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; one that is shared (a tied decoder) counts once."""

    total: int
    trainable: int


def count_parameters(model: nn.Module) -> Parameters:
    """Counts the parameters of a model and those that will change in training."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return Parameters(sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains))


def open_adaptation(name: str) -> Adapt:
    """The function of a way to adapt ("full", "frozen"). InputError for an unknown name."""
    found: Adapt = find("pretune.adapt", "adaptation", name)
    return found
