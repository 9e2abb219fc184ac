"""Frozen features: the body stays as it is, only the heads train (Devlin et al. 2019, section 5.3; Peters et al. 2019).

The body also stays in evaluation mode, whatever the loop does: frozen features have no dropout. Backward ends at the
body's output, since nothing in it requires a gradient: a step costs about a third of a full one. Features are not kept
from epoch to epoch: batches are packed anew each time, and a store of vectors by example would be a second layout of
everything between feed and heads, for a baseline that already is the cheapest run.
"""

from typing import Any

from torch import nn

from pretune.nn.model import Model


def frozen(model: Model) -> Model:
    """Freezes the body, and with it the token embeddings that a decoder may be tied to; heads train, and with them a
    pooler, which only heads read though BERT keeps it in the body, and a layer that was put on top of the body. The
    model itself is changed and returned."""
    model.requires_grad_(True)
    model.body.requires_grad_(False)
    for part in ("pooler", "top"):
        if isinstance(layer := getattr(model.body, part, None), nn.Module):
            layer.requires_grad_(True)
    let_body_train(model.body)
    model.body.register_forward_pre_hook(_stay_in_evaluation)
    return model


def let_body_train(body: nn.Module) -> None:
    """Takes back that the body stays in evaluation mode."""
    hooks = body._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook is _stay_in_evaluation]:
        del hooks[key]


def _stay_in_evaluation(body: nn.Module, inputs: Any) -> None:
    if body.training:
        body.eval()
