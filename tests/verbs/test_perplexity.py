"""perplexity: the loss that pre-training reports, with an interval, of any model and corpus of one tokenizer."""

import json
import math

import pytest

import pretune
from pretune.core.errors import InputError
from pretune.verbs.validation import Validation


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


def test_the_interval_is_over_groups_of_neighbours(world):
    model, how = world.modern / "model", {"samples": None}
    found = pretune.perplexity(model=str(model), corpus=world.corpus, settings=how)
    other = pretune.perplexity(model=str(model), corpus=world.corpus, settings=how | {"seed": 1})
    assert found["loss"]["low"] < found["loss"]["estimate"] < found["loss"]["high"]
    assert found["groups"] == max(20, found["samples"] // 10) and f"over {found['groups']} groups" in found["text"]
    assert other["loss"] != found["loss"], "other masks"
    small = pretune.perplexity(model=str(model), corpus=world.corpus, settings=how | {"max_tokens_per_batch": 64})
    assert small["loss"] == pytest.approx(found["loss"], rel=1e-5), "whatever the batches are"
    assert "all samples" in found["text"] and f"{found['predictions']:,} predictions" in found["text"]
    whole = pretune.perplexity(model=str(model), corpus=world.corpus, split="train")
    assert whole["split"] == "train" and whole["predictions"] != found["predictions"]


def test_groups_lie_in_the_order_of_the_corpus(world, monkeypatch):
    """A sample belongs to one group whose numbers follow each other, and sums are the samples' own."""
    seen = []
    batches = Validation.batches

    def noted(self, examples=None):
        seen.append([int(example.origin_E[0]) for example in examples])
        return batches(self, examples)

    monkeypatch.setattr(Validation, "batches", noted)
    found = pretune.perplexity(model=str(world.modern / "model"), corpus=world.corpus, settings={"samples": 45})
    flat = [document for group in seen for document in group]
    assert flat == sorted(flat) and [len(group) for group in seen] == [3] * 5 + [2] * 15 and found["groups"] == 20


def test_too_few_groups_have_no_interval(world):
    words = ["--model", world.modern / "model", "--corpus", world.corpus, "samples=19"]
    found = world.command("perplexity", *words, "--json").json()
    assert found["loss"] == {"estimate": found["loss"]["estimate"], "low": None, "high": None}
    assert found["perplexity"]["low"] is None and found["perplexity"]["estimate"] > 1
    said = world.command("perplexity", *words).out
    assert "no interval: it takes 20 groups" in said and "and there are 19" in said and "[" not in said


@pytest.fixture(scope="module")
def unknown_text(world, tmp_path_factory):
    """Of a script that the tokenizer does not know."""
    folder = tmp_path_factory.mktemp("unknown")
    (folder / "text.txt").write_text(
        "\n\n".join("\u4f60\u597d\u4e16\u754c" * number for number in range(3, 40)) + "\n", "utf-8"
    )
    pretune.build_corpus([folder / "text.txt"], tokenizer=world.tokenizer, out=folder / "corpus", valid_fraction=0.5)
    return folder / "corpus"


def test_a_text_with_nothing_to_predict_is_refused(world, unknown_text, tmp_path):
    said = world.command("perplexity", "--model", world.modern / "model", "--corpus", unknown_text)
    assert said.status == 2 and "nothing to predict in the held-out text" in said.err
    words = ["--corpus", unknown_text, "--out", tmp_path / "run", "steps=2", "batch_size=4", "max_length=32"]
    said = world.command("pretrain", "modern-tiny", *words)
    assert said.status == 2 and "no prediction for lm; [UNK] is never predicted" in said.err
    assert not (tmp_path / "run" / "checkpoints").exists(), "said before anything is trained"


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
