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
from pretune.core.assemble import assemble, decoder_input  # noqa: E402
from pretune.core.errors import InputError  # noqa: E402
from pretune.core.pack import pack  # noqa: E402
from pretune.core.stream import Example, Segments, Span, bidirectional  # noqa: E402
from pretune.families.counts import count_parameters  # noqa: E402
from pretune.families.family import HeadSpec, family_of, open_family  # noqa: E402
from pretune.families.transformer import in_turn  # noqa: E402
from pretune.nn.config import Decoder, Rotary, Sinusoidal  # noqa: E402
from pretune.nn.model import Model  # noqa: E402

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
    names = set(load_file(tmp_path / "model.safetensors"))
    texts = examples(family(name).template(SPECIAL), heads, [(7, None), (23, None), (1, None), (38, None)])
    compare(loaded.model, reference, texts, heads)
    if "Classification" in ends:
        assert loaded.specs[0].labels == LABELS and loaded.specs[0].dropout == reference.config.classifier_dropout

    ours = randomise(loaded.model, seed=1)
    folder = save_ours(FAMILY[kind(name)], ours, loaded.specs, tmp_path, loaded.kept)
    again, unexpected = reopened(f"AutoModel{ends}", folder)
    assert type(again) is type(reference) and not unexpected
    assert set(load_file(folder / "model.safetensors")) == names
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


@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_generates_what_pretune_does(name, tmp_path):
    """Greedy, from what is saved: the decoder begins and ends as config.json says."""
    ours = load_theirs(made(name, "ForConditionalGeneration"), tmp_path)
    again, _ = reopened(
        "AutoModelForSeq2SeqLM", save_ours(FAMILY[kind(name)], ours.model, ours.specs, tmp_path, ours.kept)
    )
    template = family(name).template(SPECIAL)
    assert again.generation_config.decoder_start_token_id == template.start_id
    last = 2 if again.generation_config.forced_eos_token_id == 2 else None
    for example in pairs(name)[:3]:
        ids = torch.from_numpy(example.source.ids_T)[None]
        theirs = again.generate(ids, max_new_tokens=9, num_beams=1, do_sample=False)
        assert theirs[0, 1:].tolist() == greedy(ours.model.eval(), example.source, template.start_id, 9, last)


def greedy(model, source, start, number, last):
    """The best token at each step, at most `number`, until id 2; last: what the last of so many must be."""
    opening, written = Example(source, decoder_input(np.zeros(1, int), start)), []
    with torch.no_grad():
        hidden_ND, cache = model.body.prefill(pack([opening]).to("cpu"), number)
        while True:
            written.append(int(model.heads["lm"](hidden_ND.unsqueeze(1), None).argmax()))
            if len(written) == number:
                return [*written[:-1], written[-1] if last is None else last]
            if written[-1] == 2:
                return written
            hidden_ND = model.body.step(torch.tensor(written[-1:]), cache)


@pytest.mark.parametrize("name", ["bart", "marian", "t5"])
def test_files_of_old_releases(name, tmp_path):
    """Token vectors under every name that shares them, tables of positions, and keys that say nothing."""
    reference = made(name, "ForConditionalGeneration")
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    weights = dict(reference.state_dict())
    assert "lm_head.weight" in weights and any("embed_tokens" in key for key in weights)
    if name == "t5":
        hf |= {"n_positions": 512, "output_past": True, "task_specific_params": {"summarization": {"num_beams": 4}}}
        for key in ("num_decoder_layers", "dense_act_fn", "is_gated_act", "scale_decoder_outputs"):
            hf.pop(key, None)
        hf["num_decoder_layers"] = 2
        unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        weights[unused] = torch.ones(8, 4)
        hf["architectures"] = ["T5WithLMHeadModel"]
    else:
        hf |= {
            "normalize_before": False,
            "add_final_layer_norm": False,
            "num_hidden_layers": 3,
            "extra_pos_embeddings": 2,
        }
    loaded = family_of(hf).from_hf(hf, weights)
    assert [spec.kind for spec in loaded.specs] == ["lm"] and not loaded.unread
    compare(loaded.model, reference, pairs(name), LM, order(name))
    tied = next(key for key in weights if key.endswith("decoder.embed_tokens.weight"))
    with pytest.raises(InputError, match="embed_tokens.weight differs"):
        family_of(hf).from_hf(hf, weights | {tied: weights[tied] + 1})


def tiny(name, *kinds, size="tiny", **changes):
    found = open_family(name)
    body = found.build(found.config(size, 20, **changes))
    return found, Model(body, {kind: body.family_head(kind) for kind in kinds})


