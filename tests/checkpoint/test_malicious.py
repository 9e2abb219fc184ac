"""A corpus of malicious repositories: whatever lies in a model's directory, nothing of it runs.

Each case makes a directory that would leave a canary file behind if anything in it were run or unpickled, or that tries
to reach files outside, to eat memory or never to end. Each is loaded with and without `allow_pickle`. No case may leave
a canary, use the network (tests/conftest.py sees to that), or end otherwise than in a loaded model or an InputError.
"""

import gzip
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
import torch
from safetensors.torch import load_file
from torch.torch_version import TorchVersion

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import load_yaml
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat"]
TINY = {"num_layers": 1, "hidden_size": 8, "attention.num_heads": 2, "feed_forward.intermediate_size": 8}


class Canary:
    """Its pickle calls os.system when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "canary"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    bundle = Bundle.fresh("bert", TINY, Tokenizer.load(tmp_path), heads=[HeadSpec("lm")], seed=1)
    bundle.save(tmp_path / "model")
    change(tmp_path / "model", "pretune.json", files=None)  # the sums of a stranger prove nothing
    return tmp_path / "model"


def change(folder, name, **values):
    tree = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(tree | values))


def only_bin(folder):
    (folder / "model.safetensors").unlink()


def attempt(folder, canary, match=None):
    """Loads in both modes. match: both fail with this; None: both give a model, or an InputError."""
    for allow_pickle in (False, True):
        before = time.monotonic()
        try:
            Bundle.load(folder, allow_pickle=allow_pickle).tokenizer.encode("the cat")
            assert match is None, f"loaded with allow_pickle={allow_pickle}"
        except InputError as error:
            assert match is None or match in str(error), error
            assert str(folder) in str(error), error
        assert time.monotonic() - before < 30
        assert not canary.exists()


PICKLED = ["pytorch_model.bin", "model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"]
PICKLED += ["tokenizer.pkl", "vocab.pt", "model.pt", "pytorch_model-00001-of-00001.bin", "consolidated.00.pth"]
CODE = ["modeling_evil.py", "tokenization_evil.py", "configuration_evil.py", "conftest.py", "sitecustomize.py"]
CODE += ["setup.py", "__init__.py", "handler.py", "pretune.py", "custom_st.py"]


def test_the_canary_sings(tmp_path, canary):
    """What these tests look for does happen where a pickle is read."""
    (tmp_path / "x").write_bytes(pickle.dumps(Canary(canary)))
    pickle.loads((tmp_path / "x").read_bytes())
    assert canary.exists()


def test_pickles_and_code_beside_the_weights_are_never_read(folder, canary, monkeypatch):
    for name in PICKLED:
        (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    for name in CODE:
        (folder / name).write_text(f"import os\nos.system('touch {canary}')\n")
    monkeypatch.chdir(folder)
    bundle = Bundle.load(folder, allow_pickle=True)
    assert torch.equal(
        bundle.model.body.token_embedding.weight,
        load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"],
    )
    attempt(folder, canary)


@pytest.mark.parametrize("form", ["plain", "zip", "legacy", "deep"])
def test_a_malicious_pickle_never_runs(folder, canary, form):
    only_bin(folder)
    path = folder / "pytorch_model.bin"
    evil = Canary(canary)
    if form == "plain":
        path.write_bytes(pickle.dumps(evil))
    else:
        value = {"a": [{"b": evil}]} if form == "deep" else evil
        torch.save(value, path, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(InputError, match="only pytorch_model.bin, a pickle.*--allow-pickle"):
        Bundle.load(folder)
    with pytest.raises(InputError, match="pytorch_model.bin: not read: it holds more than tensors"):
        Bundle.load(folder, allow_pickle=True)
    assert not canary.exists()


def test_an_honest_pickle_is_read_only_on_request(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    ours = Bundle.load(folder).model.state_dict()
    only_bin(folder)
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="--allow-pickle"):
        Bundle.load(folder)
    theirs = Bundle.load(folder, allow_pickle=True)
    assert all(torch.equal(value, ours[name]) for name, value in theirs.model.state_dict().items())
    theirs.save(tmp_path / "converted")
    assert Bundle.load(tmp_path / "converted").fresh_weights == ()
    names = sorted(weights)
    placed = {name: f"pytorch_model-{number % 2}.bin" for number, name in enumerate(names)}
    for file in set(placed.values()):
        torch.save({name: weights[name] for name in names if placed[name] == file}, folder / file)
    (folder / "pytorch_model.bin").unlink()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": placed}))
    with pytest.raises(InputError, match="--allow-pickle"):
        Bundle.load(folder)
    sharded = Bundle.load(folder, allow_pickle=True).model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in sharded.items())


def test_pickles_need_a_torch_that_reads_tensors_only(folder, monkeypatch):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    only_bin(folder)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.9.1"))
    with pytest.raises(InputError, match="torch 2.10 or newer, and this is 2.9.1"):
        Bundle.load(folder, allow_pickle=True)


@pytest.mark.parametrize("form", ["expanded", "meta", "compressed", "bytes", "list"])
def test_pickles_that_are_no_plain_tensors_are_refused(folder, canary, form):
    only_bin(folder)
    path = folder / "pytorch_model.bin"
    torch.save(
        {
            "expanded": {"a": torch.zeros(1).expand(10**12)},
            "meta": {"a": torch.zeros(10**6, device="meta")},
            "compressed": {"a": torch.zeros(10)},
            "bytes": {"a": bytearray(8)},
            "list": [torch.zeros(2)],
        }[form],
        path,
    )
    if form == "compressed":
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(folder / "new", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name) + bytes(50_000_000 if name.endswith("/data/0") else 0))
        os.replace(folder / "new", path)
    with pytest.raises(InputError, match="pytorch_model.bin: "):
        Bundle.load(folder, allow_pickle=True)


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickles_with_endless_names_are_refused_at_once(folder, is_zip):
    """torch searches its own message about such a name for hours."""
    only_bin(folder)
    path = folder / "pytorch_model.bin"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=is_zip)
    hostile = b"\x80\x02c" + b"x" * 2_000_000 + b"\ny\n."
    if is_zip:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(folder / "new", "w") as new:
            for name in old.namelist():
                new.writestr(name, hostile if name.endswith("/data.pkl") else old.read(name))
        os.replace(folder / "new", path)
    else:
        whole = path.read_bytes()
        at = whole.index(b"\x80\x02", whole.index(b"little_endian"))  # the state, after what is said of the system
        path.write_bytes(whole[:at] + hostile)
    started = time.monotonic()
    with pytest.raises(InputError, match="a name of more than 4,096 characters"):
        Bundle.load(folder, allow_pickle=True)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines", "trust_remote_code"])
def test_code_named_in_config_json_is_refused(folder, canary, key):
    (folder / "modeling_evil.py").write_text(f"import os\nos.system('touch {canary}')\n")
    value = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "someone/repository--evil.Config"}
    change(folder, "config.json", **{key: True if key.startswith("trust") else value})
    attempt(folder, canary, f"config.json: {key} names code")


def test_code_named_in_tokenizer_config_is_refused(folder, canary):
    (folder / "tokenization_evil.py").write_text(f"import os\nos.system('touch {canary}')\n")
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]})
    attempt(folder, canary, "tokenizer_config.json: auto_map names code")


@pytest.mark.parametrize("place", ["../outside.safetensors", "/etc/passwd", "..", ".", "", "a/../b", "a\0b"])
@pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_an_index_reaches_no_file_outside(folder, canary, place, index):
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    names = load_file(folder / "model.safetensors")
    only_bin(folder)
    (folder / index).write_text(json.dumps({"weight_map": dict.fromkeys(names, place)}))
    with pytest.raises(InputError, match="index.json|missing|not an ordinary file"):
        Bundle.load(folder, allow_pickle=True)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "pretune.json", "model.safetensors"])
@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "loop", "folder", "gone"])
def test_links_lead_to_ordinary_files_only(folder, canary, name, target):
    """Links out of a directory are followed (the hub's cache is made of them), but never to what has no end."""
    (folder / name).unlink()
    if target == "pipe":
        os.mkfifo(folder / name)
    elif target == "loop":
        (folder / name).symlink_to(folder / name)
    elif target == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(target)
    if name != "pretune.json":  # the one file a model need not have
        attempt(folder, canary, name if name != "tokenizer.json" else "")
    else:
        attempt(folder, canary)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**400}, "num_hidden_layers"),
        ({"hidden_size": -8}, "hidden_size"),
        ({"hidden_size": 2**24, "num_attention_heads": 2}, "has shape"),
        ({"vocab_size": 2**24}, "has shape"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"max_position_embeddings": 2**24}, "has shape"),
        ({"intermediate_size": 2**24}, "has shape"),
        ({"type_vocab_size": 2**24}, "has shape"),
        ({"hidden_size": "8"}, "hidden_size"),
        ({"num_attention_heads": 0}, "num_heads"),
        ({"layer_norm_eps": float("nan")}, "NaN"),
        ({"layer_norm_eps": True}, "layer_norm_eps"),
        ({"hidden_dropout_prob": 1e300}, "hidden_dropout_prob"),
        ({"classifier_dropout": "x"}, "classifier_dropout"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"model_type": {}}, "model_type"),
        ({"architectures": [[]]}, "architectures"),
        ({"made_up_switch": 1}, "unknown key 'made_up_switch'"),
    ],
)
def test_a_config_that_lies_is_refused_before_memory_is_taken(folder, canary, values, message):
    change(folder, "config.json", **values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attempt(folder, canary, message)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "in KiB"


def header(tree, data=b"", length=None):
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "header of 0 bytes in a file of 0"),
        (header({}, length=2**64 - 1), "header of 18,446,744,073,709,551,615 bytes"),
        (header({}, length=10**8), "header of 100,000,000 bytes"),
        (header(b'{"a": 1, "a": 2}'), "stands twice"),
        (header(b"[" * 5000), "deeper|JSON"),
        (header(b"\xff\xfe"), "no text"),
        (header({"a": ONE | {"shape": [2**40, 2**40]}}, bytes(8)), "needs"),
        (header({"a": ONE | {"shape": [-2]}}, bytes(8)), "shape is"),
        (header({"a": ONE | {"shape": [True, 2]}}, bytes(8)), "shape is"),
        (header({"a": ONE | {"dtype": "F7"}}, bytes(8)), "dtype is 'F7'"),
        (header({"a": ONE | {"data_offsets": [8, 0]}}, bytes(8)), "data_offsets"),
        (header({"a": ONE | {"data_offsets": [8, 16]}}, bytes(16)), "'a' leaves a gap"),
        (header({"a": ONE, "b": ONE}, bytes(8)), "'b' overlaps"),
        (header({"a": ONE}, bytes(4)), "4 bytes of data, its header says 8"),
        (header({"a": ONE}, bytes(12)), "12 bytes of data, its header says 8"),
        (header({"a": ONE | {"more": 1}}, bytes(8)), "alone"),
    ],
)
def test_safetensors_headers_that_lie_are_named(folder, canary, raw, message):
    (folder / "model.safetensors").write_bytes(raw)
    for allow_pickle in (False, True):
        with pytest.raises(InputError, match=message) as caught:
            Bundle.load(folder, allow_pickle=allow_pickle)
        assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "pretune.json", "tokenizer_config.json"])
