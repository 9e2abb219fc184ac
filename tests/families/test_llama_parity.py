"""Parity of Llama with transformers, both ways: every layer and every head, within 1e-5 in fp32, cached decoding too.

Every weight is random, norms too; sequences of unequal lengths are packed together, one that fills all positions among
them.
"""

import json
import re

import pytest
import torch

transformers = pytest.importorskip("transformers")

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS  # noqa: E402

from beside_transformers import (  # noqa: E402
    LABELS,
    VOCAB,
    assert_hidden_equal,
    assert_steps_equal,
    compare,
    examples,
    load_theirs,
    randomise,
    reopened,
    save_ours,
    with_labels,
)
from pretune.core.errors import InputError  # noqa: E402
from pretune.families.counts import count_parameters  # noqa: E402
from pretune.families.family import HeadSpec, family_of, open_family  # noqa: E402
from pretune.nn import config as choices  # noqa: E402
from pretune.nn.model import Model  # noqa: E402
from pretune.nn.positions import frequencies, scaled  # noqa: E402

LENGTHS = [(7, 5), (23, None), (4, 19), (40, None), (1, 0), (30, 2), (5, None)]
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 44,
    "pad_token_id": 0,
}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64, "rope_theta": 500.0}
CONFIGS = {
    "plain": SHAPE,
    "grouped": SHAPE | {"num_key_value_heads": 2, "rms_norm_eps": 1e-3},
    "one head of keys, tied": SHAPE | {"num_key_value_heads": 1, "tie_word_embeddings": True},
    "scaled": SHAPE | {"num_key_value_heads": 2, "rope_parameters": LLAMA3},
    "wide heads, biases": SHAPE | {"head_dim": 20, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"},
}
CASES = [(name, "ForCausalLM") for name in CONFIGS] + [("grouped", "ForSequenceClassification")]
HEADS = {"ForCausalLM": {"lm": "logits"}, "ForSequenceClassification": {"sequence": "logits"}}


def made(name, ends):
    config = transformers.LlamaConfig(**CONFIGS[name], attn_implementation="eager")
    config = with_labels(config) if "Classification" in ends else config
    return randomise(getattr(transformers, f"Llama{ends}")(config))


def texts(heads=("lm",)):
    return examples(open_family("llama").template({"bos": 1}), heads, LENGTHS)


@pytest.mark.parametrize(("name", "ends"), CASES)
def test_heads_both_ways(name, ends, tmp_path):
    heads = HEADS[ends]
    reference = made(name, ends)
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.family == "llama" and loaded.fresh == () and loaded.unread == ()
    assert list(loaded.model.heads) == list(heads)
    compare(loaded.model, reference, texts(heads), heads)
    if "Classification" in ends:
        assert loaded.specs[0].labels == LABELS

    ours = randomise(loaded.model, seed=1)
    again, unexpected = reopened(f"AutoModel{ends}", save_ours("llama", ours, loaded.specs, tmp_path, loaded.kept))
    assert type(again).__name__ == f"Llama{ends}" and not unexpected
    compare(ours, again, texts(heads), heads)


@pytest.mark.parametrize("name", CONFIGS)
def test_bare_models_both_ways(name, tmp_path):
    reference = made(name, "Model")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.specs == ()
    assert_hidden_equal(loaded.model, reference, texts())
    again, unexpected = reopened("AutoModel", save_ours("llama", loaded.model, (), tmp_path, loaded.kept))
    assert type(again).__name__ == "LlamaModel" and not unexpected
    assert_hidden_equal(loaded.model, again, texts())


@pytest.mark.parametrize("name", CONFIGS)
def test_cached_decoding(name, tmp_path):
    reference = made(name, "ForCausalLM")
    assert_steps_equal(load_theirs(reference, tmp_path).model, reference, texts())


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 1e-1},
        {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 6},
        {"rope_parameters": LLAMA3 | {"rope_theta": 400.0}},
        {"rope_parameters": LLAMA3 | {"factor": 8.0}},
        {"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 32}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"hidden_act": "gelu"},
    ],
)
def test_a_setting_that_is_read_wrong_is_found_out(change, tmp_path):
    """The comparison itself: with one setting of the file changed, it fails."""
    reference = made("scaled", "Model")
    reference.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(json.loads((tmp_path / "config.json").read_text()) | change))
    loaded = load_theirs_from(tmp_path)
    with pytest.raises(AssertionError, match="not close"):
        assert_hidden_equal(loaded.model, reference, texts(), tolerance=1e-3)


def load_theirs_from(folder):
    from safetensors.torch import load_file

    hf = json.loads((folder / "config.json").read_text())
    return family_of(hf).from_hf(hf, load_file(folder / "model.safetensors"))


def test_files_of_old_releases(tmp_path):
    """Rotary numbers under the older keys, tables as buffers, no sizes that follow from others."""
    reference = made("scaled", "ForCausalLM")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    rope = hf.pop("rope_parameters")
    hf["rope_theta"] = rope.pop("rope_theta")
    hf |= {"rope_scaling": rope, "pretraining_tp": 1, "head_dim": None}
    weights = reference.state_dict() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)}
    loaded = family_of(hf).from_hf(hf, weights)
    compare(loaded.model, reference, texts(), {"lm": "logits"})


