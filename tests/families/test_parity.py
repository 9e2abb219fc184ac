"""Parity with transformers, both ways: hidden states of every layer and logits of every head, within 1e-5 in fp32.

Models are tiny and random, and every weight, bias and norm is drawn: fresh ones are nearly constant and hide errors.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

from beside_transformers import (  # noqa: E402
    LABELS,
    SPECIAL,
    VOCAB,
    assert_hidden_equal,
    compare,
    examples,
    load_theirs,
    logits_of,
    randomise,
    reference_run,
    reopened,
    save_ours,
    with_labels,
)
from pretune.core.stream import Example, Targets  # noqa: E402
from pretune.families.family import open_family  # noqa: E402
from pretune.nn.model import Model  # noqa: E402

BERT = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 40,
}
MODERN = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
GLOBAL = {"layer_types": ["full_attention"] * 4}
SLIDING = {
    "local_attention": 8,
    "layer_types": ["full_attention", "sliding_attention", "sliding_attention"] + ["full_attention"],
}
MODERNS = {
    "global": GLOBAL,
    "sliding": SLIDING,
    "default-layers": {"local_attention": 6},
    "all-sliding": {"local_attention": 10, "layer_types": ["sliding_attention"] * 4},
    "biases": GLOBAL
    | {
        "norm_bias": True,
        "attention_bias": True,
        "mlp_bias": True,
        "classifier_bias": True,
        "decoder_bias": False,
        "hidden_activation": "gelu_pytorch_tanh",
        "classifier_activation": "silu",
        "norm_eps": 1e-3,
    },
    "bases": SLIDING
    | {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 300.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 40.0},
        }
    },
}


def bert_config(**changes):
    return transformers.BertConfig(**{**BERT, **changes}, attn_implementation="eager")


def modern_config(kind="sliding", **changes):
    return transformers.ModernBertConfig(**{**MODERN, **MODERNS[kind], **changes}, attn_implementation="eager")


CASES = {
    "BertForPreTraining": (
        "AutoModelForPreTraining",
        {"lm": "prediction_logits", "next_sentence": "seq_relationship_logits"},
    ),
    "BertForMaskedLM": ("AutoModelForMaskedLM", {"lm": "logits"}),
    "BertForNextSentencePrediction": ("AutoModelForNextSentencePrediction", {"next_sentence": "logits"}),
    "BertForSequenceClassification": ("AutoModelForSequenceClassification", {"sequence": "logits"}),
    "BertForTokenClassification": ("AutoModelForTokenClassification", {"token": "logits"}),
    "BertForMultipleChoice": ("AutoModelForMultipleChoice", {"choice": "logits"}),
    "BertForQuestionAnswering": ("AutoModelForQuestionAnswering", {"answer": ("start_logits", "end_logits")}),
}


@pytest.mark.parametrize("class_name", CASES)
def test_bert_both_ways(class_name, tmp_path):
    auto, heads = CASES[class_name]
    config = bert_config()
    if "Classification" in class_name:
        with_labels(config)
    reference = randomise(getattr(transformers, class_name)(config))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.fresh == () and loaded.unread == ()
    batch_examples = examples(open_family("bert").template(SPECIAL), heads)
    compare(loaded.model, reference, batch_examples, heads)
    if "Classification" in class_name:
        assert loaded.specs[0].labels == LABELS

    ours = randomise(loaded.model, seed=1)
    again, unexpected = reopened(auto, save_ours("bert", ours, loaded.specs, tmp_path))
    assert type(again).__name__ == class_name and not unexpected
    compare(ours, again, batch_examples, heads)
    if "Classification" in class_name:
        assert list(again.config.id2label.values()) == list(LABELS)


MODERN_CASES = {
    "ModernBertForMaskedLM": ("AutoModelForMaskedLM", {"lm": "logits"}),
    "ModernBertForTokenClassification": ("AutoModelForTokenClassification", {"token": "logits"}),
    "ModernBertForSequenceClassification": ("AutoModelForSequenceClassification", {"sequence": "logits"}),
    "ModernBertForMultipleChoice": ("AutoModelForMultipleChoice", {"choice": "logits"}),
    "ModernBertForQuestionAnswering": ("AutoModelForQuestionAnswering", {"answer": ("start_logits", "end_logits")}),
}


@pytest.mark.parametrize("kind", MODERNS)
def test_modern_layers_both_ways(kind, tmp_path):
    """Every kind of layers and positions, with the masked-LM head; lengths on both sides of the windows."""
    check_modern("ModernBertForMaskedLM", modern_config(kind), tmp_path)


@pytest.mark.parametrize("class_name", [name for name in MODERN_CASES if name != "ModernBertForMaskedLM"])
def test_modern_heads_both_ways(class_name, tmp_path):
    config = modern_config("sliding", classifier_dropout=0.25)
    check_modern(class_name, with_labels(config) if "Classification" in class_name else config, tmp_path)


def check_modern(class_name, config, tmp_path):
    auto, heads = MODERN_CASES[class_name]
    reference = randomise(getattr(transformers, class_name)(config))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.fresh == () and loaded.unread == ()
    batch_examples = examples(open_family("modern").template(SPECIAL), heads)
    compare(loaded.model, reference, batch_examples, heads)

    ours = randomise(loaded.model, seed=1)
    again, unexpected = reopened(auto, save_ours("modern", ours, loaded.specs, tmp_path))
    assert type(again).__name__ == class_name and not unexpected
    compare(ours, again, batch_examples, heads)


def test_modern_reads_the_older_keys(tmp_path):
    """Published config.json files say global_attn_every_n_layers, global_rope_theta and local_rope_theta."""
    config = modern_config("default-layers")
    config.rope_parameters["full_attention"]["rope_theta"] = 500.0
    config.rope_parameters["sliding_attention"]["rope_theta"] = 60.0
    reference = randomise(transformers.ModernBertForMaskedLM(config))
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    del hf["layer_types"], hf["rope_parameters"]
    hf |= {"global_attn_every_n_layers": 3, "global_rope_theta": 500.0, "local_rope_theta": 60.0}
    loaded = open_family("modern").from_hf(hf, load_file(tmp_path / "model.safetensors"))
    assert loaded.model.body.config.attention.windows == (None, 3, 3, None)
    compare(loaded.model, reference, examples(open_family("modern").template(SPECIAL), {"lm": 0}), {"lm": "logits"})


@pytest.mark.parametrize(("head", "ends"), [("sequence", "SequenceClassification"), ("choice", "MultipleChoice")])
def test_modern_mean_pooling_both_ways(head, ends, tmp_path):
    """The head reads every row of a text as one group, and each row gets the text's logits."""
    config = modern_config("sliding", classifier_pooling="mean")
    config = with_labels(config) if head == "sequence" else config
    reference = randomise(getattr(transformers, f"ModernBertFor{ends}")(config))
    loaded = load_theirs(reference, tmp_path)
    again, _ = reopened(f"AutoModelFor{ends}", save_ours("modern", loaded.model, loaded.specs, tmp_path))
    whole = []
    for example in examples(open_family("modern").template(SPECIAL)):
        every = np.arange(example.num_tokens)
        targets = Targets(at_MK=every[:, None], group_M=np.zeros(len(every), int))
        whole.append(Example(example.source, predict={head: targets}))
    ours_MC = logits_of(loaded.model, whole)[head]
    first_rows = np.cumsum([0] + [example.num_tokens for example in whole[:-1]])
    for other in (reference, again):
        theirs_NC = reference_run(other, whole).logits.reshape(len(whole), -1)
        torch.testing.assert_close(ours_MC[first_rows], theirs_NC, atol=1e-5, rtol=0)


