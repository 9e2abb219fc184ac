"""Parity of GPT and GPT-2 with transformers, both ways: every layer and every head, within 1e-5 in fp32.

Every weight is random, biases and norms too; sequences of unequal lengths are packed together, one that fills all
positions among them.
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
    compare,
    examples,
    load_theirs,
    randomise,
    reopened,
    save_ours,
    with_labels,
)
from pretune.core.assemble import assemble  # noqa: E402
from pretune.core.errors import InputError  # noqa: E402
from pretune.core.stream import Segments, Span  # noqa: E402
from pretune.families.counts import count_parameters  # noqa: E402
from pretune.families.family import HeadSpec, family_of, open_family  # noqa: E402
from pretune.nn.config import FanIn, Rotary  # noqa: E402
from pretune.nn.model import Model  # noqa: E402

LENGTHS = [(7, 5), (23, None), (4, 19), (40, None), (1, 0), (30, 2), (5, None)]
SHAPE = {"vocab_size": VOCAB, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 40, "pad_token_id": 0}
CONFIGS = {
    "GPT2": SHAPE | {"n_inner": 80, "layer_norm_epsilon": 1e-4, "classifier_dropout": 0.25},
    "OpenAIGPT": SHAPE,
}
FAMILY = {"GPT2": "gpt2", "OpenAIGPT": "gpt"}
NAMES = list(CONFIGS)
HEADS = {
    "LMHeadModel": {"lm": "logits"},
    "ForSequenceClassification": {"sequence": "logits"},
    "ForTokenClassification": {"token": "logits"},
    "ForQuestionAnswering": {"answer": ("start_logits", "end_logits")},
}
AUTO = {"LMHeadModel": "ForCausalLM"}
CASES = [("GPT2", ends) for ends in HEADS]
CASES += [("OpenAIGPT", "LMHeadModel"), ("OpenAIGPT", "ForSequenceClassification")]


def made(name, ends, **changes):
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name] | changes, attn_implementation="eager")
    config = with_labels(config) if "Classification" in ends else config
    return randomise(getattr(transformers, f"{name}{ends}")(config))


def texts(name, heads=("lm",)):
    return examples(open_family(FAMILY[name]).template({}), heads, LENGTHS)


@pytest.mark.parametrize(("name", "ends"), CASES)
def test_heads_both_ways(name, ends, tmp_path):
    heads = HEADS[ends]
    reference = made(name, ends)
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.family == FAMILY[name] and loaded.fresh == () and loaded.unread == ()
    assert list(loaded.model.heads) == list(heads)
    compare(loaded.model, reference, texts(name, heads), heads)
    if "Classification" in ends:
        assert loaded.specs[0].labels == LABELS

    ours = randomise(loaded.model, seed=1)
    folder = save_ours(FAMILY[name], ours, loaded.specs, tmp_path, loaded.kept)
    again, unexpected = reopened(f"AutoModel{AUTO.get(ends, ends)}", folder)
    assert type(again).__name__ == f"{name}{ends}" and not unexpected
    compare(ours, again, texts(name, heads), heads)
    if "Classification" in ends:
        assert list(again.config.id2label.values()) == list(LABELS)


@pytest.mark.parametrize("name", NAMES)
def test_bare_models_both_ways(name, tmp_path):
    reference = made(name, "Model")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.specs == ()
    assert_hidden_equal(loaded.model, reference, texts(name))
    again, unexpected = reopened("AutoModel", save_ours(FAMILY[name], loaded.model, (), tmp_path, loaded.kept))
    assert type(again).__name__ == f"{name}Model" and not unexpected
    assert_hidden_equal(loaded.model, again, texts(name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("GPT2", {"layer_norm_epsilon": 1e-1}),
        ("GPT2", {"activation_function": "relu"}),
        ("GPT2", {"n_head": 8}),
        ("OpenAIGPT", {"afn": "relu"}),
        ("OpenAIGPT", {"n_head": 8}),
        ("OpenAIGPT", {"layer_norm_epsilon": 1e-1}),
    ],
)
def test_a_setting_that_is_read_wrong_is_found_out(name, change, tmp_path):
    """The comparison itself: with one setting of the file changed, it fails."""
    reference = made(name, "Model")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    loaded = family_of(hf).from_hf(hf | change, load_file(tmp_path / "model.safetensors"))
    with pytest.raises(AssertionError, match="not close"):
        assert_hidden_equal(loaded.model, reference, texts(name), tolerance=1e-3)


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu", "swish"])
def test_gpts_names_of_activations_are_its_own(activation, tmp_path):
    """ "gelu" is the tanh form there."""
    reference = made("OpenAIGPT", "Model", afn=activation)
    loaded = load_theirs(reference, tmp_path)
    assert_hidden_equal(loaded.model, reference, texts("OpenAIGPT"))
    again, _ = reopened("AutoModel", save_ours("gpt", loaded.model, (), tmp_path))
    assert_hidden_equal(loaded.model, again, texts("OpenAIGPT"))


@pytest.mark.parametrize("name", NAMES)
def test_files_of_old_releases(name, tmp_path):
    """Names without a prefix, masks as buffers, and keys of heads that nobody asks for."""
    reference = made(name, "LMHeadModel")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    old = {"n_ctx": 40, "summary_type": "cls_index", "summary_first_dropout": 0.1}
    old |= {"n_special": 0, "predict_special_tokens": True} if name == "OpenAIGPT" else {}
    weights = {key.removeprefix("transformer."): value for key, value in reference.state_dict().items()}
    for layer in range(3):
        weights[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 40, 40).tril()
        weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    assert "lm_head.weight" in weights
    loaded = family_of(hf).from_hf(hf | old, weights)
    assert [spec.kind for spec in loaded.specs] == ["lm"] and not loaded.unread
    compare(loaded.model, reference, texts(name), {"lm": "logits"})
    weights["lm_head.weight"] = weights["lm_head.weight"] + 1
    with pytest.raises(InputError, match="lm_head.weight differs"):
        family_of(hf).from_hf(hf, weights)


def tiny(name, *kinds, **changes):
    family = open_family(name)
    body = family.build(family.config("tiny", 20, **changes))
    return family, Model(body, {kind: body.family_head(kind) for kind in kinds})


@pytest.mark.parametrize(
    ("name", "key", "value", "says"),
    [
        ("gpt2", "scale_attn_by_inverse_layer_idx", True, "is True: pretune computes only False"),
        ("gpt2", "reorder_and_upcast_attn", True, "is True: pretune computes only False"),
        ("gpt2", "scale_attn_weights", False, "is False: pretune computes only True"),
        ("gpt2", "add_cross_attention", True, "is True: pretune computes only False"),
        ("gpt2", "tie_word_embeddings", False, "is False: pretune computes only True"),
        ("gpt2", "activation_function", "mish", "is 'mish': pretune computes gelu"),
        ("gpt2", "n_inner", "wide", "is 'wide': expected a whole number"),
        ("gpt2", "n_inner", 80, "has shape [128, 512]: config.json asks for [128, 80]"),
        ("gpt2", "attention_sink", True, "unknown key 'attention_sink'"),
        ("gpt", "afn", "gelu_new", "is 'gelu_new': pretune computes gelu, relu, silu, swish"),
        ("gpt", "afn", ["gelu"], "is ['gelu']: pretune computes"),
        ("gpt", "n_inner", 80, "unknown key 'n_inner'"),
        ("gpt", "n_layer", 10**7, "n_layer is 10000000, and the weights are 26 tensors"),
    ],
)
def test_what_is_not_computed_is_refused(name, key, value, says):
    family, model = tiny(name, "lm")
    hf, weights = family.to_hf(model)
    with pytest.raises(InputError, match=re.escape(says)):
        family.from_hf(hf | {key: value}, weights)


@pytest.mark.parametrize("name", FAMILY.values())
def test_bodies_that_the_files_cannot_say_are_refused(name):
    family = open_family(name)
    with pytest.raises(InputError, match="reads from left to right"):
        family.config("tiny", 20, **{"attention.causal": False})
    for wrong in ({"position": Rotary()}, {"final_norm": name == "gpt"}, {"num_segments": 2}):
        with pytest.raises(InputError, match=f"{name}'s files can express.*{next(iter(wrong))}"):
            family.config("tiny", 20, **wrong)
    if name == "gpt":
        for path, value in (("feed_forward.activation", "gelu"), ("feed_forward.intermediate_size", 80)):
            with pytest.raises(InputError, match=f"gpt's files can express.*{path}"):
                family.config("tiny", 20, **{path: value})


@pytest.mark.parametrize("name", FAMILY.values())
def test_a_language_model_beside_another_head_is_kept(name):
    """It has no tensor by which it would show."""
    family, model = tiny(name, "lm", "choice")
    hf, weights = family.to_hf(model)
    assert [spec.kind for spec in family.from_hf(json.loads(json.dumps(hf)), weights).specs] == ["lm", "choice"]
    family, model = tiny(name)
    hf, weights = family.to_hf(model)
    assert hf["architectures"][0].endswith("GPT2Model" if name == "gpt2" else "OpenAIGPTModel")
    assert not family.from_hf(hf, weights).specs
    asked = family.from_hf(hf, weights, [HeadSpec("lm")])
    assert not asked.fresh and asked.model.heads["lm"].decoder.weight is asked.model.body.token_embedding.weight


def test_exact_parameter_counts():
    """Radford et al. 2019's four models (the paper's own first figures, 117 M to 1542 M, were wrong: its repository
    says 124 M to 1558 M), and the first GPT with its vocabulary."""
    lm = [HeadSpec("lm")]
    counts = {size: count_parameters("gpt2", size, 50_257, lm) for size in ("small", "medium", "large", "xl")}
    assert counts == {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080, "xl": 1_557_611_200}
    assert count_parameters("gpt2", "base", 50_257) == counts["small"]
    assert count_parameters("gpt", "base", 40_478, lm) == 116_534_784


def test_gpt2s_maps_into_the_residual_start_smaller():
    gpt2, gpt = tiny("gpt2")[1].body, tiny("gpt")[1].body
    assert gpt.layers[1].attention.output.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for part in (gpt2.layers[1].attention, gpt2.layers[0].feed_forward):
        assert part.output.weight.std().item() == pytest.approx(0.02 / 4**0.5, rel=0.05)
    assert gpt2.layers[0].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    fan_in = tiny("gpt2", init=FanIn())[1].body
    assert fan_in.layers[0].attention.output.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)


@pytest.mark.parametrize("name", FAMILY.values())
def test_nothing_stands_around_a_text(name):
    template = open_family(name).template({"bos": 1, "eos": 1})
    spans = [Span(np.arange(5, 5 + n, dtype=np.int32), np.zeros(n, np.uint8)) for n in (3, 2)]
    assert [template.num_special(number) for number in (1, 2)] == [0, 0]
    pair = assemble(Segments(spans, {"sequence": 1}), template)
    assert pair.source.ids_T.tolist() == [5, 6, 7, 5, 6] and pair.predict["sequence"].at_MK.tolist() == [[4]]
    with pytest.raises(InputError, match="nothing to read"):
        assemble(Segments([Span(np.zeros(0, np.int32), np.zeros(0, np.uint8))]), template)
