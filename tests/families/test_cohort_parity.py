"""Parity of BERT's successors with transformers, both ways: every layer and every head, within 1e-5 in fp32.

Every weight is random, biases and norms too; sequences of unequal lengths are packed together, the empty text and one
that fills all positions among them.
"""

import json
import re

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
    reference_run,
    reopened,
    save_ours,
    with_labels,
)
from pretune.core.errors import InputError  # noqa: E402
from pretune.families.family import HeadSpec, family_of, open_family  # noqa: E402
from pretune.nn.model import Model  # noqa: E402

LENGTHS = [(7, 5), (23, None), (0, None), (4, 19), (38, None), (1, 0), (30, 2), (5, None), (17, 19)]
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 42,
}
SPECIAL = {
    "Roberta": {"cls": 0, "pad": 1, "sep": 2, "unk": 3, "mask": 4},
    "XLMRoberta": {"cls": 0, "pad": 4, "sep": 2, "unk": 3, "mask": 1},
    "Camembert": {"cls": 1, "pad": 0, "sep": 2, "unk": 3, "mask": 4},
    "DistilBert": {"cls": 1, "pad": 0, "sep": 2, "unk": 3, "mask": 4},
    "Electra": {"cls": 1, "pad": 0, "sep": 2, "unk": 3, "mask": 4},
    "Albert": {"cls": 1, "pad": 0, "sep": 2, "unk": 3, "mask": 4},
    "DebertaV2": {"cls": 1, "pad": 0, "sep": 2, "unk": 3, "mask": 4},
}
DISENTANGLED = {"relative_attention": True, "position_biased_input": False, "pos_att_type": "p2c|c2p"}
CONFIGS = {
    "Roberta": SHAPE | {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "classifier_dropout": 0.25},
    "XLMRoberta": SHAPE | {"type_vocab_size": 1, "pad_token_id": 4, "max_position_embeddings": 45},
    "Camembert": SHAPE | {"type_vocab_size": 2, "hidden_act": "gelu_new", "pad_token_id": 0},
    "DistilBert": {
        "vocab_size": VOCAB,
        "dim": 48,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 80,
        "max_position_embeddings": 40,
        "seq_classif_dropout": 0.35,
        "qa_dropout": 0.15,
    },
    "Electra": SHAPE | {"embedding_size": 20, "classifier_dropout": 0.25, "max_position_embeddings": 40},
    "Albert": SHAPE
    | {"embedding_size": 20, "num_hidden_layers": 5, "num_hidden_groups": 2, "classifier_dropout_prob": 0.25}
    | {"hidden_act": "gelu"},
    "DebertaV2": SHAPE
    | DISENTANGLED
    | {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 8, "max_relative_positions": 24}
    | {"cls_dropout": 0.25, "legacy": False},
}
FAMILY = {
    "Roberta": "roberta",
    "XLMRoberta": "roberta",
    "Camembert": "roberta",
    "DistilBert": "distilbert",
    "Electra": "electra",
    "Albert": "albert",
    "DebertaV2": "deberta",
}
HEADS = {
    "MaskedLM": {"lm": "logits"},
    "SequenceClassification": {"sequence": "logits"},
    "TokenClassification": {"token": "logits"},
    "MultipleChoice": {"choice": "logits"},
    "QuestionAnswering": {"answer": ("start_logits", "end_logits")},
}
PRETRAINING = {
    "Electra": {"replaced_token": "logits"},
    "Albert": {"lm": "prediction_logits", "sentence_order": "sop_logits"},
}
SOME = ("XLMRoberta", "Camembert")
CASES = [(name, head) for name in CONFIGS for head in HEADS if name not in SOME]
CASES += [("Electra", "PreTraining"), ("Albert", "PreTraining")]
CASES += [("XLMRoberta", "MaskedLM"), ("XLMRoberta", "SequenceClassification"), ("Camembert", "MaskedLM")]


def made(name, ends):
    """Their model, randomised. Embeddings of padding too: an id may be padding here and a word there."""
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name], attn_implementation="eager")
    config = with_labels(config) if "Classification" in ends else config
    return randomise(getattr(transformers, f"{name}{ends}")(config))


def texts(name, heads=("lm",)):
    family = open_family(FAMILY[name])
    return examples(family.template(SPECIAL[name]), heads, LENGTHS)


