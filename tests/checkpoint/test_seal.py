"""A model's directory: every flipped bit found and named, changes on purpose accepted, a full disk, two writers."""

import json
import random
import subprocess
import sys
import threading
import time

import pytest
import torch

from pretune.checkpoint import disk
from pretune.checkpoint import folder as folders
from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError, RunError
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer

WRITTEN = (
    "config.json", "model.safetensors", "pretune.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer_config.json",
)  # fmt: skip


@pytest.fixture
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcde", "##s"]) + "\n")
    shape = {"num_layers": 1, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 48}
    return Bundle.fresh("bert", shape, Tokenizer.load(folder), heads=[HeadSpec("lm")], seed=1)


@pytest.fixture
def folder(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    return tmp_path / "model"


def test_every_file_is_listed_and_loading_forgets_the_list(bundle, folder):
    files = json.loads((folder / "pretune.json").read_text())["files"]
    assert tuple(sorted(files)) == WRITTEN == tuple(sorted(path.name for path in folder.iterdir()))
    loaded = Bundle.load(folder)
    assert "files" not in loaded.manifest
    loaded.save(folder)
    loaded.save(folder.with_name("again"))
    assert (folder / "pretune.json").read_bytes() == (folder.with_name("again") / "pretune.json").read_bytes()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_flipped_bit_is_an_error_that_names_the_file(folder, name):
    whole, generator = (folder / name).read_bytes(), random.Random(name)
    places = [generator.randrange(8 * len(whole)) for _ in range(12)]
    if name == "model.safetensors":
        places += [8 * len(whole) - 1, 8 * (len(whole) - 1000)]  # in the numbers: nothing but the sha256 can tell
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            Bundle.load(folder)
        assert str(folder / name) in str(caught.value), (place, str(caught.value))
    (folder / name).write_bytes(whole)
    Bundle.load(folder)


def test_a_flip_in_the_numbers_says_what_to_do(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    with pytest.raises(
        InputError, match=r'model.safetensors: damaged, or changed.*write "files": null in .*pretune.json'
    ):
        Bundle.load(folder)


def test_a_change_on_purpose_can_be_accepted(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_probs_dropout_prob": 0.25}))
    with pytest.raises(InputError, match="config.json: damaged, or changed"):
        Bundle.load(folder)
    manifest = json.loads((folder / "pretune.json").read_text())
    (folder / "pretune.json").write_text(json.dumps(manifest | {"files": None}))
    loaded = Bundle.load(folder)
    loaded.save(folder)
    assert json.loads((folder / "config.json").read_text())["attention_probs_dropout_prob"] == 0.25
    Bundle.load(folder)


def test_another_tokenizer_makes_up_for_a_damaged_one(bundle, folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="tokenizer.json: missing, though pretune wrote it"):
        Bundle.load(folder)
    Bundle.load(folder, tokenizer=bundle.tokenizer)


def test_without_a_seal_nothing_is_verified(folder):
    """Hugging Face's directories, and those of the earlier format."""
    manifest = json.loads((folder / "pretune.json").read_text())
    with open(folder / "config.json", "a") as file:
        file.write("\n")
    del manifest["files"]
    (folder / "pretune.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="pretune.json: damaged"):
        Bundle.load(folder)
    (folder / "pretune.json").write_text(json.dumps(manifest | {"format": 3}))
    with pytest.raises(InputError, match="pretune.json: its format is 3, this pretune reads 1 and 2"):
        Bundle.load(folder)
    (folder / "pretune.json").write_text(json.dumps(manifest | {"format": 1}))
    Bundle.load(folder)
    (folder / "pretune.json").unlink()
    Bundle.load(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("room", [0, 100_000, None])
def test_a_full_disk_leaves_the_old_model_and_nothing_else(bundle, small_disk, room):
    """Full at once, in the weights, and just before the last file."""
    bundle.save(small_disk / "model")
    before = contents(small_disk / "model")
    room = sum(map(len, before.values())) if room is None else room
    (small_disk / "filler").write_bytes(bytes(disk.free_bytes(small_disk) - room))
    changed = Bundle.load(small_disk / "model")
    torch.nn.init.ones_(changed.model.body.token_embedding.weight)
    with pytest.raises(RunError, match="model could not be written: .*(No space left|os error 28).*nothing there was"):
        changed.save(small_disk / "model")
    assert contents(small_disk / "model") == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "model"]


def test_waiting_for_room_saves_the_model(bundle, small_disk):
    (small_disk / "filler").write_bytes(bytes(disk.free_bytes(small_disk) - 100_000))
    on_full = disk.OnFull("wait", poll_seconds=0.05)
    saving = threading.Thread(target=bundle.save, args=(small_disk / "model",), kwargs={"on_full": on_full})
    saving.start()
    time.sleep(0.3)
    assert saving.is_alive() and not (small_disk / "model").exists()
    (small_disk / "filler").unlink()
    saving.join(20)
    Bundle.load(small_disk / "model")
    assert [path.name for path in small_disk.iterdir()] == ["model"]


WRITER = """
import pathlib, sys
from pretune.checkpoint.folder import replace_folder

def write(folder):
    (folder / "mark").write_text("theirs")
    (folder / "a").write_text("theirs")
    print("writing", flush=True)
    sys.stdin.readline()
    (folder / "b").write_text("theirs")

replace_folder(pathlib.Path(sys.argv[1]), write, ours=("a", "b", "mark"), marker="mark")
"""


def test_two_writers_of_one_directory(tmp_path):
    """The second is refused while the first lives, and follows it when it is killed."""
    target = tmp_path / "target"

    def write(folder):
        for name in ("mark", "a", "b"):
            (folder / name).write_text("ours")

    theirs = subprocess.Popen(
        [sys.executable, "-c", WRITER, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert theirs.stdout.readline() == "writing\n"
    with pytest.raises(InputError, match="is being written by another process"):
        folders.replace_folder(target, write, ours=("a", "b", "mark"), marker="mark")
    assert not target.exists()
    theirs.kill()
    theirs.communicate()
    folders.replace_folder(target, write, ours=("a", "b", "mark"), marker="mark")
    assert {path.read_text() for path in target.iterdir()} == {"ours"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
