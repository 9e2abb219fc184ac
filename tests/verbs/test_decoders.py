"""GPT and GPT-2 from the command line: directories of transformers, a pre-training of two steps, what follows it."""

import json

import numpy as np
import pytest
import tokenizers
import torch
import transformers

import pretune
from beside_transformers import randomise
from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.evaluate.likelihood import sentence_scores
from pretune.tokenizers.tokenizer import Tokenizer

TEXTS = ["the old man", "she", ("a good day , she said to her", "yes"), "and then they walked slowly down a street"]
SENTENCES = ["the man was kind .", "she", "the man were kind ."]
SHAPE = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
NAMES = {"gpt2": "GPT2", "gpt": "OpenAIGPT"}
END = "<|endoftext|>"


def byte_level(folder):
    """A tokenizer of GPT-2's kind: one special token, and none put around a text."""
    backend = tokenizers.ByteLevelBPETokenizer()
    text = " ".join(" ".join(part) if isinstance(part, tuple) else part for part in TEXTS)
    backend.train_from_iterator([text] * 3, vocab_size=330, min_frequency=2, special_tokens=[END])
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, **roles).save_pretrained(folder)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A directory of each, as a hub serves it: the tokenizer and a language model."""
    folders = {}
    for family, name in NAMES.items():
        folder = tmp_path_factory.mktemp(name)
        byte_level(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        config = getattr(transformers, f"{name}Config")(vocab_size=len(tokenizer), **ids, **SHAPE)
        randomise(getattr(transformers, f"{name}LMHeadModel")(config)).save_pretrained(folder)
        folders[family] = folder
    return folders


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """A model of each family as two steps leave it."""
    folders = {}
    for family in NAMES:
        out = tmp_path_factory.mktemp(family) / "run"
        words = ["steps=2", "batch_size=4", "valid_samples=4", "max_length=64"]
        done = world.command("pretrain", f"{family}-tiny", "--corpus", world.corpus, "--out", out, *words)
        assert done.status == 0, done.err
        folders[family] = out / "model"
    return folders


def assert_same(folder, texts, kind="AutoModelForCausalLM", head="lm"):
    """What both libraries say of texts, each with its own tokenizer."""
    ours, theirs = pretune.load(folder), getattr(transformers, kind).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, logits in zip(texts, ours.logits(texts, head), strict=True):
        with torch.no_grad():
            inputs = tokenizer(*((text,) if isinstance(text, str) else text), return_tensors="pt")
            assert "token_type_ids" not in inputs
            assert np.allclose(logits, theirs(**inputs).logits[0], atol=2e-5)


@pytest.mark.parametrize("family", NAMES)
def test_what_transformers_wrote_says_the_same_here(hub, family):
    ours = pretune.load(hub[family])
    assert ours.bundle.family.name == family and ours.bundle.template.num_special(1) == 0
    assert_same(hub[family], TEXTS)
    assert ours.embed(TEXTS).shape == (4, 32)
    with pytest.raises(InputError, match="nothing to read"):
        ours.embed([""])
    with pytest.raises(InputError, match="reads from left to right"):
        ours.fill("the man")
    with pytest.raises(InputError, match="sees no other: take mean or max"):
        ours.embed(TEXTS, pooling="cls")


@pytest.mark.parametrize("family", NAMES)
def test_a_pretrained_model_goes_on(trained, world, family, tmp_path):
    """transformers opens it; so does `embed`, and a second pre-training."""
    hf = json.loads((trained[family] / "config.json").read_text())
    assert hf["architectures"] == [f"{NAMES[family]}LMHeadModel"] and "pretune" not in hf
    assert hf["bos_token_id"] is None and hf["pad_token_id"] == Tokenizer.load(world.tokenizer).special_ids["pad"]
    assert_same(trained[family], TEXTS)
    assert len(world.command("embed", "--model", trained[family], stdin="a text\n").lines[0]) == 128
    words = ["steps=1", "batch_size=2", "valid_samples=2", "max_length=32", "--init", trained[family]]
    done = world.command("pretrain", f"{family}-tiny", "--corpus", world.corpus, "--out", tmp_path / "more", *words)
    assert done.status == 0, done.err
    tokenizer = Tokenizer.load(trained[family])
    assert tokenizer.fingerprint == Tokenizer.load(world.tokenizer).fingerprint
    Bundle.fresh("bert", "tiny", tokenizer).save(tmp_path / "bert")  # which has its own template again
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "bert")
    assert len(theirs("a", "b")["input_ids"]) == 5


@pytest.mark.parametrize("family", NAMES)
def test_a_finetuned_classifier_says_the_same_in_transformers(trained, world, family, tmp_path):
    files = [word for part in ("train", "valid", "test") for word in (f"--{part}", world.file("classify", part))]
    settings = ["epochs=1", "batch_size=8", "max_length=64"]
    words = ["--model", trained[family], *files, "--out", tmp_path / "run", *settings]
    done = world.command("finetune", "classify", *words)
    assert done.status == 0, done.err
    folder = tmp_path / "run" / "model"
    names = json.loads((folder / "config.json").read_text())["architectures"]
    assert names == [f"{NAMES[family]}ForSequenceClassification"]
    assert_same(folder, TEXTS[::3], "AutoModelForSequenceClassification", "sequence")


def test_a_value_is_trained_on_its_own_scale(trained, world, tmp_path):
    """The head has no bias, into which the mean could be folded for transformers."""
    files = [word for part in ("train", "valid") for word in (f"--{part}", world.file("regress", part))]
    words = ["finetune", "regress", "--model", trained["gpt2"], *files, "--out", tmp_path / "run", "epochs=1"]
    refused = world.command(*words, "max_length=64")
    assert refused.status == 2 and "no bias to fold the values' mean into: train it on task.scale=raw" in refused.err
    done = world.command(*words, "max_length=64", "task.scale=raw")
    assert done.status == 0, done.err


@pytest.mark.parametrize("family", NAMES)
def test_the_likelihood_is_that_of_transformers(hub, family):
    """From the token that begins a text for these tokenizers on."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(hub[family])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(hub[family]).eval()
    found = sentence_scores(Bundle.load(hub[family]), SENTENCES, "log-likelihood")
    for sentence, score, pieces in zip(SENTENCES, found.score_N, found.num_pieces_N, strict=True):
        ids = tokenizer(END + sentence, return_tensors="pt").input_ids
        with torch.no_grad():
            assert score == pytest.approx(-theirs(ids, labels=ids).loss.item() * pieces, abs=1e-4)
        assert pieces == ids.shape[1] - 1


