"""From left to right: what is predicted where, what a token sees, and that the body keeps to it afterwards."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span, left_to_right
from pretune.families.family import HeadSpec, open_family
from pretune.nn.config import Decoder
from pretune.nn.model import Model
from pretune.objectives.add import add
from pretune.objectives.bodies import body_needs
from pretune.objectives.causal_lm import causal_lm
from pretune.objectives.full_sentences import full_sentences
from pretune.objectives.mlm import mlm
from pretune.objectives.next_sentence import next_sentence

SMALL = {"hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 64}


def made(family, causal=True, seed=0):
    found = open_family(family)
    body = found.build(found.config("tiny", 60, **SMALL, **{"attention.causal": causal}), seed)
    return found, Model(body, {"lm": body.family_head("lm")}).eval()


def text(lab, ids):
    return assemble(Segments([Span(np.array(ids, np.int32), np.ones(len(ids), np.uint8))]), lab.TEMPLATE)


def test_every_ordinary_token_is_predicted_from_the_row_before(lab):
    told = lab.context(lab.numbered([80]), 64)
    corrupted = causal_lm().corrupt(text(lab, [7, lab.UNK, 8, 9]), told)
    assert corrupted.source.ids_T.tolist() == [1, 7, lab.UNK, 8, 9, 2]
    assert corrupted.predict["lm"].at_MK.ravel().tolist() == [0, 2, 3]
    assert corrupted.predict["lm"].gold_M.tolist() == [7, 8, 9]
    assert pack([corrupted, corrupted]).source.visibility == "causal"


def losses(model, examples):
    """The loss at each predicted token of each example."""
    batch = pack(examples).to("cpu")
    with torch.no_grad():
        logits = model(batch)["lm"].log_softmax(-1)
    each = -logits.gather(1, batch.predict["lm"].gold_M[:, None])[:, 0]
    return torch.split(each, [len(example.predict["lm"]) for example in examples])


@pytest.mark.parametrize("family", ["modern", "bert"])
@pytest.mark.parametrize("causal", [True, False])
def test_later_tokens_do_not_leak(lab, family, causal):
    """The loss at a token is the same whatever follows it, be the body causal or only the stream."""
    _, model = made(family, causal)
    told = lab.context(lab.numbered([80]), 64)
    rng = np.random.default_rng(1)
    ids = rng.integers(lab.FIRST, 60, 30)
    fill = [causal_lm().corrupt(text(lab, rng.integers(lab.FIRST, 60, n)), told) for n in (3, 17, 29)]
    (plain, *_) = losses(model, [causal_lm().corrupt(text(lab, ids), told), *fill])
    for at in (0, 1, 11, 28):
        other = ids.copy()
        other[at] = lab.FIRST + (other[at] - lab.FIRST + 7) % 55
        (changed, *_) = losses(model, [causal_lm().corrupt(text(lab, other), told), *fill])
        assert torch.allclose(changed[:at], plain[:at], atol=1e-6)
        assert abs(changed[at:] - plain[at:]).max() > 1e-3
        assert at == 28 or abs(changed[at + 1] - plain[at + 1]) > 1e-5  # what comes later does see it


@pytest.mark.parametrize("family", ["modern", "bert"])
def test_a_causal_body_makes_any_stream_causal(lab, family):
    """So that fine-tuning keeps the constraint: the same numbers from a stream that says nothing and one that says it,
    whole and at read rows, and other ones from a body that sees both sides."""
    _, model = made(family)
    both = Model(made(family, causal=False)[1].body, {}).eval()
    example = text(lab, range(5, 25))
    causal = replace(example, source=left_to_right(example.source))
    batch, marked = (pack([each, each]).to("cpu") for each in (example, causal))
    rows = torch.tensor([0, 7, 19, 30])
    with torch.no_grad():
        whole = model.body(batch)
        assert torch.allclose(whole, model.body(marked), atol=1e-6)
        assert torch.allclose(whole, both.body(marked), atol=1e-6)
        assert torch.allclose(whole[rows], model.body(batch, rows=rows), atol=1e-5)
        assert torch.allclose(whole, model.body(batch, layers="all")[-1], atol=1e-6)
        assert not torch.allclose(whole, both.body(batch), atol=1e-2)


@pytest.mark.parametrize("family", ["modern", "bert"])
def test_files_say_that_a_body_is_causal(family):
    found, model = made(family)
    hf, weights = found.to_hf(model)
    told = hf.get("is_decoder"), hf.get("pretune", {}).get("causal")
    assert told == ((True, None) if family == "bert" else (None, True))
    loaded = found.from_hf(json.loads(json.dumps(hf)), weights)
    assert loaded.model.body.config == model.body.config and loaded.model.body.config.attention.causal
    if family == "modern":
        with pytest.raises(InputError, match=r"pretune.causal is 'yes'"):
            found.from_hf(hf | {"pretune": {"causal": "yes"}}, weights)


@pytest.mark.parametrize("family", ["modern", "bert"])
def test_heads_of_texts_are_not_transformers_s(family):
    """These read the last row, transformers' classes the first: they stand under our names."""
    found, model = made(family)
    specs = [HeadSpec("sequence", ("no", "yes")), HeadSpec("token", ("a", "b"))]
    model = Model(model.body, {spec.kind: found.head_of(spec, model.body) for spec in specs})
    hf, weights = found.to_hf(model, specs)
    assert hf["architectures"][0].endswith("ForTokenClassification")
    assert any(name.startswith("pretune.sequence.") for name in weights)
    assert set(found.from_hf(hf, weights).model.heads) == {"sequence", "token"}


def test_bert_is_transformers_s_language_model(lab, tmp_path):
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import save_file

    found, model = made("bert", seed=3)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel())))
    hf, weights = found.to_hf(model, kept={"pad_token_id": 0})
    (tmp_path / "config.json").write_text(json.dumps(hf), "utf-8")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert type(theirs).__name__ == "BertLMHeadModel"
    example = causal_lm().corrupt(text(lab, range(5, 30)), lab.context(lab.numbered([80]), 64))
    with torch.no_grad():
        logits = theirs(input_ids=torch.from_numpy(example.source.ids_T)[None]).logits[0]
        ours = model(pack([example]).to("cpu"))["lm"]
    assert torch.allclose(ours, logits[example.predict["lm"].at_MK[:, 0]], atol=1e-5)


def test_with_other_objectives(lab):
    corpus = lab.varied()
    config = made("modern", causal=False)[1].body.config
    assert body_needs(add(full_sentences(), causal_lm()), config) == {"attention.causal": True}
    assert body_needs(mlm(), config) == {} == body_needs(causal_lm(), replace(config, decoder=Decoder(1, 2, 8)))
    assert len(lab.example(add(full_sentences(), causal_lm()), corpus, 0).predict["lm"]) > 10
    with pytest.raises(InputError, match="does not go with what predicts next_sentence"):
        lab.example(add(next_sentence(), causal_lm()), corpus, 0)
    with pytest.raises(InputError, match="head 'lm'"):
        lab.example(add(causal_lm(), mlm()), corpus, 0)
