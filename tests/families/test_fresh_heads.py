"""Heads of tasks begin as transformers lets them begin: every map that the checkpoint lacks has the same spread."""

import json

import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

from beside_transformers import VOCAB  # noqa: E402
from pretune.families.family import HeadSpec, family_of  # noqa: E402

LABELS = tuple(f"label {number}" for number in range(300))
BERT = {"vocab_size": VOCAB, "hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT |= {"intermediate_size": 64, "initializer_range": 0.03}
MODERN = BERT | {"pad_token_id": 0, "initializer_range": 0.03}
DISTIL = {"vocab_size": VOCAB, "dim": 96, "n_layers": 1, "n_heads": 2, "hidden_dim": 64, "initializer_range": 0.03}
DEBERTA = {"relative_attention": True, "position_biased_input": False, "pos_att_type": "p2c|c2p", "legacy": False}
DEBERTA |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 8, "max_relative_positions": 24}
GPT = {"vocab_size": VOCAB, "n_embd": 96, "n_layer": 1, "n_head": 2, "pad_token_id": 0, "initializer_range": 0.03}
LLAMA = BERT | {"pad_token_id": 0}
BART = {"vocab_size": VOCAB, "d_model": 96, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48}
BART |= {"decoder_ffn_dim": 48, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0}
BART |= {"init_std": 0.03}
CLASSES = {"sequence": "ForSequenceClassification", "token": "ForTokenClassification"}
WITHOUT_TAGS = ("Bart", "Llama")  # BART has no such class, and of Llama's we write such heads under our own names
CONFIGS = {
    "Bert": BERT,
    "Roberta": BERT | {"pad_token_id": 3},
    "Albert": BERT | {"embedding_size": 20},
    "Electra": BERT | {"embedding_size": 20},
    "DistilBert": DISTIL,
    "DebertaV2": BERT | DEBERTA,
    "ModernBert": MODERN,
    "GPT2": GPT,
    "Llama": LLAMA,
    "Bart": BART,
}

CASES = [(name, kind) for name in CONFIGS for kind in CLASSES if kind == "sequence" or name not in WITHOUT_TAGS]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_spread_of_fresh_maps(name, kind, tmp_path):
    peer = getattr(transformers, name + CLASSES[kind])
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name])
    getattr(transformers, f"{name}Model")(config).save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    family, specs = family_of(hf), [HeadSpec(kind, LABELS)]
    loaded = family.from_hf(hf, load_file(tmp_path / "model.safetensors"), specs)
    theirs, info = peer.from_pretrained(tmp_path, num_labels=len(LABELS), output_loading_info=True)
    theirs = theirs.state_dict()
    _, ours = family.to_hf(loaded.model, specs)
    fresh = [key for key in info["missing_keys"] if theirs[key].dim() == 2]
    assert fresh
    assert {key: ours[key].std().item() / theirs[key].std().item() for key in fresh} == pytest.approx(
        dict.fromkeys(fresh, 1.0), abs=0.03
    )
    assert all(not ours[key].any() for key in info["missing_keys"] if theirs[key].dim() == 1 and not theirs[key].any())