def test_json_that_is_huge_deep_or_double_is_refused(folder, canary, name):
    whole = (folder / name).read_text().rstrip()[:-1]
    for text, message in (
        (whole + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper"),
        (whole + ', "x": NaN}', "NaN"),
        (whole + ', "x": 1, "x": 2}', "stands twice"),
        (whole + ', "x": "\\ud800"}', "surrogate"),
    ):
        (folder / name).write_text(text)
        attempt(folder, canary, message)
    with (folder / name).open("wb") as file:
        file.truncate(1 << 40)
    attempt(folder, canary, "larger than")


def regex(folder, pattern):
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    change(folder, "tokenizer.json", pre_tokenizer=split, normalizer=None)


def test_a_regular_expression_without_end_ends(folder, canary):
    """The library stops after ten million retries; at load on a probe, later on the text that does it."""
    regex(folder, "(a+)+$")
    attempt(folder, canary, "tokenizer.json: it cannot split a text")
    regex(folder, "(q+)+$")
    tokenizer = Bundle.load(folder).tokenizer
    before = time.monotonic()
    with pytest.raises(InputError, match="cannot split 'qqqq"):
        tokenizer.encode("q" * 60 + "!")
    assert time.monotonic() - before < 30
    regex(folder, "((((")
    attempt(folder, canary, "tokenizer.json: the tokenizers library cannot read it")


def test_ids_take_no_memory_by_themselves(folder, canary):
    tree = json.loads((folder / "tokenizer.json").read_text())
    tree["model"]["vocab"]["huge"] = 4_294_967_290
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    attempt(folder, canary, "tokenizer.json: a piece has the id 4294967290")


def test_yaml_with_python_tags_and_bombs(tmp_path, canary):
    path = tmp_path / "run.yaml"
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    for text in (
        f"a: !!python/object/apply:os.system ['touch {canary}']\n",
        f"!!python/object/new:os.system ['touch {canary}']\n",
        "a: !!python/name:os.system\n",
        bomb,
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=r"run.yaml:1: "):
            load_yaml(path)
    assert not canary.exists()


MEASURED = """
import resource, sys
from pretune.text.documents import read_parts
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(sum(len(part.text) for part in read_parts(sys.argv[1], documents=sys.argv[2])))
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("line", [b"x" * 9999 + b"\n", b"x" * 10_000], ids=["lines", "line"])
def test_a_zip_bomb_is_read_in_bounded_memory(tmp_path, suffix, line):
    """200 MB from under a megabyte: as lines they are read to the end, as one line they are refused."""
    path = tmp_path / f"bomb.txt{suffix}"
    if suffix == ".gz":
        part = gzip.compress(line * 3_334)
        path.write_bytes(part * 6)
    else:
        path.write_bytes(pytest.importorskip("zstandard").compress(line * 3_334) * 6)
    assert path.stat().st_size < 1 << 20
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), "file"], capture_output=True, text=True, check=True
    )
    found, kib = run.stdout.splitlines()
    assert int(kib) < (90_000 if line.endswith(b"\n") else 170_000), "in KiB; a line has at most 64 MiB"
    assert found == str(200_040_000 - 1) if line.endswith(b"\n") else f"{path}:1: line too long" in found
