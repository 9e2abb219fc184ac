"""Who is decayed, who is Muon's, AdamW beside ten plain lines, and state by parameter name."""

import pytest
import torch
from torch import nn
from train_toys import ToyModel

from pretune.core.errors import InputError
from pretune.families.family import open_family
from pretune.nn.crf import CRF
from pretune.nn.model import Model
from pretune.objectives.replaced_token import replaced_token
from pretune.train.config import OptimizerSettings
from pretune.train.optim import build_optimizers, decay_groups, muon_matrices


def _names(model, parameters):
    names = {p: name for name, p in model.named_parameters()}
    return {names[p] for p in parameters}


def test_vectors_are_not_decayed():
    model = ToyModel()
    decayed, kept = decay_groups(list(model.parameters()), 0.1)
    assert _names(model, decayed["params"]) == {
        "body.embedding.weight",
        "body.wide.weight",
        "body.narrow.weight",
        "heads.whole.weight",
    }
    assert decayed["weight_decay"] == 0.1 and kept["weight_decay"] == 0.0
    assert all(p.ndim < 2 for p in kept["params"])


def test_muon_takes_hidden_matrices_only():
    model = ToyModel()
    model.body.wide.fused_rows = (12, 12)
    matrices = muon_matrices(model)
    assert _names(model, matrices) == {"body.wide.weight", "body.narrow.weight"}
    assert matrices[model.body.wide.weight] == (12, 12)
    optimizers = build_optimizers(model, OptimizerSettings(name="muon", lr=1e-2, matrix_lr=2e-2))
    assert [type(part).__name__ for part in optimizers.parts] == ["Muon", "AdamW"]
    assert [rates[0] for rates in optimizers.highest] == [2e-2, 1e-2]
    held = [p for part in optimizers.parts for group in part.param_groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(model.parameters()))


def test_untied_embeddings_are_not_muons():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3))
    assert _names(model, muon_matrices(model)) == {"1.weight"}


def test_frozen_parameters_are_left_alone():
    model = ToyModel()
    for parameter in model.body.parameters():
        parameter.requires_grad_(False)
    optimizers = build_optimizers(model, OptimizerSettings(name="muon"))
    assert _names(model, optimizers.parameters) == {"heads.token.bias", "heads.whole.weight", "heads.whole.bias"}
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(InputError, match="trainable"):
        build_optimizers(model, OptimizerSettings())


def _plain_adamw(weight, grads, lr, beta1, beta2, eps, decay):
    m = v = torch.zeros_like(weight)
    for t, grad in enumerate(grads, 1):
        weight = weight * (1 - lr * decay)
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        weight = weight - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return weight


def test_adamw_is_the_published_one():
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(5, 3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    grads = {n: [torch.randn(p.shape, generator=generator) for _ in range(5)] for n, p in model.named_parameters()}
    settings = OptimizerSettings(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)
    optimizers = build_optimizers(model, settings)
    for step in range(5):
        for name, parameter in model.named_parameters():
            parameter.grad = grads[name][step]
        optimizers.step(0.5)
    for name, decay in (("weight", 0.2), ("bias", 0.0)):
        expected = _plain_adamw(before[name], grads[name], 0.05, 0.8, 0.95, 1e-6, decay)
        torch.testing.assert_close(getattr(model, name).detach(), expected)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_state_continues_exactly(name):
    settings = OptimizerSettings(name=name, lr=0.1)

    def steps(model, optimizers, numbers):
        for number in numbers:
            for index, parameter in enumerate(model.parameters()):
                generator = torch.Generator().manual_seed(100 * number + index)
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizers.step(1.0)

    whole = ToyModel()
    steps(whole, build_optimizers(whole, settings), range(6))
    first = ToyModel()
    optimizers = build_optimizers(first, settings)
    steps(first, optimizers, range(3))
    second = ToyModel(seed=9)
    second.load_state_dict(first.state_dict())
    continued = build_optimizers(second, settings)
    continued.load_state_dict(optimizers.state_dict())
    steps(second, continued, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_foreign_state_is_refused():
    optimizers = build_optimizers(ToyModel(), OptimizerSettings())
    with pytest.raises(InputError, match="other.weight"):
        optimizers.load_state_dict({"other.weight": {"step": torch.tensor(1.0)}})
    with pytest.raises(InputError, match="shape"):
        optimizers.load_state_dict({"body.wide.weight": {"exp_avg": torch.zeros(2, 2)}})


def test_a_crfs_transitions_have_a_rate_of_their_own_and_no_decay():
    model = nn.ModuleDict({"body": nn.Linear(3, 2), "crf": CRF(2)})
    transitions = model["crf"].transitions
    for settings, rate in (
        (OptimizerSettings(lr=5e-5), 5e-3),
        (OptimizerSettings(lr=0.02), 0.02),
        (OptimizerSettings(lr=5e-5, crf_lr=1e-4), 1e-4),
        (OptimizerSettings(name="muon", lr=5e-5, crf_lr=1e-4), 1e-4),
    ):
        optimizers = build_optimizers(model, settings)
        (group,) = [
            g for part in optimizers.parts for g in part.param_groups if any(p is transitions for p in g["params"])
        ]
        assert (group["lr"], group["weight_decay"], len(group["params"])) == (rate, 0.0, 1)
        of_all = [p for part in optimizers.parts for g in part.param_groups for p in g["params"]]
        assert len(of_all) == len({id(p) for p in of_all}) == 3
    transitions.requires_grad_(False)
    assert len(build_optimizers(model, OptimizerSettings()).parameters) == 2


def test_muon_takes_the_matrices_of_a_body_that_a_head_owns():
    """Those of its layers and its map, not of the embeddings it shares, nor of its head."""
    family = open_family("electra")
    body = family.build(family.config("tiny", 60))
    model = Model(body, replaced_token().heads(body))
    names = _names(model, muon_matrices(model))
    inner = {
        f"{name}.weight" for name in ("attention.qkv", "attention.output", "feed_forward.inner", "feed_forward.output")
    }
    prefixes = [f"{start}.layers.{n}." for start in ("body", "heads.lm.body") for n in range(2)]
    maps = {"body.embedding_map.weight", "heads.lm.body.embedding_map.weight"}
    assert names == {prefix + name for prefix in prefixes for name in inner} | maps