@pytest.mark.parametrize(("base", "settings"), [(500_000.0, (32.0, 1.0, 4.0, 8192)), (1e4, (2.5, 0.5, 3.0, 100))])
def test_scaled_wavelengths_are_transformers(base, settings):
    names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    rope = {"rope_type": "llama3", "rope_theta": base, **dict(zip(names, settings, strict=True))}
    config = transformers.LlamaConfig(head_dim=64, rope_parameters=rope)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    torch.testing.assert_close(
        scaled(frequencies(64, base), choices.Llama3Scaling(*settings)), expected, rtol=1e-6, atol=0
    )


def tiny(*kinds, **changes):
    family = open_family("llama")
    body = family.build(family.config("tiny", 20, **changes))
    return family, Model(body, {kind: body.family_head(kind) for kind in kinds})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "rope_parameters",
            {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0},
            "pretune computes default and llama3",
        ),
        ("rope_scaling", {"type": "linear", "factor": 2.0}, "pretune computes default and llama3"),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0}, "low_freq_factor is None"),
        ("rope_parameters", {"rope_theta": 0}, "rope_theta is 0"),
        ("num_key_value_heads", 3, "num_heads 2 is not a multiple of num_key_value_heads 3"),
        ("num_key_value_heads", "two", "is 'two': expected a whole number"),
        ("num_key_value_heads", 1, "has shape [128, 128]: config.json asks for [64, 128]"),
        ("head_dim", 32, "has shape [128, 128]: config.json asks for [64, 128]"),
        ("sliding_window", 128, "is 128: pretune computes only None"),
        ("max_position_embeddings", 0, "max_position_embeddings is 0"),
        ("hidden_act", "mish", "is 'mish': pretune computes gelu"),
        ("attention_sink", True, "unknown key 'attention_sink'"),
        ("num_hidden_layers", 10**7, "num_hidden_layers is 10000000, and the weights are"),
    ],
)
def test_what_is_not_computed_is_refused(key, value, says):
    family, model = tiny("lm")
    hf, weights = family.to_hf(model)
    if key == "rope_scaling":
        del hf["rope_parameters"]
    with pytest.raises(InputError, match=re.escape(says)):
        family.from_hf(hf | {key: value}, weights)


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("is_llama_config", True, False),
        ("rope_interleaved", False, True),
        ("transformers.js_config", {"dtype": "q4"}, None),
    ],
)
def test_keys_of_published_files_that_change_nothing(key, value, other):
    family, model = tiny("lm")
    hf, weights = family.to_hf(model)
    family.from_hf(hf | {key: value}, weights)
    if other is not None:
        with pytest.raises(InputError, match=f"{key} is {other}: pretune computes only {value}"):
            family.from_hf(hf | {key: other}, weights)


def test_a_base_for_long_texts_is_no_size(tmp_path):
    theirs = randomise(transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE, rope_theta=283_461_213.0)))
    assert theirs.config.rope_parameters["rope_theta"] == 283_461_213.0
    ours = load_theirs(theirs, tmp_path)
    assert ours.model.body.config.position.base == 283_461_213.0
    family, model = tiny("lm")
    hf, weights = family.to_hf(model)
    with pytest.raises(InputError, match="rope_theta is 1(0){14}: expected a number above 0, up to 1,000,000,000,000"):
        family.from_hf(hf | {"rope_parameters": {"rope_theta": 10**14}}, weights)


def test_a_tied_output_is_one_and_an_untied_one_is_not_lost():
    family, model = tiny("lm")
    hf, weights = family.to_hf(model)
    assert hf["tie_word_embeddings"] and "lm_head.weight" not in weights
    with pytest.raises(InputError, match="lm_head.weight differs"):
        family.from_hf(hf, weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1})
    family, model = tiny("lm", "choice", **{"output.tied": False})
    hf, weights = family.to_hf(model)
    assert not hf["tie_word_embeddings"] and "lm_head.weight" in weights
    again = family.from_hf(json.loads(json.dumps(hf)), weights)
    assert [spec.kind for spec in again.specs] == ["lm", "choice"]
    assert torch.equal(again.model.heads["lm"].decoder.weight, model.heads["lm"].decoder.weight)
    with pytest.raises(InputError, match="lack lm_head.weight"):
        family.from_hf(hf, {name: value for name, value in weights.items() if name != "lm_head.weight"})
    assert family.from_hf(hf, weights, []).unread == (
        "lm_head.weight",
        "pretune.choice.classifier.bias",
        "pretune.choice.classifier.weight",
    )
    family, model = tiny("lm", "choice")
    assert [spec.kind for spec in family.from_hf(*family.to_hf(model)).specs] == ["lm", "choice"]


def test_exact_parameter_counts():
    """Llama 2's 7b and Llama 3's 1b, 3b and 8b, as their releases hold them."""
    lm = [HeadSpec("lm")]
    assert count_parameters("llama", "7b", 32_000, lm) == 6_738_415_616
    counts = {size: count_parameters("llama", size, 128_256, lm) for size in ("1b", "3b", "8b")}
    assert counts == {"1b": 1_235_814_400, "3b": 3_212_749_824, "8b": 8_030_261_248}


def test_a_begin_token_stands_before_each_text_where_there_is_one():
    template = open_family("llama").template({"bos": 1, "eos": 2})
    assert template.single == ("bos", 0) and template.pair == ("bos", 0, "bos", 1) and template.summary == -1
    assert open_family("llama").template({"cls": 1}).pair == (0, 1)
