"""A model's directory with one damaged file: config.json, safetensors, their index, pretune.json, a pickle."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from fuzzing import LONG, SHORT, altered, damaged, survives
from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.header import BYTES, read_header
from pretune.checkpoint.huggingface import read_weights
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.verbs.predictions import longest_of, task_of

TINY = {"num_layers": 1, "hidden_size": 4, "attention.num_heads": 2, "feed_forward.intermediate_size": 16}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"]
KEYS = ["num_layers", "head_dim", "rope_scaling", "rope_parameters", "quantization_config", "custom_pipelines"]
WHOLE = [save({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.float16), "": torch.zeros(0)}), save({})]


FAMILIES = ["bert", "modern", "llama", "t5", "transformer", "free"]
OTHERS = ["roberta", "albert", "electra", "distilbert", "deberta", "gpt", "gpt2", "bart", "byt5", "mt5"]


@pytest.fixture(scope="module", params=[*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model"
    path.mkdir()
    (path / "vocab.txt").write_text("\n".join(PIECES))
    heads = [HeadSpec("lm"), HeadSpec("sequence", ("no", "yes")), HeadSpec("token", ("A", "B"))]
    bundle = Bundle.fresh(request.param, TINY, Tokenizer.load(path), heads=heads)
    bundle.manifest["task"] = {"name": "classify", "settings": {"labels": ["no", "yes"]}, "max_length": 32}
    (path / "vocab.txt").unlink()
    bundle.save(path)
    told = json.loads((path / "pretune.json").read_text())
    (path / "pretune.json").write_text(json.dumps(told | {"files": None}))  # the sums of a stranger prove nothing
    return path


def use(folder):
    """Loads the model and asks what predict asks first."""
    bundle = Bundle.load(folder)
    task_of(bundle)
    return longest_of(bundle), bundle.template


def check_json(folder, name, data):
    tree = json.loads((folder / name).read_text())
    text = data.draw(st.one_of(altered(tree, KEYS).map(json.dumps), damaged([json.dumps(tree).encode()])))
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        survives(lambda: use(folder), folder)
    finally:
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["config.json", "pretune.json"])
@SHORT
@given(data=st.data())
def test_fuzz_json(folder, name, data):
    check_json(folder, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "pretune.json", "tokenizer_config.json", "special_tokens_map.json"])
@LONG
@given(data=st.data())
def test_fuzz_json_long(folder, name, data):
    check_json(folder, name, data)


@st.composite
def headers(draw):
    """A safetensors file whose header is made up, with right and wrong lengths."""
    number = st.one_of(st.integers(-1, 30), st.sampled_from([2**31, 2**62, 2**64, 10**30]))
    entry = st.fixed_dictionaries(
        {
            "dtype": st.one_of(st.sampled_from([*BYTES, "F4", "f32"]), st.none()),
            "shape": st.lists(number, max_size=3),
            "data_offsets": st.one_of(st.lists(number, min_size=2, max_size=2), st.lists(number, max_size=3)),
        }
    )
    tree = draw(st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "\0", "x" * 300]), entry, max_size=3))
    text = json.dumps(tree).encode()
    length = draw(st.one_of(st.just(len(text)), st.sampled_from([0, 7, 2**31, 2**63, 2**64 - 1])))
    return length.to_bytes(8, "little") + text + bytes(draw(st.integers(0, 64)))


def check_weights(path, raw):
    (path / "model.safetensors").write_bytes(raw)
    weights = survives(lambda: read_weights(path), path)
    if weights is not None:  # what is taken is what the library itself reads
        assert {name: tuple(t.shape) for name, t in weights.items()} == {
            name: entry.shape for name, entry in read_header(path / "model.safetensors").items()
        }


@SHORT
@given(raw=st.one_of(damaged(WHOLE), headers()))
def test_fuzz_safetensors(tmp_path_factory, raw):
    check_weights(tmp_path_factory.getbasetemp(), raw)


@pytest.mark.slow
@LONG
@given(raw=st.one_of(damaged(WHOLE), headers()))
def test_fuzz_safetensors_long(tmp_path_factory, raw):
    check_weights(tmp_path_factory.getbasetemp(), raw)


def check_pickle(path, raw):
    (path / "pytorch_model.bin").write_bytes(raw)
    survives(lambda: read_weights(path, allow_pickle=True), path)


@pytest.fixture(scope="module")
def pickles(tmp_path_factory):
    """Today's zip format and the one before it."""
    path = tmp_path_factory.mktemp("pickles")
    for name, new in (("new", True), ("old", False)):
        torch.save({"a": torch.zeros(2, 3)}, path / name, _use_new_zipfile_serialization=new)
    return path, [(path / "new").read_bytes(), (path / "old").read_bytes()]


@SHORT
@given(data=st.data())
def test_fuzz_pickle(pickles, data):
    check_pickle(pickles[0], data.draw(damaged(pickles[1])))


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_fuzz_pickle_long(pickles, data):
    check_pickle(pickles[0], data.draw(damaged(pickles[1])))
