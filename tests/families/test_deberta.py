"""DeBERTa's files: as published, with the older head, with parts that are left out; what is refused; exact counts."""

import json

import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

from beside_transformers import VOCAB, compare, examples, load_theirs, randomise, reopened, save_ours  # noqa: E402
from pretune.core.errors import InputError  # noqa: E402
from pretune.families.counts import count_parameters  # noqa: E402
from pretune.families.family import family_of, open_family  # noqa: E402

SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "unk": 3, "mask": 4}
PUBLISHED = {
    "model_type": "deberta-v2",
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 48,
    "initializer_range": 0.02,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "layer_norm_eps": 1e-7,
    "max_relative_positions": -1,
    "position_biased_input": False,
    "num_attention_heads": 4,
    "attention_head_size": 12,
    "num_hidden_layers": 2,
    "type_vocab_size": 0,
    "vocab_size": VOCAB,
}
"""The keys of version 3's config.json on the hub, at another size."""
LENGTHS = [(7, 5), (23, None), (0, None), (61, None), (1, 0), (30, 2), (5, None)]


def made(legacy, ends="ForMaskedLM"):
    told = {key: value for key, value in PUBLISHED.items() if key != "model_type"}
    config = transformers.DebertaV2Config(**told, legacy=legacy, attn_implementation="eager")
    return randomise(getattr(transformers, f"DebertaV2{ends}")(config))


def files(tmp_path, legacy=False):
    made(legacy).save_pretrained(tmp_path)
    return json.loads((tmp_path / "config.json").read_text()), load_file(tmp_path / "model.safetensors")


def texts():
    return examples(open_family("deberta").template(SPECIAL), ("lm",), LENGTHS)


def test_a_directory_as_the_hub_serves_it(tmp_path):
    """No class, no `legacy`; today's head, the discriminator's, which is left out, and positions that are not added."""
    reference = made(legacy=False)
    weights = {name: tensor for name, tensor in reference.state_dict().items()}
    for name, shape in (("dense.weight", (48, 48)), ("classifier.bias", (1,))):
        weights[f"mask_predictions.{name}"] = torch.ones(shape)
    weights["deberta.embeddings.position_embeddings.weight"] = torch.ones(64, 48)
    loaded = family_of(PUBLISHED).from_hf(PUBLISHED, weights)
    assert [spec.kind for spec in loaded.specs] == ["lm"] and not loaded.fresh and not loaded.unread
    assert loaded.model.body.config.position.max_distance == 64
    compare(loaded.model, reference, texts(), {"lm": "logits"})


def test_the_older_head_is_read_and_written_as_todays(tmp_path):
    reference = made(legacy=True)
    loaded = load_theirs(reference, tmp_path / "theirs")
    compare(loaded.model, reference, texts(), {"lm": "logits"})
    again, unexpected = reopened("AutoModelForMaskedLM", save_ours("deberta", loaded.model, (), tmp_path, loaded.kept))
    assert not unexpected and again.config.legacy is False
    compare(loaded.model, again, texts(), {"lm": "logits"})


def test_an_output_that_is_not_tied_is_refused(tmp_path):
    hf, weights = files(tmp_path, legacy=True)
    untied = torch.ones(VOCAB, 48)
    with pytest.raises(InputError, match="cls.predictions.decoder.weight differs"):
        family_of(hf).from_hf(hf, weights | {"cls.predictions.decoder.weight": untied})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("relative_attention", False, "relative_attention is False: pretune computes only True"),
        ("relative_attention", None, "relative_attention is False"),  # the key is left out
        ("position_biased_input", None, "position_biased_input is True"),
        ("share_att_key", None, "share_att_key is False"),
        ("norm_rel_ebd", "none", "norm_rel_ebd is 'none'"),
        ("pos_att_type", ["c2p"], "pos_att_type is .*computes p2c"),
        ("pos_att_type", None, "pos_att_type is None"),
        ("position_buckets", -1, "position_buckets is -1: pretune computes only distances in buckets"),
        ("position_buckets", "many", "position_buckets is 'many'"),
        ("position_buckets", 7, "num_buckets is 7"),
        ("max_relative_positions", 5, "max_distance is 5"),
        ("conv_kernel_size", 3, "conv_kernel_size is 3"),
        ("embedding_size", 24, "embedding_size is 24: pretune computes only 48"),
        ("attention_head_size", 16, "attention_head_size is 16"),
        ("pooler_hidden_act", "tanh", "pooler_hidden_act is 'tanh'"),
        ("strange", 1, "unknown key 'strange'"),
    ],
)
def test_what_is_not_computed_is_refused(key, value, says, tmp_path):
    hf, weights = files(tmp_path)
    hf = {name: told for name, told in hf.items() if name != key} | ({} if value is None else {key: value})
    with pytest.raises(InputError, match=says):
        family_of(hf).from_hf(hf, weights)


@pytest.mark.parametrize(
    ("size", "layers", "hidden", "published"),
    [("xsmall", 12, 384, 70e6), ("small", 6, 768, 142e6), ("base", 12, 768, 184e6), ("large", 24, 1024, 435e6)],
)
def test_counts_are_exact_and_near_what_is_published(size, layers, hidden, published):
    """Version 3: pieces and 512 vectors of distances, each normed, and BERT's layers."""
    layer = 12 * hidden**2 + 13 * hidden
    expected = (128_100 + 512) * hidden + 4 * hidden + layers * layer
    assert count_parameters("deberta", size, 128_100) == expected
    assert abs(expected / published - 1) < 0.01
    assert open_family("deberta").published[size] == published
