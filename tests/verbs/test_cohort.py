"""Directories of BERT's successors as transformers writes them: opened, asked, trained further, opened there again."""

import numpy as np
import pytest
import tokenizers
import torch
import transformers

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer

TEXTS = ["the old man", "she", ("a good day , she said to her", "yes"), "", "and then they walked slowly down a street"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONFIGS = {
    "Roberta": SHAPE | {"max_position_embeddings": 130, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 128},
    "Electra": SHAPE | {"max_position_embeddings": 128, "embedding_size": 16, "type_vocab_size": 2},
    "Albert": SHAPE | {"max_position_embeddings": 128, "embedding_size": 16, "type_vocab_size": 2},
    "DebertaV2": SHAPE
    | {"max_position_embeddings": 128, "position_buckets": 16, "share_att_key": True, "norm_rel_ebd": "layer_norm"}
    | {"relative_attention": True, "position_biased_input": False, "pos_att_type": "p2c|c2p", "legacy": False},
}
FAMILY = {
    "Roberta": "roberta",
    "DistilBert": "distilbert",
    "Electra": "electra",
    "Albert": "albert",
    "DebertaV2": "deberta",
}
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def byte_level(folder):
    """A tokenizer of RoBERTa's kind and with its special tokens, as transformers keeps one."""
    backend = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
    text = " ".join(" ".join(part) if isinstance(part, tuple) else part for part in TEXTS)
    backend.train_from_iterator([text] * 3, vocab_size=330, min_frequency=2, special_tokens=ROBERTA_SPECIAL)
    backend._tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    roles = {"cls": "<s>", "bos": "<s>", "sep": "</s>", "eos": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    named = {f"{role}_token": token for role, token in roles.items()}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, **named).save_pretrained(folder)


@pytest.fixture(scope="module")
def hub(world, tmp_path_factory):
    """A directory of each, as a hub serves it: the tokenizer and a masked language model."""
    folders = {}
    for name, shape in CONFIGS.items():
        folder = tmp_path_factory.mktemp(name)
        if name == "Roberta":
            byte_level(folder)
        else:
            Tokenizer.load(world.tokenizer).save(folder, token_type_ids="type_vocab_size" in shape)
        vocab_size = len(transformers.AutoTokenizer.from_pretrained(folder))
        torch.manual_seed(0)
        config = getattr(transformers, f"{name}Config")(vocab_size=vocab_size, **shape)
        model = getattr(transformers, f"{name}ForMaskedLM")(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
        model.save_pretrained(folder)
        folders[name] = folder
    return folders


def assert_same(ours, folder, texts, kind="AutoModelForMaskedLM", head="lm"):
    theirs = getattr(transformers, kind).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    hidden, logits = ours.hidden(texts), ours.logits(texts, head)
    for number, text in enumerate(texts):
        with torch.no_grad():
            inputs = tokenizer(*((text,) if isinstance(text, str) else text), return_tensors="pt")
            out = theirs(**inputs, output_hidden_states=True)
        assert np.allclose(hidden[number], out.hidden_states[-1][0], atol=1e-5)
        assert np.allclose(logits[number], out.logits[0], atol=2e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_transformers_wrote_says_the_same_here(hub, name):
    """Texts and pairs go through both libraries' own tokenizers: special tokens are where each expects them."""
    ours = pretune.load(hub[name])
    assert ours.bundle.family.name == FAMILY[name]
    assert_same(ours, hub[name], TEXTS)
    assert ours.embed(TEXTS[:2]).shape == (2, 32)
    mask = ours.bundle.tokenizer.special_tokens["mask"]
    found = ours.fill(f"the {mask} man", top_k=3)
    pipe = transformers.pipeline("fill-mask", str(hub[name]), device="cpu")
    expected = pipe(f"the {mask} man", top_k=3)
    assert [ours.bundle.tokenizer.id(each["token"]) for each in found] == [each["token"] for each in expected]
    scores = [each["score"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("task", ["classify", "pair", "tag"])
@pytest.mark.parametrize("name", CONFIGS)
def test_finetuned_models_say_the_same_in_transformers(world, hub, name, task, tmp_path):
    files = [word for part in ("train", "valid", "test") for word in (f"--{part}", world.file(task, part))]
    settings = ["epochs=1", "batch_size=8", "max_length=64"]
    done = world.command("finetune", task, "--model", hub[name], *files, "--out", tmp_path / "run", *settings)
    assert done.status == 0, done.err
    folder = tmp_path / "run" / "model"
    texts = [TEXTS[2]] if task == "pair" else [TEXTS[0], TEXTS[4]]
    kind, head = ("Token", "token") if task == "tag" else ("Sequence", "sequence")
    assert_same(pretune.load(folder), folder, texts, f"AutoModelFor{kind}Classification", head)


@pytest.mark.parametrize("family", sorted(set(FAMILY.values())))
def test_a_fresh_model_goes_with_any_tokenizer(world, family, tmp_path):
    """pretune's tokenizers have other special ids and BERT's template: what is saved is the model's."""
    tokenizer = Tokenizer.load(world.tokenizer)
    size = {"num_layers": 1, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 48}
    made = Bundle.fresh(family, size, tokenizer, heads=[HeadSpec("lm")], seed=1)
    made.save(tmp_path / "model")
    assert_same(pretune.load(tmp_path / "model"), tmp_path / "model", [*TEXTS, "the [UNK] man"])
    again = Bundle.load(tmp_path / "model")
    assert again.tokenizer.fingerprint == tokenizer.fingerprint
    pair = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")("a", "b")["input_ids"]
    assert len(pair) == 2 + again.template.num_special(2)


def test_a_tokenizer_with_another_pad_token_is_refused_by_roberta(hub, world, tmp_path):
    Bundle.fresh("roberta", "tiny", Tokenizer.load(world.tokenizer)).save(tmp_path / "model")
    with pytest.raises(pretune.InputError, match="position.first is 2, and the model's is 1: they do not belong"):
        Bundle.load(tmp_path / "model", tokenizer=hub["Roberta"])