@pytest.mark.parametrize(("name", "head"), CASES)
def test_heads_both_ways(name, head, tmp_path):
    heads = PRETRAINING[name] if head == "PreTraining" else HEADS[head]
    reference = made(name, f"For{head}")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.family == FAMILY[name] and loaded.fresh == () and loaded.unread == ()
    batch_examples = texts(name, heads)
    compare(loaded.model, reference, batch_examples, heads)
    if "Classification" in head:
        assert loaded.specs[0].labels == LABELS

    ours = randomise(loaded.model, seed=1)
    folder = save_ours(FAMILY[name], ours, loaded.specs, tmp_path, loaded.kept)
    again, unexpected = reopened(f"AutoModelFor{head}", folder)
    assert type(again).__name__ == f"{name}For{head}" and not unexpected
    compare(ours, again, batch_examples, heads)
    if "Classification" in head:
        assert list(again.config.id2label.values()) == list(LABELS)


@pytest.mark.parametrize("name", CONFIGS)
def test_bare_models_both_ways(name, tmp_path):
    reference = made(name, "Model")
    loaded = load_theirs(reference, tmp_path)
    assert loaded.specs == ()
    assert_hidden_equal(loaded.model, reference, texts(name))
    again, unexpected = reopened("AutoModel", save_ours(FAMILY[name], loaded.model, (), tmp_path, loaded.kept))
    assert type(again).__name__ == f"{name}Model" and not unexpected
    assert_hidden_equal(loaded.model, again, texts(name))
    pooled = reference_run(reference, texts(name)).get("pooler_output")
    if pooled is not None:
        torch.testing.assert_close(reference_run(again, texts(name)).pooler_output, pooled, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Roberta", {"pad_token_id": 2}),
        ("Roberta", {"layer_norm_eps": 1e-2}),
        ("Roberta", {"hidden_act": "relu"}),
        ("DistilBert", {"activation": "relu"}),
        ("DistilBert", {"n_heads": 8}),
        ("Electra", {"num_attention_heads": 8}),
        ("Albert", {"num_attention_heads": 8}),
        ("Albert", {"hidden_act": "gelu_new"}),
        ("DebertaV2", {"max_relative_positions": 42}),
        ("DebertaV2", {"num_attention_heads": 8}),
    ],
)
def test_a_setting_that_is_read_wrong_is_found_out(name, change, tmp_path):
    """The comparison itself: with one setting of the file changed, it fails."""
    reference = made(name, "Model")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    loaded = family_of(hf).from_hf(hf | change, load_file(tmp_path / "model.safetensors"))
    with pytest.raises(AssertionError, match="not close"):
        short = [each for each in texts(name) if each.num_tokens < 30]
        assert_hidden_equal(loaded.model, reference, short, tolerance=1e-3)


@pytest.mark.parametrize("head", ["PreTraining", "MaskedLM"])
def test_electra_without_a_map_between_embeddings_and_layers(head, tmp_path):
    config = transformers.ElectraConfig(**CONFIGS["Electra"] | {"embedding_size": 48}, attn_implementation="eager")
    reference = randomise(getattr(transformers, f"ElectraFor{head}")(config))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.embedding_map is None and loaded.model.body.config.embedding_size is None
    heads = PRETRAINING["Electra"] if head == "PreTraining" else HEADS[head]
    compare(loaded.model, reference, texts("Electra", heads), heads)
    again, unexpected = reopened(f"AutoModelFor{head}", save_ours("electra", loaded.model, (), tmp_path))
    assert not unexpected
    compare(loaded.model, again, texts("Electra", heads), heads)


def albert_files():
    family = open_family("albert")
    body = family.build(family.config("tiny", 20))
    return family, *family.to_hf(Model(body, {"lm": body.family_head("lm")}))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("inner_group_num", 2, "inner_group_num is 2: pretune computes only 1"),
        ("net_structure_type", 1, "net_structure_type is 1: pretune computes only 0"),
        ("is_decoder", True, "is_decoder is True: pretune computes only False"),
        ("num_hidden_groups", 3, "num_groups is 3: 2 layers have at most as many groups"),
        (
            "num_hidden_groups",
            2,
            "the weights lack encoder.albert_layer_groups.1.albert_layers.0.attention.query.weight",
        ),
        ("num_hidden_groups", 10**7, "num_hidden_groups is 10000000, and the weights are 28 tensors"),
        ("num_hidden_layers", 10**7, "num_hidden_layers is 10000000, and pretune repeats a block at most 1,024 times"),
        ("num_hidden_layers", "2", "num_hidden_layers is '2': expected int"),
    ],
)
def test_albert_refuses_what_it_does_not_compute(key, value, says):
    family, hf, weights = albert_files()
    with pytest.raises(InputError, match=re.escape(says)):
        family.from_hf(hf | {key: value}, weights)


