"""full trains everything; frozen leaves the body exactly as it was and without dropout, whatever the loop does."""

import copy
import pickle

import numpy as np
import pytest
import torch

from pretune.adapt.adaptation import Parameters, count_parameters, open_adaptation
from pretune.core.assemble import decoder_input
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.registry import entries
from pretune.core.stream import Batch, Targets, bidirectional
from pretune.families.family import open_family
from pretune.nn.model import Model

SIZE = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 128}


@pytest.fixture(params=sorted(entries("pretune.families")))
def model(request):
    family = open_family(request.param)
    body = family.build(family.config(SIZE, vocab_size=40), seed=0)
    return Model(body, {"sequence": body.family_head("sequence", 2), "lm": body.family_head("lm")})


def batch_of(model, gold=1):
    targets = {
        "sequence": Targets(np.array([[0]]), np.array([gold]), np.ones(1, np.float32)),
        "lm": Targets(np.array([[2]]), np.array([7]), np.ones(1, np.float32)),
    }
    texts = [np.arange(5) + n for n in range(3)]
    two = model.body.config.decoder is not None
    targets_of = [decoder_input(text, start_id=0) if two else None for text in texts]
    streams = zip(map(bidirectional, texts), targets_of, strict=True)
    return pack([Batch(source, target, predict=targets) for source, target in streams]).to("cpu")


def train(model, steps=3):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(steps):
        model.train()
        batch = batch_of(model)
        outputs = model(batch)
        loss = sum(torch.nn.functional.cross_entropy(outputs[name], batch.predict[name].gold_M) for name in outputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def changed(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_ways_are_found_by_name():
    assert entries("pretune.adapt").keys() == {"full", "frozen"}
    with pytest.raises(InputError, match="unknown adaptation 'forzen'; did you mean frozen"):
        open_adaptation("forzen")


def test_full_trains_everything(model):
    assert open_adaptation("full")(model) is model
    counted = count_parameters(model)
    assert counted.total == counted.trainable == sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())
    before = copy.deepcopy(model.state_dict())
    train(model)
    assert changed(model, before) & {"body.token_embedding.weight"}


def test_frozen_changes_heads_only(model):
    before = copy.deepcopy(model.state_dict())
    open_adaptation("frozen")(model)
    of_body = sum(p.numel() for name, p in model.body.named_parameters() if not name.startswith("pooler."))
    counted = count_parameters(model)
    assert counted == Parameters(counted.total, counted.total - of_body) and counted.trainable > 0
    train(model)
    names = changed(model, before)
    assert "heads.sequence.classifier.weight" in names
    assert all(name.startswith(("heads.", "body.pooler.")) for name in names)
    is_tied = model.body.config.output.tied  # to the body's embeddings
    assert not is_tied or not any("decoder.weight" in name for name in names)
    assert all(p.grad is None for name, p in model.body.named_parameters() if not name.startswith("pooler."))


def test_frozen_body_has_no_dropout(model):
    plain = copy.deepcopy(model).eval()
    open_adaptation("frozen")(model)
    for each in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model.body))):
        body = getattr(each, "body", each)
        each.train()
        hidden = body(batch_of(plain))
        torch.testing.assert_close(hidden, plain.body(batch_of(plain)), rtol=0, atol=1e-5)
        assert not hidden.requires_grad and not body.training


def test_full_after_frozen_trains_again(model):
    frozen_once = open_adaptation("frozen")(open_adaptation("frozen")(model))
    assert len(frozen_once.body._forward_pre_hooks) == 1
    open_adaptation("full")(model)
    model.train()
    model(batch_of(model))
    assert model.body.training
    assert count_parameters(model).trainable == count_parameters(model).total
