"""Dropout falls where transformers lets it fall: hidden vectors of many passes in training have the same means and
variances. (Losses are compared with dropout off, which would not show it.) Left out are families that say that they
differ: ALBERT, DistilBERT, ModernBERT, T5."""

import pytest
import torch

transformers = pytest.importorskip("transformers")

from beside_transformers import SPECIAL, VOCAB, examples, load_theirs, ours_by_example, padded, randomise  # noqa: E402
from pretune.core.pack import pack  # noqa: E402
from pretune.families.family import open_family  # noqa: E402

BERT = {"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
BERT |= {"intermediate_size": 48, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.4}
GPT = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 2, "pad_token_id": 0}
GPT |= {"resid_pdrop": 0.1, "embd_pdrop": 0.2, "attn_pdrop": 0.4}
DEBERTA = {"relative_attention": True, "position_biased_input": False, "pos_att_type": "p2c|c2p", "legacy": False}
DEBERTA |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 8, "max_relative_positions": 24}
BART = {"vocab_size": VOCAB, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 48}
BART |= {"decoder_ffn_dim": 48, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0}
BART |= {"dropout": 0.1, "attention_dropout": 0.4, "activation_dropout": 0.2}
CONFIGS = {
    "Bert": ("bert", BERT),
    "Roberta": ("roberta", BERT | {"pad_token_id": 3}),
    "Electra": ("electra", BERT | {"embedding_size": 20}),
    "DebertaV2": ("deberta", BERT | DEBERTA),
    "GPT2": ("gpt2", GPT),
    "OpenAIGPT": ("gpt", GPT),
    "Bart": ("bart", BART),
}
COPIES, PASSES = 256, 40


@pytest.mark.parametrize("name", CONFIGS)
def test_means_and_variances(name, tmp_path):
    family, settings = CONFIGS[name]
    config = getattr(transformers, f"{name}Config")(**settings, attn_implementation="eager")
    reference = randomise(getattr(transformers, f"{name}Model")(config)).train()
    model = load_theirs(reference, tmp_path).model.train()
    (example,) = examples(open_family(family).template(SPECIAL), lengths=[(6, None)])
    inputs = {key: value.expand(COPIES, -1) for key, value in padded([example]).items()}
    batch = pack([example] * COPIES).to("cpu")
    if name == "Bart":
        reference, run = reference.get_encoder(), model.body.encode
    else:
        run = model.body
    if name in ("GPT2", "OpenAIGPT", "Bart"):
        del inputs["token_type_ids"]
    torch.manual_seed(0)
    with torch.no_grad():
        theirs = torch.stack([reference(**inputs).last_hidden_state for _ in range(PASSES)])
        ours = torch.stack([torch.stack(ours_by_example(run(batch), batch.source)) for _ in range(PASSES)])
    # what is drawn once a pass, as DeBERTa's table of distances, makes the copies of a pass alike: passes are counted
    passes = ours.mean(1), theirs.mean(1)
    squared = (passes[0].mean(0) - passes[1].mean(0)) ** 2 / ((passes[0].var(0) + passes[1].var(0)) / PASSES)
    assert squared.mean() < 1.7, "the means differ"
    variances = ours.flatten(0, 1).var(0).mean(1), theirs.flatten(0, 1).var(0).mean(1)
    assert (variances[0] / variances[1]).tolist() == pytest.approx([1] * ours.shape[2], abs=0.04)
