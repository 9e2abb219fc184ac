"""perplexity: the loss that pre-training reports, with an interval, of any model and corpus of one tokenizer."""

import json
import math

import pytest

import pretune
from pretune.core.errors import InputError


@pytest.fixture(scope="module")
def decoder(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("perplexity") / "gpt"
    words = ["steps=2", "batch_size=4", "valid_samples=4", "max_length=64"]
    done = world.command("pretrain", "gpt-tiny", "--corpus", world.corpus, "--out", out, *words)
    assert done.status == 0, done.err
    return out / "model"


def test_it_is_the_validation_loss_of_pretraining(world):
    """The same samples with the same masks."""
    metrics = json.loads((world.modern / "metrics.json").read_text())
    settings = (world.modern / "run.yaml").read_text()
    assert "max_length: 64" in settings and "valid_samples: 20" in settings and "masking_rate: 0.2" in settings
    how = ["samples=20", "max_length=64", "objective.masking_rate=0.2"]
    words = ["--model", world.modern / "model", "--corpus", world.corpus, *how]
    found = world.command("perplexity", *words, "--json").json()
    assert found["objective"] == "mlm" and found["samples"] == 20
    assert found["loss"]["estimate"] == pytest.approx(metrics["loss"]["valid_lm"], rel=1e-5)
    assert found["perplexity"]["estimate"] == pytest.approx(metrics["valid_perplexity"], rel=1e-4)
    assert found["unigram_entropy"] == pytest.approx(metrics["unigram_entropy"])
    for figures in (found["loss"], found["perplexity"]):
        assert figures["low"] <= figures["estimate"] <= figures["high"]


def test_the_interval_is_over_batches(world):
    model, how = world.modern / "model", {"samples": None, "max_tokens_per_batch": 64}
    found = pretune.perplexity(model=str(model), corpus=world.corpus, settings=how)
    other = pretune.perplexity(model=str(model), corpus=world.corpus, settings=how | {"seed": 1})
    assert found["loss"]["low"] < found["loss"]["estimate"] < found["loss"]["high"]
    assert other["loss"] != found["loss"], "other masks"
    assert pretune.perplexity(model=str(model), corpus=world.corpus, settings=how)["loss"] == found["loss"]
    assert "all samples" in found["text"] and f"{found['predictions']:,} predictions" in found["text"]
    whole = pretune.perplexity(model=str(model), corpus=world.corpus, split="train")
    assert whole["split"] == "train" and whole["predictions"] != found["predictions"]


def test_a_decoder_is_asked_for_the_next_piece(world, decoder):
    found = pretune.perplexity(model=str(decoder), corpus=world.corpus, settings={"max_length": 64})
    assert found["objective"] == "causal_lm" and math.log(found["perplexity"]["estimate"]) < 9


def test_other_objectives_are_named(world):
    model = str(world.modern / "model")
    found = pretune.perplexity(model=model, corpus=world.corpus, settings=["objective.name=whole_word"])
    assert found["objective"] == "whole_word"
    for name, words in (
        ("next_sentence+mlm", "also predicts for next_sentence"),
        ("span_corruption", "needs a decoder beside an encoder"),
        ("mllm", "unknown objective 'mllm'"),
    ):
        with pytest.raises(InputError, match=words):
            pretune.perplexity(model=model, corpus=world.corpus, settings=[f"objective.name={name}"])


def test_what_does_not_go_together_is_refused(world, tmp_path):
    corpus = ["--corpus", world.corpus]
    assert world.finetune("tag", tmp_path / "tagger").status == 0
    said = world.command("perplexity", "--model", tmp_path / "tagger/model", *corpus)
    assert said.status == 2 and "has no language model" in said.err
    said = world.command("perplexity", "--model", world.modern / "model", *corpus, "--split", "test")
    assert said.status == 2 and "unknown split 'test'" in said.err
    said = world.command("perplexity", "--model", world.modern / "model", *corpus, "sample=3")
    assert said.status == 2 and "samples" in said.err
    other = tmp_path / "other"
    (tmp_path / "text.txt").write_text("a cat sat on a mat and looked at a rat\n" * 50)
    pretune.train_tokenizer([tmp_path / "text.txt"], algorithm="char", out=other)
    pretune.build_corpus([tmp_path / "text.txt"], tokenizer=other, out=tmp_path / "corpus")
    with pytest.raises(InputError, match="another tokenizer"):
        pretune.perplexity(model=str(world.modern / "model"), corpus=tmp_path / "corpus")
