"""Models that transformers saved for multiple choice and for several labels predict here as they do there."""

import json

import pytest
import torch
from safetensors.torch import load_file

import pretune

transformers = pytest.importorskip("transformers")

QUESTIONS = [
    {"text": "the man was kind", "choices": ["he is dear", "a cruel day", "new"]},
    {"text": "a day so new", "choices": ["her heart is sad", "the house looked dark"]},
]
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
NAMES = {"bert": "Bert", "modern": "ModernBert"}


def saved(world, family, ends, folder, **changes):
    """A model of transformers with weights that all matter, and its tokenizer, in a folder."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(world.tokenizer)
    ids = {"pad_token_id": tokenizer.pad_token_id, "cls_token_id": tokenizer.cls_token_id}
    ids |= {"sep_token_id": tokenizer.sep_token_id, "bos_token_id": None, "eos_token_id": None}
    config = getattr(transformers, f"{NAMES[family]}Config")(vocab_size=len(tokenizer), **SIZE, **ids, **changes)
    model = getattr(transformers, f"{NAMES[family]}For{ends}")(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def their_scores(model, tokenizer, question):
    pairs = [[question["text"]] * len(question["choices"]), question["choices"]]
    inputs = tokenizer(*pairs, padding=True, return_tensors="pt")
    if model.config.model_type == "modernbert":
        inputs.pop("token_type_ids", None)
    with torch.no_grad():
        logits = model(**{name: value[None] for name, value in inputs.items()}).logits
    return logits[0].softmax(-1).tolist()


@pytest.mark.parametrize("family", ["bert", "modern"])
def test_multiple_choice(world, family, tmp_path):
    model, tokenizer = saved(world, family, "MultipleChoice", tmp_path / "theirs")
    loaded = pretune.load(tmp_path / "theirs")
    for one, question in zip(loaded.predict(QUESTIONS), QUESTIONS, strict=True):
        assert one["scores"] == pytest.approx(their_scores(model, tokenizer, question), abs=1e-5)
        assert one["text"] == question["choices"][one["choice"]]
    loaded.save(tmp_path / "ours")
    again = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path / "ours").eval()
    for one, question in zip(loaded.predict(QUESTIONS), QUESTIONS, strict=True):
        assert one["scores"] == pytest.approx(their_scores(again, tokenizer, question), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "modern"])
def test_several_labels(world, family, tmp_path):
    named = {"id2label": {0: "good", 1: "bad", 2: "new"}, "label2id": {"good": 0, "bad": 1, "new": 2}}
    settings = named | {"problem_type": "multi_label_classification"}
    model, tokenizer = saved(world, family, "SequenceClassification", tmp_path / "theirs", **settings)
    texts = ["the man was kind", "a cruel day so new"]
    theirs = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    loaded = pretune.load(tmp_path / "theirs")
    for one, expected in zip(loaded.predict(texts), theirs(texts), strict=True):
        assert one["scores"] == pytest.approx({each["label"]: each["score"] for each in expected}, abs=1e-5)
        assert [each["label"] for each in one["labels"]] == [e["label"] for e in expected if e["score"] >= 0.5]
    loaded.save(tmp_path / "ours")
    config = json.loads((tmp_path / "ours/config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "ours"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