def test_without_a_token_that_begins_a_text_the_first_piece_is_read_only(trained):
    bundle = Bundle.load(trained["gpt2"])
    found = sentence_scores(bundle, [SENTENCES[0]], "log-likelihood")
    (logits,) = pretune.load(trained["gpt2"]).logits([SENTENCES[0]], "lm")
    ids = bundle.tokenizer.encode(SENTENCES[0]).ids_P
    each = torch.from_numpy(logits).log_softmax(-1)[range(len(ids) - 1), ids[1:]]
    assert found.score_N[0] == pytest.approx(each.sum().item(), abs=1e-4)
    assert found.num_pieces_N.tolist() == [len(ids) - 1]
    with pytest.raises(InputError, match="'the' is one piece, and nothing stands before it"):
        sentence_scores(bundle, ["the"], "log-likelihood")


def test_blimp_scores_it_by_log_likelihood(trained, world, tmp_path):
    folder = tmp_path / "data" / "blimp"
    folder.mkdir(parents=True)
    pairs = [
        {"sentence_good": "the man was kind .", "sentence_bad": "the man were kind .", "pairID": str(n)} for n in (0, 1)
    ]
    lines = [json.dumps(each | {"UID": "passive_1", "field": "syntax"}) + "\n" for each in pairs]
    (folder / "passive_1.jsonl").write_text("".join(lines))
    out = tmp_path / "out"
    done = world.command("suite", "blimp", "--model", trained["gpt2"], "--data", folder.parent, "--out", out)
    assert done.status == 0, done.err
    assert json.loads((out / "suite.json").read_text())["scoring"] == "log-likelihood"
