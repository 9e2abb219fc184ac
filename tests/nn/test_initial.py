import pytest
import torch
from torch import nn

from pretune.nn.config import FanIn, Normal
from pretune.nn.initial import Embedding, Linear, initialise
from pretune.nn.transformer import Transformer


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(900, 100)
        self.wide = Linear(400, 300)
        self.norm = nn.LayerNorm(300)


@pytest.mark.parametrize(
    ("init", "embedding_std", "wide_std"),
    [
        (Normal(0.02), 0.02, 0.02),
        (FanIn(), 0.1, 0.05),
        (FanIn(gain=0.5, embedding_std=0.7), 0.7, 0.025),
    ],
)
def test_scales(init, embedding_std, wide_std):
    parts = Parts()
    initialise(parts, init, 1)
    assert parts.embedding.weight.std().item() == pytest.approx(embedding_std, rel=0.02)
    assert parts.wide.weight.std().item() == pytest.approx(wide_std, rel=0.02)
    assert (parts.wide.bias == 0).all() and (parts.norm.bias == 0).all() and (parts.norm.weight == 1).all()


def test_cutoff():
    parts = Parts()
    initialise(parts, Normal(0.02, cutoff=2.0), 1)
    assert 0.039 < parts.wide.weight.abs().max().item() <= 0.04


def test_a_width_of_zero_is_all_zero():
    """initializer_range: 0 in a config.json."""
    parts = Parts()
    for init in (Normal(0.0), Normal(0.0, cutoff=2.0)):
        initialise(parts, init, 1)
        assert not parts.wide.weight.any() and not parts.embedding.weight.any()


def test_a_deeper_body_starts_like_the_shallower_and_draws_nothing_globally(nn_tools):
    state = torch.get_rng_state()
    short, tall = (Transformer(nn_tools.config(num_layers=n), seed=3) for n in (1, 3))
    assert torch.equal(torch.get_rng_state(), state)
    for name, parameter in short.named_parameters():
        assert torch.equal(parameter, tall.get_parameter(name)), name
    assert not torch.equal(tall.layers[1].attention.qkv.weight, tall.layers[2].attention.qkv.weight)


def test_meta_bodies_cost_nothing(nn_tools):
    with torch.device("meta"):
        assert Transformer(nn_tools.config()).token_embedding.weight.is_meta


def test_an_unknown_kind_of_parameter_is_refused():
    with pytest.raises(TypeError, match="no rule to initialise weight of Conv1d"):
        initialise(nn.Conv1d(1, 1, 1), Normal(), 0)
