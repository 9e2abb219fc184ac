"""A model that writes, of every family, as a directory: transformers opens it, tokenizer too, and writes the same."""

import pytest
import torch

import pretune
from beside_transformers import randomise
from pretune.checkpoint.bundle import Bundle
from pretune.core.registry import entries
from pretune.families.family import HeadSpec, open_family
from pretune.tokenizers.train import train_tokenizer

transformers = pytest.importorskip("transformers")

SHAPE = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 128}
PROMPTS = ["the cat sat", "she saw a film with Anna", "a"]
TEXT = (
    "the cat sat on the mat and the dog ran to the film with Anna in Rome . she saw a good walk and he had bad books !"
)
WRITERS = [name for name in entries("pretune.families") if open_family(name).config(SHAPE, 9).generates]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT] * 4, algorithm="wordpiece", vocab_size=80)[0]


def test_the_families_that_write():
    assert WRITERS == ["bart", "byt5", "gpt", "gpt2", "llama", "mt5", "t5", "transformer"]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_text(name, tokenizer, tmp_path):
    bundle = Bundle.fresh(name, SHAPE, tokenizer, heads=[HeadSpec("lm")])
    randomise(bundle.model, seed=3)
    bundle.save(tmp_path)
    ours = pretune.load(tmp_path)
    kind = "Seq2SeqLM" if bundle.model.body.config.decoder else "CausalLM"
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(tmp_path).eval()
    pieces = transformers.AutoTokenizer.from_pretrained(tmp_path)
    told, ids = model.generation_config, tokenizer.special_ids
    assert (told.pad_token_id, told.eos_token_id) == (ids["pad"], ids["sep"])
    assert told.decoder_start_token_id == bundle.template.start_id
    for settings in ({}, {"num_beams": 2}):
        for prompt, text in zip(PROMPTS, ours.generate(PROMPTS, max_new_tokens=6, **settings), strict=True):
            inputs = pieces(prompt, return_tensors="pt")
            with torch.no_grad():
                out = model.generate(**inputs, max_new_tokens=6, do_sample=False, **settings)[0]
            theirs = pieces.decode(out, skip_special_tokens=True)
            before = "" if kind == "Seq2SeqLM" else pieces.decode(inputs["input_ids"][0])
            assert theirs.startswith(before) and text == theirs.removeprefix(before)