@pytest.mark.parametrize(
    ("name", "key", "value", "says"),
    [
        ("bart", "normalize_before", True, "is True: pretune computes only False"),
        ("bart", "static_position_embeddings", True, "is True: pretune computes only False"),
        ("bart", "tie_word_embeddings", False, "is False: pretune computes only True"),
        ("bart", "is_encoder_decoder", False, "is False: pretune computes only True"),
        ("bart", "decoder_layers", 10**7, "decoder_layers is 10000000, and the weights are"),
        ("bart", "encoder_layers", 10**7, "encoder_layers is 10000000, and the weights are"),
        ("bart", "decoder_layers", 3, "the weights lack decoder.layers.2"),
        (
            "bart",
            "decoder_ffn_dim",
            80,
            "decoder.layers.0.fc1.weight has shape [512, 128]: config.json asks for [80, 128]",
        ),
        ("bart", "activation_function", "mish", "is 'mish': pretune computes gelu"),
        ("bart", "decoder_start_token_id", 0, "begins with that token"),
        ("bart", "pretune", {"output_bias": 1}, "pretune.output_bias is 1: expected true or false"),
        ("bart", "attention_sink", True, "unknown key 'attention_sink'"),
        ("transformer", "normalize_embedding", True, "is True: pretune computes only False"),
        ("transformer", "share_encoder_decoder_embeddings", False, "is False: pretune computes only True"),
        ("transformer", "decoder_vocab_size", 30, "decoder_vocab_size is 30 and vocab_size 20"),
        ("transformer", "decoder_start_token_id", 1, "begins with that token"),
        ("transformer", "max_position_embeddings", 1 << 24, "tables of at most 65,536 positions"),
        ("t5", "feed_forward_proj", "gated-mish", "is 'gated-mish': pretune computes gelu"),
        ("t5", "feed_forward_proj", ["relu"], "is ['relu']: pretune computes gelu"),
        ("t5", "dense_act_fn", "gelu", "feed_forward_proj is 'relu', and dense_act_fn or is_gated_act says otherwise"),
        ("t5", "feed_forward_proj", "gated-gelu", "lack encoder.block.0.layer.1.DenseReluDense.wi_0.weight"),
        ("t5", "tie_word_embeddings", "no", "is 'no': expected true or false"),
        ("t5", "tie_word_embeddings", False, "the weights lack lm_head.weight"),
        ("t5", "num_decoder_layers", 10**7, "num_decoder_layers is 10000000, and the weights are"),
        ("t5", "num_decoder_layers", "two", "num_decoder_layers is 'two': expected a whole number"),
        ("t5", "relative_attention_num_buckets", 6, "num_buckets is 6: it must be a multiple of 4"),
        ("t5", "relative_attention_num_buckets", 16, "has shape [32, 2]: config.json asks for [16, 2]"),
        ("t5", "n_positions", 0, "n_positions is 0"),
    ],
)
def test_what_is_not_computed_is_refused(name, key, value, says):
    found, model = tiny(name, "lm")
    hf, weights = found.to_hf(model, (), {"eos_token_id": 2, "pad_token_id": 0})
    with pytest.raises(InputError, match=re.escape(says)):
        found.from_hf(hf | {key: value}, weights)


@pytest.mark.parametrize("name", ["bart", "t5", "mt5", "byt5", "transformer"])
def test_bodies_that_the_files_cannot_say_are_refused(name):
    found = open_family(name)
    for wrong in ({"position": Rotary()}, {"num_segments": 2}, {"final_norm": name in ("bart", "transformer")}):
        with pytest.raises(InputError, match=f"{name}'s files can express.*{next(iter(wrong))}"):
            found.config("tiny", 20, **wrong)
    if name == "transformer":
        for wrong in ({"position": Sinusoidal(1024, interleaved=False)}, {"position": Sinusoidal(1024, base=100.0)}):
            with pytest.raises(InputError, match="transformer's files can express.*position"):
                found.config("tiny", 20, **wrong)
        with pytest.raises(InputError, match="need an even one"):
            found.config("tiny", 20, **{"hidden_size": 127, "attention.num_heads": 1})
    if name == "t5":
        for path, value in (("attention.scaled", True), ("decoder.num_heads", 4), ("attention.dropout", 0.0)):
            with pytest.raises(InputError, match=f"t5's files can express.*{path}"):
                found.config("tiny", 20, **{path: value})


def test_a_decoders_sizes_follow_the_encoders_unless_they_are_said():
    bart, byt5 = open_family("bart"), open_family("byt5")
    shape = {"num_layers": 3, "attention.num_heads": 4, "feed_forward.intermediate_size": 80}
    assert bart.config("tiny", 20, **shape).decoder == Decoder(3, 4, 80)
    assert bart.config("tiny", 20, **shape, decoder={"num_layers": 1}).decoder == Decoder(1, 4, 80)
    assert bart.config("tiny", 20, decoder=Decoder(1, 8, 40)).decoder == Decoder(1, 8, 40)
    assert byt5.config("small", 384).decoder == Decoder(4, 6, 3584)
    with pytest.raises(InputError, match="unknown size of bart"):
        bart.config("huge", 20)


