import copy
from dataclasses import replace

import pytest
import torch

from pretune.core.loss import cross_entropy
from pretune.core.stream import Targets
from pretune.nn.config import HeadTransform
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.model import Model
from pretune.nn.transformer import Transformer


def make_model(nn_tools) -> Model:
    body = Transformer(nn_tools.config())
    heads = {
        "lm": MaskedLMHead(body, body.config.output, body.config.init),
        "label": ClassificationHead(16, 3, body.config.init, transform=HeadTransform("tanh")),
    }
    return Model(body, heads)


def make_batch(nn_tools, lengths):
    """Two heads that read some of the same rows, one of them the same row twice."""
    import numpy as np

    from pretune.core.pack import pack

    examples = []
    for seed, length in enumerate(lengths):
        batch = nn_tools.batch([length], seed=seed)
        lm = batch.predict["lm"]
        lm = Targets(lm.at_MK.numpy(), lm.gold_M.numpy(), lm.weight_M.numpy())
        label = Targets(np.zeros((2, 1), np.int64), np.array([seed % 3] * 2), np.ones(2, np.float32))
        source = replace(batch.source, **{k: v.numpy() for k, v in vars(batch.source).items() if torch.is_tensor(v)})
        examples.append(replace(batch, source=source, predict={"lm": lm, "label": label}, rows_R=None))
    return pack(examples).to("cpu")


def test_each_head_gets_its_own_rows(nn_tools):
    model, batch = make_model(nn_tools), make_batch(nn_tools, [9, 3, 30, 1])
    out = model(batch)
    hidden = model.body(batch)
    for name, head in model.heads.items():
        expected = head(hidden[batch.predict[name].at_MK], batch.predict[name])
        torch.testing.assert_close(out[name], expected, rtol=0, atol=1e-5)


def test_gradients_equal_those_of_reading_every_row(nn_tools):
    model, batch = make_model(nn_tools).double(), make_batch(nn_tools, [9, 3, 30, 1])
    hidden = model.body(batch)
    whole = {name: head(hidden[batch.predict[name].at_MK], batch.predict[name]) for name, head in model.heads.items()}
    grads = []
    for out in (model(batch), whole):
        loss = sum(cross_entropy(logits.float(), batch.predict[name]).sum for name, logits in out.items())
        grads.append(torch.autograd.grad(loss, list(model.parameters())))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_named_heads_only(nn_tools):
    model, batch = make_model(nn_tools), make_batch(nn_tools, [4, 5])
    assert list(model(batch, heads=["label"])) == ["label"]
    assert model(batch, heads=[]) == {}


def test_missing_heads_and_predictions_say_what_there_is(nn_tools):
    model, batch = make_model(nn_tools), make_batch(nn_tools, [4, 5])
    with pytest.raises(ValueError, match="no head 'x': the batch predicts lm, label"):
        model(batch, heads=["x"])
    with pytest.raises(ValueError, match="no head 'label': the model has the heads lm"):
        Model(model.body, {"lm": model.heads["lm"]})(batch)


def test_initialise_gives_the_same_weights_for_the_same_seed_and_keeps_the_tie(nn_tools):
    one, other = make_model(nn_tools), make_model(nn_tools)
    nn_tools.randomise(one)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one.initialise(7)
    other.initialise(7)
    assert torch.equal(torch.get_rng_state(), state)
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert one.heads["lm"].decoder.weight is one.body.token_embedding.weight
    alone = Transformer(one.body.config, seed=7)
    assert torch.equal(alone.token_embedding.weight, one.body.token_embedding.weight)
    other.initialise(8)
    assert not torch.equal(one.body.token_embedding.weight, other.body.token_embedding.weight)


def test_a_copy_keeps_the_tie_and_the_answers(nn_tools):
    model, batch = make_model(nn_tools), make_batch(nn_tools, [4, 5])
    twin = copy.deepcopy(model)
    assert twin.heads["lm"].decoder.weight is twin.body.token_embedding.weight
    assert torch.equal(twin(batch)["lm"], model(batch)["lm"])


def test_overfits_one_batch(nn_tools):
    torch.manual_seed(0)
    model, batch = make_model(nn_tools), make_batch(nn_tools, [12, 9, 20])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        losses = [cross_entropy(logits, batch.predict[name]) for name, logits in model(batch).items()]
        sum(loss.sum / loss.count for loss in losses).backward()
        optimizer.step()
    assert all(loss.sum.item() / loss.count < 0.1 for loss in losses)
