"""What a run is said to need against what it then writes."""

import pytest
import torch
from torch import nn

from pretune.checkpoint import disk, store
from pretune.core.errors import InputError
from pretune.families.electra import electra
from pretune.nn.model import Model
from pretune.objectives.replaced_token import replaced_token
from pretune.train import preflight
from pretune.train.config import OptimizerSettings
from pretune.train.evaluation import Evaluate
from pretune.train.optim import build_optimizers


class Two(nn.Module):
    """A body with matrices for Muon, and a frozen part that has no optimizer state."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Embedding(2000, 64), nn.Linear(64, 256), nn.Linear(256, 64))
        self.frozen = nn.Linear(64, 500).requires_grad_(False)


class Run:
    """What `preflight` looks at."""

    def __init__(self, out, optimizer="adamw", keep=2):
        self.model = Two()
        self.optimizers = build_optimizers(self.model, OptimizerSettings(name=optimizer))
        self.out = out
        self.settings = type("Settings", (), {"keep_checkpoints": keep})


def write_checkpoint(run, best, step):
    for parameter in run.optimizers.parameters:
        parameter.grad = torch.ones_like(parameter)
    run.optimizers.step(1.0)
    weights = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizers.state_dict(),
        "hooks": {"Evaluate-0": {"best_weights": weights if best else {}}},
    }
    return disk.held_bytes(store.save(run.out / "checkpoints", step, state, keep=9))


@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_size_before_the_first_step_is_that_of_a_checkpoint(tmp_path, optimizer, best):
    run = Run(tmp_path, optimizer)
    hooks = [Evaluate(lambda model: {"f1": 1.0}, metric="f1" if best else None)]
    told = preflight.checkpoint_size(run, hooks)
    written = write_checkpoint(run, best, 1)
    assert written <= told < 1.02 * written + 4 * disk.OVERHEAD


def test_room_for_all_that_will_be_there_at_once(tmp_path, monkeypatch):
    run = Run(tmp_path)
    one = preflight.checkpoint_size(run, ())
    model = disk.checkpoint_bytes({"model": run.model.state_dict()}) + preflight.TOKENIZER
    asked = []
    monkeypatch.setattr(disk, "require", lambda directory, number, what, on_full: asked.append(number))
    preflight.require_room(run, ())
    written = write_checkpoint(run, False, 1)
    preflight.require_room(run, ())
    for step in range(2, 7):
        write_checkpoint(run, False, step)
    preflight.require_room(run, ())
    assert asked == [3 * one + model, 3 * one - written + model, one + model]
    run.out = None
    preflight.require_room(run, ())
    assert len(asked) == 3


def test_a_run_that_cannot_fit_is_refused(make_disk):
    with pytest.raises(InputError, match="3 checkpoints of 2.* one more while it is written.*lower keep_checkpoints"):
        preflight.require_room(Run(make_disk(11) / "run", keep=3), ())


def test_a_generator_is_saved_with_the_embeddings_it_shares():
    body = electra.build(electra.config("tiny", 300))
    model = Model(body, replaced_token().heads(body))
    numbers = (300 + 512 + 2 + 2) * 64  # tokens, positions, segments, the norm's weight and bias
    assert preflight.generator_bytes(model) == 4 * numbers + preflight.TOKENIZER
    assert preflight.generator_bytes(Two()) == 0