def test_albert_has_more_layers_than_tensors():
    family, hf, weights = albert_files()
    loaded = family.from_hf(hf | {"num_hidden_layers": 40}, weights)
    assert len(weights) < 40 == loaded.model.body.config.num_layers and len(loaded.model.body.layers) == 1


def test_albert_keeps_keys_of_old_releases_and_its_dropout(tmp_path):
    """Of the first release: groups and memories that were never used, and a classifier's dropout that differs."""
    old = dict.fromkeys(("net_structure_type", "gap_size", "num_memory_blocks"), 0) | {"down_scale_factor": 1}
    family, hf, weights = albert_files()
    loaded = family.from_hf(hf | old | {"classifier_dropout_prob": 0.4, "hidden_dropout_prob": 0.2}, weights)
    assert loaded.model.body.config.hidden_dropout == 0.2 and loaded.model.body.config.embedding_dropout == 0.2
    of_file = family.from_hf(hf | {"classifier_dropout_prob": 0.4}, weights, [HeadSpec("sequence", LABELS)])
    assert of_file.model.heads["sequence"].dropout == of_file.specs[0].dropout == 0.4
    assert family.to_hf(of_file.model, of_file.specs)[0]["classifier_dropout_prob"] == 0.4
    told = {key: value for key, value in hf.items() if key != "classifier_dropout_prob"}
    assert family.from_hf(told, weights, [HeadSpec("token", LABELS)]).model.heads["token"].dropout == 0.1


def test_roberta_reads_a_language_model_that_sees_one_side(tmp_path):
    config = transformers.RobertaConfig(**CONFIGS["Roberta"], is_decoder=True, attn_implementation="eager")
    reference = randomise(transformers.RobertaForCausalLM(config))
    loaded = load_theirs(reference, tmp_path)
    assert loaded.model.body.config.attention.causal
    batch_examples = texts("Roberta", {"lm": 0})
    compare(loaded.model, reference, batch_examples, {"lm": "logits"})
    again, unexpected = reopened("AutoModelForCausalLM", save_ours("roberta", loaded.model, loaded.specs, tmp_path))
    assert type(again).__name__ == "RobertaForCausalLM" and not unexpected
    compare(loaded.model, again, batch_examples, {"lm": "logits"})


def test_robertas_positions_begin_after_its_pad_token():
    roberta = open_family("roberta")
    assert roberta.config("base", 50_265).position.first == 2
    body = roberta.build(roberta.config("tiny", 20, **{"position.first": 5, "position.max_positions": 8}))
    hf, weights = roberta.to_hf(Model(body, {}))
    assert hf["pad_token_id"] == 4 and hf["max_position_embeddings"] == 13
    assert weights["embeddings.position_embeddings.weight"].shape == (13, 128)
    assert roberta.max_length(body.config, {}) == 8
    for pad in (None, -1, 12, True):
        with pytest.raises(InputError, match="pad_token_id is .*: expected a whole number from 0 to 11"):
            roberta.from_hf(hf | {"pad_token_id": pad}, weights)
    with pytest.raises(InputError, match="no pad token"):
        roberta.for_tokenizer({"cls": 1, "sep": 2})


def test_distilbert_has_a_dropout_for_each_kind_of_head(tmp_path):
    family = open_family("distilbert")
    for ends, kind, rate in (
        ("SequenceClassification", "sequence", 0.35),
        ("MultipleChoice", "choice", 0.35),
        ("QuestionAnswering", "answer", 0.15),
        ("TokenClassification", "token", 0.1),
    ):
        loaded = load_theirs(made("DistilBert", f"For{ends}"), tmp_path)
        assert loaded.model.heads[kind].dropout == loaded.specs[0].dropout == rate
        hf, _ = family.to_hf(loaded.model, loaded.specs, loaded.kept)
        assert (hf["seq_classif_dropout"], hf["qa_dropout"], hf["dropout"]) == (0.35, 0.15, 0.1)
    fresh = {
        kind: family.head(kind, loaded.model.body, 2).dropout for kind in ("sequence", "choice", "answer", "token")
    }
    assert fresh == {"sequence": 0.2, "choice": 0.2, "answer": 0.1, "token": 0.1}


def test_roberta_drops_out_before_its_dense_layer_too():
    roberta = open_family("roberta")
    body = roberta.build(roberta.config("tiny", 20))
    assert roberta.head_of(HeadSpec("sequence", LABELS), body).drop_input
    assert not any(roberta.head(kind, body).drop_input for kind in ("choice", "answer", "next_sentence"))