def test_whether_an_output_is_divided_and_tied_is_kept():
    """transformers takes both from tie_word_embeddings, and since version 5 from what the weights are."""
    for tied, scaled in ((True, True), (False, False), (True, False), (False, True)):
        found, model = tiny("t5", "lm", **{"output.tied": tied, "output.scaled": scaled})
        hf, weights = found.to_hf(model)
        assert ("scale_decoder_outputs" in hf) == (tied != scaled) and ("lm_head.weight" in weights) != tied
        again = found.from_hf(json.loads(json.dumps(hf)), weights)
        assert again.model.body.config.output == model.body.config.output
        told = transformers.T5Config(**hf)
        assert told.scale_decoder_outputs == scaled
    found, model = tiny("t5", "lm", "choice")
    assert [spec.kind for spec in found.from_hf(*found.to_hf(model)).specs] == ["lm", "choice"]


def test_heads_that_marian_has_not_are_kept_in_our_order():
    found, model = tiny("transformer", "lm", "choice")
    randomise(model)
    hf, weights = found.to_hf(model)
    again = found.from_hf(json.loads(json.dumps(hf)), weights).model
    state = again.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not torch.equal(weights["model.shared.weight"], model.body.token_embedding.weight)


def test_exact_parameter_counts():
    """transformers' counts of the released models; the paper of 2017 says 65 M and 213 M with about 37,000 pieces."""
    lm = [HeadSpec("lm")]
    assert [count_parameters("bart", size, 50_265, lm) for size in ("base", "large")] == [139_420_416, 406_291_456]
    t5 = {"small": 60_506_624, "base": 222_903_552, "large": 737_668_096, "3b": 2_851_598_336, "11b": 11_307_321_344}
    assert {size: count_parameters("t5", size, 32_128, lm) for size in t5} == t5
    v1_1 = {"small": 76_961_152, "base": 247_577_856, "large": 783_150_080, "xl": 2_849_757_184, "xxl": 11_135_332_352}
    assert {size: count_parameters("t5", f"{size}-v1.1", 32_128, lm) for size in v1_1} == v1_1
    byt5 = {"small": 299_637_760, "base": 581_653_248, "large": 1_228_183_552, "xl": 3_737_801_728}
    assert {size: count_parameters("byt5", size, 384, lm) for size in byt5} == byt5
    mt5 = {"small": 300_176_768, "base": 582_401_280, "large": 1_229_581_312, "xl": 3_742_619_648}
    assert {size: count_parameters("mt5", size, 250_112, lm) for size in mt5} == mt5
    paper = {size: count_parameters("transformer", size, 37_000, lm) for size in ("base", "big")}
    assert paper == {"base": 63_082_496, "big": 214_245_376}


def test_weights_of_t5_start_as_its_code_has_them():
    """Queries smaller by the root of the head size, token vectors of 1, scores of positions as small as maps."""
    body = tiny("t5", size={"hidden_size": 128, "num_layers": 2, "attention.num_heads": 4, "attention.head_size": 32})[
        1
    ].body
    qkv = body.encoder.layers[1].attention.qkv.weight
    assert body.token_embedding.weight.std().item() == pytest.approx(1, rel=0.05)
    assert qkv[:128].std().item() == pytest.approx((128 * 32) ** -0.5, rel=0.05)
    assert qkv[128:].std().item() == pytest.approx(128**-0.5, rel=0.05)
    cross = body.decoder.layers[0].cross
    assert cross.query.weight.std().item() == pytest.approx((128 * 32) ** -0.5, rel=0.05)
    assert cross.key_value.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    assert body.decoder.position.scores.weight.std().item() == pytest.approx(128**-0.5, rel=0.25)


def test_templates():
    """BART's are RoBERTa's; T5 and Marian end each text. All are read at the last row, behind a start token."""
    spans = [Span(np.array(ids, np.int32), np.zeros(len(ids), np.uint8)) for ids in ([7, 8], [9])]
    bart, t5, marian = (open_family(name).template(SPECIAL) for name in ("bart", "t5", "transformer"))
    pair = assemble(Segments(spans, {"sequence": 1}), bart)
    assert pair.source.ids_T.tolist() == [1, 7, 8, 2, 2, 9, 2] and pair.target.ids_T.tolist() == [2, 1, 7, 8, 2, 2, 9]
    assert pair.predict["sequence"].at_MK.tolist() == [[6]]
    for template in (t5, marian):
        assert assemble(Segments(spans), template).source.ids_T.tolist() == [7, 8, 2, 9, 2]
        single = assemble(Segments(spans[:1]), template)
        assert single.source.ids_T.tolist() == [7, 8, 2] and single.target.ids_T.tolist() == [0, 7, 8]
    assert open_family("t5").template({"pad": 0, "sep": 5}).single == (0, "sep")
    with pytest.raises(InputError, match="the tokenizer has no pad token, which t5 needs"):
        open_family("t5").template({"eos": 1})
