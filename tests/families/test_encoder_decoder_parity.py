"""Parity of families with a decoder beside the encoder with transformers, both ways: every layer of both stacks and
every head, within 1e-5 in fp32, cached decoding too.

Every weight is random, biases, norms and scores of positions too; sources and targets of unequal lengths are packed
together, one that fills all positions among them, going on a token at a time.
"""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

from beside_transformers import (  # noqa: E402
    LABELS,
    VOCAB,
    assert_hidden_equal,
    assert_steps_equal,
    compare,
    examples,
    load_theirs,
    randomise,
    reading,
    reopened,
    save_ours,
    with_labels,
)
from pretune.core.assemble import decoder_input  # noqa: E402
from pretune.core.stream import Example, bidirectional  # noqa: E402
from pretune.families.family import family_of, open_family  # noqa: E402
from pretune.families.transformer import in_turn  # noqa: E402

SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "bos": 1, "eos": 2}
LENGTHS = [(7, 5), (23, 9), (4, 19), (43, 3), (1, 1), (30, 40), (5, 40)]
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
FAIRSEQ = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 80,
    "decoder_layers": 2,
    "decoder_attention_heads": 6,
    "decoder_ffn_dim": 72,
    "max_position_embeddings": 43,
    "activation_dropout": 0.15,
    "attention_dropout": 0.05,
    "forced_eos_token_id": 2,
    **IDS,
}
T5 = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "d_kv": 10,
    "d_ff": 80,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
}
T5 |= {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0, "relative_attention_num_buckets": 8}
T5 |= {"relative_attention_max_distance": 20}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
CONFIGS = {
    "bart": FAIRSEQ | {"decoder_start_token_id": 2, "classifier_dropout": 0.25},
    "bart, scaled": FAIRSEQ | {"decoder_start_token_id": 2, "scale_embedding": True, "activation_function": "relu"},
    "marian": FAIRSEQ | {"decoder_start_token_id": 0, "scale_embedding": True, "activation_function": "swish"},
    "t5": T5 | {"classifier_dropout": 0.25},
    "t5, one depth": T5 | {"num_decoder_layers": None, "feed_forward_proj": "gelu", "layer_norm_epsilon": 1e-3},
    "t5 1.1": T5 | GATED,
    "byt5": T5 | GATED | {"num_decoder_layers": 1, "tokenizer_class": "ByT5Tokenizer"},
    "mt5": T5 | GATED,
}
CLASS = {"bart": "Bart", "marian": "Marian", "t5": "T5", "byt5": "T5", "mt5": "MT5"}
FAMILY = {"bart": "bart", "marian": "transformer", "t5": "t5", "byt5": "byt5", "mt5": "mt5"}
OWN_OUTPUT = ("t5 1.1", "byt5", "mt5")
LM = {"lm": "logits"}
TEXTS = {
    "ForSequenceClassification": {"sequence": "logits"},
    "ForQuestionAnswering": {"answer": ("start_logits", "end_logits")},
}


def kind(name):
    return re.split("[ ,]", name)[0]


def family(name):
    return open_family(FAMILY[kind(name)])


def order(name):
    """Which of Marian's dimensions ours are."""
    return in_turn(48) if kind(name) == "marian" else None


def made(name, ends, **changes):
    begins = CLASS[kind(name)]
    config = getattr(transformers, f"{begins}Config")(**CONFIGS[name] | changes)
    config._attn_implementation = "eager"
    config = with_labels(config) if "Classification" in ends else config
    ends = "MTModel" if (begins, ends) == ("Marian", "ForConditionalGeneration") else ends
    model = getattr(transformers, f"{begins}{ends}")(config)
    if name in OWN_OUTPUT and hasattr(model, "lm_head"):
        model.lm_head.weight = torch.nn.Parameter(torch.empty(VOCAB, 48))
    model = randomise(model)
    for part in model.modules():
        if type(part).__name__ == "MarianSinusoidalPositionalEmbedding":  # a parameter there, which is not learned
            part.weight.data.copy_(part.create_weight())
    return model


