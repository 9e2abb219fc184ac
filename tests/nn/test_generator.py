"""A head that owns a body: which rows it reads, what it shares, and that the model's body does not run for it."""

from dataclasses import replace

import pytest
import torch

from pretune.nn.generator import EMBEDDINGS, Generator, share_embeddings
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.model import Model
from pretune.nn.transformer import Transformer


def made(nn_tools, **changes):
    owner = Transformer(nn_tools.config())
    config = replace(nn_tools.config(), hidden_size=8, embedding_size=16, **changes)
    own = share_embeddings(Transformer(config, seed=1), owner)
    generator = Generator(own, MaskedLMHead(own, config.output, config.init))
    label = ClassificationHead(16, 3, config.init)
    return nn_tools.randomise(Model(owner, {"lm": generator, "label": label})).eval()


def batch_of(nn_tools, lengths):
    batch = nn_tools.batch(lengths)
    return replace(batch, predict={**batch.predict, "label": batch.predict["lm"]})


def test_it_reads_its_own_rows_of_the_batch(nn_tools):
    model, batch = made(nn_tools), batch_of(nn_tools, [5, 9, 3])
    with torch.no_grad():
        out = model(batch)
        rows = batch.predict["lm"].at_MK[:, 0]
        generator = model.heads["lm"]
        hidden_TD = generator.body(batch)
        expected = generator.head(hidden_TD[rows][:, None], batch.predict["lm"])
        assert torch.allclose(out["lm"], expected, atol=1e-5) and out["lm"].shape == (len(rows), nn_tools.vocab)
        backwards = replace(batch.predict["lm"], at_MK=batch.predict["lm"].at_MK.flip(0))
        flipped = model(replace(batch, predict={"lm": backwards}), heads=["lm"])["lm"]
        assert torch.allclose(flipped, expected.flip(0), atol=1e-5)
        expected = model.heads["label"](model.body(batch)[rows][:, None], batch.predict["label"])
        assert torch.allclose(out["label"], expected, atol=1e-5)


def test_the_models_body_does_not_run_for_it(nn_tools):
    model, batch, calls = made(nn_tools), batch_of(nn_tools, [4, 6]), []
    model.body.register_forward_hook(lambda *_: calls.append("body"))
    model(batch, heads=["lm"])
    assert calls == []
    model(batch)
    assert calls == ["body"]


def test_every_row_is_read_without_looking_for_rows(nn_tools):
    """The same numbers as at all rows one by one, and the body is asked for no rows."""
    model, batch, asked = made(nn_tools), nn_tools.batch([4, 6]), []
    every = replace(batch.predict["lm"], at_MK=torch.arange(10)[:, None], slot_MK=torch.arange(10)[:, None])
    batch = replace(batch, predict={"label": every}, rows_R=torch.arange(10))
    model.body.register_forward_hook(lambda _, inputs, kwargs, out: asked.append(kwargs["rows"]), with_kwargs=True)
    out = model(batch)["label"]
    assert asked == [None]
    expected = model.heads["label"](model.body(batch, rows=torch.arange(10))[:, None], every)
    assert torch.allclose(out, expected, atol=1e-5)


def test_embeddings_of_other_sizes_are_refused_and_nothing_is_changed(nn_tools):
    owner = Transformer(nn_tools.config())
    for changes in ({"vocab_size": 51}, {"embedding_size": 12}, {"num_segments": 2}):
        other = Transformer(replace(nn_tools.config(), **changes))
        before = [getattr(other, name) for name in EMBEDDINGS]
        with pytest.raises(ValueError, match="(token|segment)_embedding is"):
            share_embeddings(other, owner)
        assert all(getattr(other, name) is each for name, each in zip(EMBEDDINGS, before, strict=True))


def test_deep_copies_and_new_draws_keep_what_is_shared(nn_tools):
    import copy

    model = copy.deepcopy(made(nn_tools))
    assert model.heads["lm"].body.token_embedding is model.body.token_embedding
    assert model.heads["lm"].head.decoder.weight is model.body.token_embedding.weight
    model.initialise(3)
    alone = Transformer(nn_tools.config(), seed=3)
    assert torch.equal(model.body.token_embedding.weight, alone.token_embedding.weight)
