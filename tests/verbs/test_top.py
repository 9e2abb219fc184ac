"""finetune ... top=bilstm: a fresh layer on top of a model from left to right, saved, opened, trained on."""

import json
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.nn.config import BiLSTM
from pretune.verbs.compare_results import common_ground
from pretune.verbs.compare_rows import Row

compare = import_module("pretune.verbs.compare")
TEXTS = ["the man was kind and a day so new", "her heart is sad", "his"]


@pytest.fixture(scope="module")
def causal(world, tmp_path_factory):
    """bert-ltr-bilstm is pre-trained as bert-ltr."""
    out = tmp_path_factory.mktemp("ltr") / "run"
    words = ["steps=4", "batch_size=8", "max_length=64", "short_length=32", "valid_samples=4"]
    done = world.command("pretrain", "bert-ltr-bilstm-tiny", "--corpus", world.corpus, "--out", out, *words)
    assert done.status == 0, done.err
    return out / "model"


def tuned(world, task, out, model, *words):
    files = [word for part in ("train", "test") for word in (f"--{part}", world.file(task, part))]
    settings = ["epochs=1", "batch_size=8", *words]
    settings += [] if any(word.startswith("optimizer.lr=") for word in words) else ["optimizer.lr=1e-3"]
    return world.command("finetune", task, "--model", model, *files, "--out", out, *settings)


def at_start(causal):
    """The fresh layer, by the file's names."""
    body = Bundle.load(causal, heads=()).model.body
    body.put_on_top(BiLSTM(), 0)
    return {f"pretune.body.top.{name}": value for name, value in body.top.state_dict().items()}


@pytest.mark.parametrize("task", ["tag", "classify"])
def test_it_is_trained_saved_and_opened_again(world, causal, tmp_path, task):
    done = tuned(world, task, tmp_path / "run", causal, "top=bilstm")
    assert done.status == 0 and "BiLSTM stands on top" in done.err, done.err
    folder = tmp_path / "run" / "model"
    assert json.loads((folder / "config.json").read_text())["pretune"]["top"] == "bilstm"
    assert "leaves out the BiLSTM" in json.loads((folder / "pretune.json").read_text())["transformers"]
    weights = load_file(folder / "model.safetensors")
    top = {name: value for name, value in weights.items() if name.startswith("pretune.body.top.lstm.")}
    assert len(top) == 8
    assert not any(torch.equal(value, at_start(causal)[name]) for name, value in top.items())
    model = pretune.load(folder)
    hidden = model.hidden(TEXTS)
    below = model.hidden(TEXTS, layer=model.model.body.config.num_layers)
    assert hidden[0].shape == below[0].shape and not np.allclose(hidden[0], below[0])
    theirs = transformers.AutoModel.from_pretrained(folder, is_decoder=True).eval()  # the body without what is on top
    ids = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        assert np.allclose(theirs(**ids).last_hidden_state[0], below[0], atol=1e-5)
    model.save(tmp_path / "again")
    assert all(map(np.array_equal, pretune.load(tmp_path / "again").hidden(TEXTS), hidden))
    assert model.predict(TEXTS) == pretune.load(tmp_path / "again").predict(TEXTS)
    files = load_file(tmp_path / "again" / "model.safetensors")
    assert files.keys() == weights.keys()


def test_a_token_knows_what_comes_after_it_only_with_it(world, causal, tmp_path):
    assert tuned(world, "tag", tmp_path / "run", causal, "top=bilstm").status == 0
    for folder, knows in ((tmp_path / "run" / "model", True), (causal, False)):
        short, long = pretune.load(folder).hidden(["the man was kind", "the man was sad"])
        assert np.allclose(short[1], long[1], atol=1e-6) != knows


def test_it_goes_on_training_and_frozen_features_train_it(world, causal, tmp_path):
    assert tuned(world, "classify", tmp_path / "run", causal, "top=bilstm", "adapt=frozen").status == 0
    first = load_file(tmp_path / "run" / "model" / "model.safetensors")
    body = load_file(causal / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(first[name], body[f"bert.{name}"]), "frozen"
    assert not any(torch.equal(first[name], value) for name, value in at_start(causal).items())
    on = tuned(world, "classify", tmp_path / "on", tmp_path / "run" / "model", "top=bilstm", "optimizer.lr=1e-6")
    assert on.status == 0 and "BiLSTM on top: it goes on training" in on.err
    second = load_file(tmp_path / "on" / "model" / "model.safetensors")
    for name in first:
        if "top" in name:
            assert torch.allclose(first[name], second[name], atol=1e-3)


def test_a_file_that_lies_about_it_is_refused(world, causal, tmp_path):
    assert tuned(world, "classify", tmp_path / "run", causal, "top=bilstm").status == 0
    family = pretune.load(causal).bundle.family
    folder = tmp_path / "run" / "model"
    hf, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    with pytest.raises(InputError, match="pretune.top is 'gru': pretune knows bilstm"):
        family.from_hf(hf | {"pretune": hf["pretune"] | {"top": "gru"}}, weights)
    lost = {name: value for name, value in weights.items() if "weight_hh_l0_reverse" not in name}
    with pytest.raises(InputError, match=r"lack pretune.body.top.lstm.weight_hh_l0_reverse"):
        family.from_hf(hf, lost, heads=[])
    gone = {name: value for name, value in weights.items() if ".top." not in name}
    with pytest.raises(InputError, match=r"lack pretune.body.top.lstm"):
        family.from_hf(hf, gone, heads=[])


def test_pre_training_refuses_it(world, causal, tmp_path):
    words = ["--corpus", world.corpus, "--out", tmp_path / "run", "steps=1", "max_length=64", "short_length=32"]
    refused = world.command("pretrain", "bert-ltr-tiny", *words, "model.top=bilstm")
    assert refused.status == 2 and "for fine-tuning: pretune finetune ... top=bilstm" in refused.err
    assert tuned(world, "classify", tmp_path / "tuned", causal, "top=bilstm").status == 0
    on = world.command("pretrain", "bert-ltr-tiny", *words, "--init", tmp_path / "tuned" / "model")
    assert on.status == 2 and "pre-train the model that it was made from" in on.err


def test_a_comparison_fine_tunes_its_row_with_it(monkeypatch, tmp_path):
    """The row is pre-trained as bert-ltr's, and its suites get what the recipe says, under what was asked for."""
    rows = [Row(name, "bert-tiny", name) for name in ("bert-ltr", "bert-ltr-bilstm")]
    plans = [SimpleNamespace(row=row, settings={}, steps=1, samples=row.name) for row in rows]
    got = {}
    monkeypatch.setattr(compare, "pretrain", lambda *_, **__: {})
    monkeypatch.setattr(
        compare, "run_suite", lambda one, model, out, seed, finetune, threads: got.update({out: finetune})
    )
    place = {"run": lambda plan, seed: tmp_path, "scores": lambda plan, seed, one: plan.row.name}
    given = {"epochs": 2}
    asked = SimpleNamespace(seeds=1, suites=["one"], finetune=given, threads=1, corpus="c", **place)
    assert compare._run(asked, plans) == {}
    assert got == {"bert-ltr": given, "bert-ltr-bilstm": {"top": "bilstm", **given}}
    facts = {"bodies": "common", "body": "b", "budget": "1", "corpus": "c", "corpus_tokens": 1, "seeds": 1}
    said = common_ground(None, plans, facts | {"finetune": [], "suites": ["one"]})
    assert "; bert-ltr-bilstm also with top=bilstm." in " ".join(said)