def pairs(name, heads=("lm",)):
    """Sources and targets that have nothing to do with each other."""
    template, rng = family(name).template(SPECIAL), np.random.default_rng(5)
    found = []
    for source, target in LENGTHS:
        streams = (
            bidirectional(rng.integers(3, VOCAB, source)),
            decoder_input(rng.integers(3, VOCAB, target), template.start_id),
        )
        found.append(reading(Example(*streams), template, heads))
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_language_models_both_ways(name, tmp_path):
    reference = made(name, "ForConditionalGeneration")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.family == FAMILY[kind(name)] and loaded.fresh == () and loaded.unread == ()
    assert list(loaded.model.heads) == ["lm"]
    compare(loaded.model, reference, pairs(name), LM, order(name))
    assert_steps_equal(loaded.model, reference, pairs(name))

    ours = randomise(loaded.model, seed=1)
    folder = save_ours(FAMILY[kind(name)], ours, loaded.specs, tmp_path, loaded.kept)
    again, unexpected = reopened("AutoModelForSeq2SeqLM", folder)
    assert type(again) is type(reference) and not unexpected
    compare(ours, again, pairs(name), LM, order(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_bare_models_both_ways(name, tmp_path):
    reference = made(name, "Model")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.specs == ()
    assert_hidden_equal(loaded.model, reference, pairs(name), order=order(name))
    folder = save_ours(FAMILY[kind(name)], randomise(loaded.model, seed=1), (), tmp_path, loaded.kept)
    again, unexpected = reopened("AutoModel", folder)
    assert type(again) is type(reference) and not unexpected
    assert_hidden_equal(loaded.model, again, pairs(name), order=order(name))


@pytest.mark.parametrize("ends", TEXTS)
@pytest.mark.parametrize("name", ["bart", "t5", "t5 1.1", "mt5"])
def test_heads_of_texts_both_ways(name, ends, tmp_path):
    """Read by both stacks: the decoder reads the text one place later, and its last row knows the whole."""
    reference, heads = made(name, ends), TEXTS[ends]
    loaded = load_theirs(reference, tmp_path)
    assert list(loaded.model.heads) == list(heads) and not loaded.fresh and not loaded.unread
    texts = examples(family(name).template(SPECIAL), heads, [(7, None), (23, None), (1, None), (38, None)])
    compare(loaded.model, reference, texts, heads)
    if "Classification" in ends:
        assert loaded.specs[0].labels == LABELS and loaded.specs[0].dropout == reference.config.classifier_dropout

    ours = randomise(loaded.model, seed=1)
    folder = save_ours(FAMILY[kind(name)], ours, loaded.specs, tmp_path, loaded.kept)
    again, unexpected = reopened(f"AutoModel{ends}", folder)
    assert type(again) is type(reference) and not unexpected
    compare(ours, again, texts, heads)


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_a_bias_of_the_output(name, tmp_path):
    reference = made(name, "ForConditionalGeneration")
    reference.final_logits_bias.normal_(generator=torch.Generator().manual_seed(2))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.config.output.bias
    compare(loaded.model, reference, pairs(name), LM, order(name))
    assert_steps_equal(loaded.model, reference, pairs(name))
    ours = randomise(loaded.model, seed=1)
    again, unexpected = reopened(
        "AutoModelForSeq2SeqLM", save_ours(FAMILY[name], ours, loaded.specs, tmp_path, loaded.kept)
    )
    assert not unexpected and again.final_logits_bias.abs().max() > 0.1
    compare(ours, again, pairs(name), LM, order(name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bart", {"scale_embedding": True}),
        ("bart", {"encoder_attention_heads": 8}),
        ("bart", {"decoder_attention_heads": 8}),
        ("bart", {"activation_function": "relu"}),
        ("marian", {"scale_embedding": False}),
        ("t5", {"relative_attention_max_distance": 30}),
        ("t5", {"layer_norm_epsilon": 1e-1}),
        ("t5", {"feed_forward_proj": "gelu", "dense_act_fn": "gelu"}),
        ("t5 1.1", {"feed_forward_proj": "gated-silu", "dense_act_fn": "silu"}),
        ("t5", {"num_heads": 5, "d_kv": 8}),
    ],
)
def test_a_setting_that_is_read_wrong_is_found_out(name, change, tmp_path):
    """The comparison itself: with one setting of the file changed, it fails."""
    reference = made(name, "Model")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    weights = load_file(tmp_path / "model.safetensors")
    if "num_heads" in change:
        weights = {key: value[:, [0, 1, 2, 3, 3]] if value.shape == (8, 4) else value for key, value in weights.items()}
    loaded = family_of(hf).from_hf(hf | change, weights)
    with pytest.raises(AssertionError, match="not close"):
        assert_hidden_equal(loaded.model, reference, pairs(name), tolerance=1e-3, order=order(name))
