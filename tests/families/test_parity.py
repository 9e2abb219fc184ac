"""Parity with transformers, both ways: hidden states of every layer and logits of every head, within 1e-5 in fp32.

Models are tiny and random, and every weight, bias and norm is drawn: fresh ones are nearly constant and hide errors.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip("transformers")

from pretune.core.assemble import assemble  # noqa: E402
from pretune.core.marks import WORD_START  # noqa: E402
from pretune.core.pack import pack  # noqa: E402
from pretune.core.stream import Example, Segments, Span, Targets  # noqa: E402
from pretune.families.family import family_of, open_family  # noqa: E402
from pretune.nn.model import Model  # noqa: E402

VOCAB = 61
SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3, "unk": 4}
LENGTHS = [(7, 5), (23, None), (4, 19), (1, 1), (30, 2), (11, None)]
LABELS = ("no", "perhaps", "yes")

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


def randomise(module, seed=0):
    """Draws every parameter so that each matters: matrices by fan-in, embeddings 0.3, norms about 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.empty(value.shape).normal_(generator=generator)
            if value.ndim == 2:
                drawn *= 0.3 if "embedding" in name else 0.9 / value.shape[1] ** 0.5
            elif name.endswith("weight") and value.ndim == 1:
                drawn = 1 + 0.4 * drawn
            elif value.ndim == 1:
                drawn *= 0.4
            value.copy_(drawn)
    return module.eval()


def examples(template, heads=("lm",)):
    """Singles and pairs of unequal lengths; "lm", "token" and "answer" read every row, the others the first."""
    rng = np.random.default_rng(5)
    found = []
    for first, second in LENGTHS:
        lengths = [first] if second is None else [first, second]
        spans = [Span(rng.integers(5, VOCAB, n).astype(np.int32), np.full(n, WORD_START, np.uint8)) for n in lengths]
        example = assemble(Segments(spans), template)
        rows = {
            head: np.arange(example.num_tokens) if head in ("lm", "token", "answer", "mean") else np.zeros(1, int)
            for head in heads
        }
        found.append(Example(example.source, predict={head: Targets(at_MK=at[:, None]) for head, at in rows.items()}))
    return found


def padded(batch_examples):
    """The same sequences as transformers takes them: padded, with a mask."""
    longest = max(example.num_tokens for example in batch_examples)
    shape = (len(batch_examples), longest)
    batch = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "attention_mask", "token_type_ids")}
    for row, example in enumerate(batch_examples):
        length = example.num_tokens
        batch["input_ids"][row, :length] = torch.from_numpy(example.source.ids_T)
        batch["attention_mask"][row, :length] = 1
        batch["token_type_ids"][row, :length] = torch.from_numpy(example.source.segment_ids_T)
    return batch


def reference_run(reference, batch_examples):
    inputs = padded(batch_examples)
    if reference.config.model_type == "modernbert":
        del inputs["token_type_ids"]
    if type(reference).__name__.endswith("MultipleChoice"):  # three choices for each of two questions
        inputs = {name: value.unflatten(0, (-1, 3)) for name, value in inputs.items()}
    with torch.no_grad():
        return reference(**inputs, output_hidden_states=True, return_dict=True)


def ours_by_example(values, batch):
    """Rows of a packed batch, one tensor an example, in the order given."""
    parts = torch.split(values, batch.source.lengths_N.tolist())
    found = [None] * len(parts)
    for place, part in zip(batch.source.order_N, parts, strict=True):
        found[place] = part
    return found


def assert_hidden_equal(model, reference, batch_examples, tolerance=1e-5):
    batch = pack(batch_examples).to("cpu")
    with torch.no_grad():
        ours = model.eval().body(batch, layers="all")
    theirs = reference_run(reference, batch_examples).hidden_states
    assert len(ours) == len(theirs)
    for layer_ours, layer_theirs in zip(ours, theirs, strict=True):
        for row, part in enumerate(ours_by_example(layer_ours, batch)):
            torch.testing.assert_close(part, layer_theirs[row, : len(part)], atol=tolerance, rtol=0)


def logits_of(model, batch_examples):
    with torch.no_grad():
        return model.eval()(pack(batch_examples).to("cpu"))


def assert_rows_equal(ours_MC, theirs, batch_examples, tolerance=1e-5):
    """Logits at every row of every example, in the order of the examples."""
    start = 0
    for row, example in enumerate(batch_examples):
        part = ours_MC[start : start + example.num_tokens]
        torch.testing.assert_close(part, theirs[row, : example.num_tokens], atol=tolerance, rtol=0)
        start += example.num_tokens
    assert start == len(ours_MC)


def bert_config(**changes):
    return transformers.BertConfig(**{**BERT, **changes}, attn_implementation="eager")


def modern_config(kind="sliding", **changes):
    return transformers.ModernBertConfig(**{**MODERN, **MODERNS[kind], **changes}, attn_implementation="eager")


def load_theirs(reference, tmp_path):
    """Their files, read by us."""
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    return family_of(hf).from_hf(hf, load_file(tmp_path / "model.safetensors"))


def save_ours(family, loaded_model, specs, tmp_path):
    """Our files, as transformers opens them."""
    hf, weights = open_family(family).to_hf(loaded_model, specs)
    (tmp_path / "config.json").write_text(json.dumps(hf))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def reopened(class_name, folder):
    model, report = getattr(transformers, class_name).from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["mismatched_keys"]
    return model.eval(), set(report["unexpected_keys"])


def compare(model, reference, batch_examples, heads):
    """heads: {ours: attribute of their output, or attributes, a column each}."""
    assert_hidden_equal(model, reference, batch_examples)
    ours, theirs = logits_of(model, batch_examples), reference_run(reference, batch_examples)
    for head, attribute in heads.items():
        if isinstance(attribute, tuple):
            assert_rows_equal(ours[head], torch.stack([theirs[name] for name in attribute], -1), batch_examples)
        elif head in ("lm", "token"):
            assert_rows_equal(ours[head], theirs[attribute], batch_examples)
        else:
            torch.testing.assert_close(ours[head], theirs[attribute].reshape(ours[head].shape), atol=1e-5, rtol=0)


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


def with_labels(config):
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: number for number, label in enumerate(LABELS)}
    return config


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
