"""ELECTRA's objective through `pretrain`: what is saved opens in transformers, goes on, is interrupted, is refused."""

import hashlib
import json
import shutil
from unittest import mock

import numpy as np
import pytest
import torch

import pretune
from pretune.checkpoint.bundle import GENERATOR, Bundle
from pretune.checkpoint.store import latest, load
from pretune.core.errors import InputError
from pretune.core.hooks import Hook
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.verbs.pretrain import pretrain

SETTINGS = ["steps=4", "batch_size=4", "valid_samples=4", "max_length=32", "save_every_steps=2", "log_every_steps=1"]
TEXTS = ["the old man", "she said to her sister that it was a good day"]


def run(world, out, *more, recipe="electra-tiny", **options):
    settings = [*SETTINGS, *([] if recipe.startswith("electra") else ["objective.name=replaced_token"]), *more]
    return pretrain(recipe, corpus=world.corpus, out=out, settings=settings, threads=1, **options)


@pytest.fixture(scope="module", autouse=True)
def no_peak():
    """What the machine could do is measured elsewhere; it takes a second a run."""
    with mock.patch("pretune.verbs.pretrain.peak_flops", lambda *_: 1e11):
        yield


@pytest.fixture(scope="module")
def electra(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("electra") / "run"
    return out, run(world, out)


def weights(folder, **how):
    return dict(Bundle.load(folder, **how).model.state_dict())


def test_figures(electra):
    out, metrics = electra
    bundle = Bundle.load(out / "model")
    generator = Bundle.load(out / "model" / GENERATOR)
    losses = metrics["loss"]
    assert losses["valid"] == pytest.approx(losses["valid_lm"] + 50 * losses["valid_replaced_token"])
    assert metrics["valid_perplexity"] == pytest.approx(np.exp(losses["valid_lm"]))
    assert metrics["parameters"] == sum(p.numel() for p in bundle.model.parameters())
    shared = sum(
        p.numel() for name, p in generator.model.named_parameters() if "embedding" in name and "map" not in name
    )
    whole = sum(p.numel() for p in generator.model.parameters())
    assert metrics["generator_parameters"] == whole - shared > 0
    assert generator.model.body.config.hidden_size == bundle.model.body.config.hidden_size / 4 == 32
    assert "the generator's validation loss" in metrics["text"] and "replaced token" in metrics["text"]
    page, card = ((out / name).read_text("utf-8") for name in ("report.html", "card.md"))
    assert "Loss of the generator" in page and "Replaced token" in page
    assert "discriminator" in card and "fill-mask" not in card and "generator" in card


def test_both_open_in_transformers(electra):
    transformers = pytest.importorskip("transformers")
    out, _ = electra
    for folder, kind, head in (
        (out / "model", "AutoModelForPreTraining", "replaced_token"),
        (out / "model" / GENERATOR, "AutoModelForMaskedLM", "lm"),
    ):
        theirs, report = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
        assert type(theirs).__name__ == "ElectraFor" + kind.removeprefix("AutoModelFor")
        assert not report["missing_keys"] and not report["unexpected_keys"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        logits = pretune.load(folder).logits(TEXTS, head)
        for text, ours in zip(TEXTS, logits, strict=True):
            with torch.no_grad():
                expected = theirs.eval()(**tokenizer(text, return_tensors="pt")).logits[0]
            assert np.allclose(ours.reshape(expected.shape), expected, atol=1e-5)


def test_a_discriminator_fills_nothing_and_its_generator_does(world, electra):
    out, _ = electra
    told = world.command("fill", "--model", out / "model", "-", stdin="the [MASK] man\n")
    assert told.status == 2 and "predicts no words (its heads: replaced_token)" in told.err
    assert str(out / "model" / GENERATOR) in told.err
    assert len(pretune.load(out / "model" / GENERATOR).fill("the [MASK] man", top_k=3)) == 3


@pytest.mark.parametrize("recipe", ["electra-tiny", pytest.param("bert-tiny", marks=pytest.mark.slow), "modern-tiny"])
def test_goes_on_with_both(world, tmp_path, recipe):
    """`--init` takes the discriminator, its head and the generator; embeddings are one tensor in all of them."""
    plain = ["short_length=null"] if recipe == "bert-tiny" else []
    run(world, tmp_path / "first", "objective.generator_size=0.5", *plain, recipe=recipe)
    first = tmp_path / "first" / "model"
    metrics = run(world, tmp_path / "second", "optimizer.lr=1e-9", *plain, recipe=recipe, init=str(first))
    second = tmp_path / "second" / "model"
    assert f"the generator went on from {first / GENERATOR}" in metrics["notes"]
    for folder in ("", GENERATOR):
        old, new = weights(first / folder), weights(second / folder)
        assert old.keys() == new.keys()
        assert all(torch.allclose(old[name], new[name], atol=1e-6) for name in old)
    whole, part = weights(second), weights(second / GENERATOR)
    assert torch.equal(whole["body.token_embedding.weight"], part["body.token_embedding.weight"])
    assert part["body.layers.0.attention.output.weight"].shape == (64, 64)
    if recipe != "electra-tiny":
        told = json.loads((second / GENERATOR / "pretune.json").read_text("utf-8"))["transformers"]
        assert "cannot open this model" in told and "embeddings of 128" in told


def test_a_checkpoint_has_each_embedding_once(world, electra):
    out, _ = electra
    state = load(latest(out / "checkpoints").path)["model"]
    tied = ["body.token_embedding.weight", "heads.lm.body.token_embedding.weight", "heads.lm.head.decoder.weight"]
    assert len({state[name].data_ptr() for name in tied}) == 1
    unique = {tensor.data_ptr(): tensor.numel() for tensor in state.values()}
    assert (latest(out / "checkpoints").path / "model.safetensors").stat().st_size < 1.05 * 4 * sum(unique.values())


class StopAfter(Hook):
    """Leaves as a crash does, when a step is done."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_the_same(world, electra, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(world, tmp_path / "cut", hooks=[StopAfter(3)])
    run(world, tmp_path / "cut")
    for folder in ("", GENERATOR):
        assert digest(tmp_path / "cut" / "model" / folder) == digest(electra[0] / "model" / folder)


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_from_a_model_without_a_generator(world, tmp_path):
    """BERT's body becomes a discriminator; the generator is fresh, and it is said."""
    metrics = run(world, tmp_path / "run", init=str(world.bert / "model"), recipe="modern-tiny")
    assert any("the generator started fresh" in note for note in metrics["notes"])
    bundle = Bundle.load(tmp_path / "run" / "model")
    assert bundle.family.name == "bert" and set(bundle.model.heads) == {"replaced_token"}


def test_finetuning_leaves_the_generator_behind(world, electra, tmp_path):
    files = [word for part in ("train", "valid") for word in (f"--{part}", world.file("classify", part))]
    words = ["finetune", "classify", "--model", electra[0] / "model", *files, "--out", tmp_path / "run", "epochs=1"]
    assert (done := world.command(*words)).status == 0, done.err
    assert not (tmp_path / "run" / "model" / GENERATOR).exists()


@pytest.mark.parametrize(
    "assignments, told",
    [
        (["objective.generator_size=2"], "generator_size is 2"),
        (["objective.mask=0"], "mask is 0"),
        (["objective.weight=-1"], "weight is -1"),
        (
            ["objective.name=sentence_order+replaced_token"],
            "replaced_token does not go with what predicts sentence_ord",
        ),
        (["objective.name=replaced_token+mlm"], "predict with the head 'lm'"),
        (["objective.name=replaced_token+sentence_order"], "sentence_order must arrange the sample"),
        (["generator=google/electra-small-generator"], "name that one with --init"),
    ],
)
def test_refusals(world, tmp_path, assignments, told):
    words = ["pretrain", "electra-tiny", "--corpus", world.corpus, "--out", tmp_path / "run", *SETTINGS]
    result = world.command(*words, *assignments)
    assert result.status == 2 and told in result.err, result.err


def test_generators_that_do_not_fit_are_refused(world, electra, tmp_path):
    tokenizer = Tokenizer.load(world.tokenizer)

    def refused(match, *settings):
        with pytest.raises(InputError, match=match):
            run(world, tmp_path / "run", *settings, init=str(electra[0] / "model"))

    refused("is 32 wide, and objective.generator_size asks for 64", "objective.generator_size=0.5")
    refused("nowhere: no such directory", f"generator={tmp_path / 'nowhere'}")
    for name, family, heads, size, match in (
        ("bare", "electra", [], "tiny", "no language model's head"),
        (
            "wide",
            "electra",
            [HeadSpec("lm")],
            {"hidden_size": 192, "attention.num_heads": 3, "embedding_size": 64},
            "is wider",
        ),
        ("other", "bert", [HeadSpec("lm")], "tiny", "token_embedding is .*500, 128.* and not .*500, 64"),
    ):
        Bundle.fresh(family, size, tokenizer, heads=heads).save(tmp_path / name)
        refused(match, f"generator={tmp_path / name}")
    shutil.copytree(electra[0] / "model", tmp_path / "damaged")
    path = tmp_path / "damaged" / GENERATOR / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match="generator.*damaged"):
        run(world, tmp_path / "run", init=str(tmp_path / "damaged"))
    assert not (tmp_path / "run").exists()