def test_bare_models_have_the_file_names_of_bare_models(tmp_path):
    reference = randomise(transformers.BertModel(bert_config()))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.specs == () and hasattr(loaded.model.body, "pooler")
    again, unexpected = reopened("AutoModel", save_ours("bert", loaded.model, (), tmp_path))
    assert not unexpected
    batch_examples = examples(open_family("bert").template(SPECIAL))
    assert_hidden_equal(loaded.model, again, batch_examples)
    pooled = reference_run(reference, batch_examples).pooler_output
    torch.testing.assert_close(reference_run(again, batch_examples).pooler_output, pooled, atol=1e-6, rtol=0)
    reference = randomise(transformers.ModernBertModel(modern_config()))
    loaded = load_theirs(reference, tmp_path)
    again, unexpected = reopened("AutoModel", save_ours("modern", loaded.model, (), tmp_path))
    assert not unexpected
    assert_hidden_equal(loaded.model, again, examples(open_family("modern").template(SPECIAL)))


@pytest.mark.parametrize(
    "lost", ["position.embedding.weight", "segment_embedding.weight", "layers.1.attention_norm.bias"]
)
def test_a_bert_without_one_part_is_found_out(lost, tmp_path):
    """The comparison itself: with one part deleted, it fails."""
    reference = randomise(transformers.BertModel(bert_config()))
    loaded = load_theirs(reference, tmp_path)
    with torch.no_grad():
        loaded.model.body.get_parameter(lost).zero_()
    with pytest.raises(AssertionError, match="not close"):
        assert_hidden_equal(loaded.model, reference, examples(open_family("bert").template(SPECIAL)), tolerance=1e-2)


@pytest.mark.parametrize("change", ["windows", "base", "local_base"])
def test_a_modern_with_one_choice_changed_is_found_out(change, tmp_path):
    reference = randomise(transformers.ModernBertModel(modern_config("sliding")))
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    if change == "windows":
        hf["local_attention"] += 2
    elif change == "base":
        hf["rope_parameters"]["full_attention"]["rope_theta"] = 1000.0
    else:
        hf["rope_parameters"]["sliding_attention"]["rope_theta"] = 1000.0
    loaded = open_family("modern").from_hf(hf, load_file(tmp_path / "model.safetensors"))
    with pytest.raises(AssertionError, match="not close"):
        assert_hidden_equal(loaded.model, reference, examples(open_family("modern").template(SPECIAL)), tolerance=1e-3)


def test_a_modern_next_sentence_head_leaves_the_rest_to_transformers(tmp_path):
    family = open_family("modern")
    body = family.build(family.config({"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2}, VOCAB))
    model = randomise(Model(body, {kind: family.head(kind, body) for kind in ("lm", "next_sentence")}))
    again, unexpected = reopened("AutoModelForMaskedLM", save_ours("modern", model, (), tmp_path))
    assert {name.split(".")[0] for name in unexpected} == {"pretune"}
    batch_examples = examples(family.template(SPECIAL), ("lm", "next_sentence"))
    compare(model, again, batch_examples, {"lm": "logits"})
    hf = json.loads((tmp_path / "config.json").read_text())
    loaded = family.from_hf(hf, load_file(tmp_path / "model.safetensors"))
    assert [spec.kind for spec in loaded.specs] == ["lm", "next_sentence"]
    expected = logits_of(model, batch_examples)["next_sentence"]
    torch.testing.assert_close(logits_of(loaded.model, batch_examples)["next_sentence"], expected, atol=0, rtol=0)
