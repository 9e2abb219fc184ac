"""The tiny world that tests of verbs, commands and recipes share: tokenizer, corpus, two short runs, labelled files."""

import atexit
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

sys.path.append(str(Path(__file__).parent))  # for `fuzzing`
OFFLINE = str(Path(__file__).parent / "offline")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [OFFLINE, os.environ.get("PYTHONPATH")]))
os.environ["PRETUNE_NETWORK_LOG"] = tempfile.mkstemp(prefix="pretune-network-")[1]
atexit.register(Path(os.environ["PRETUNE_NETWORK_LOG"]).unlink, missing_ok=True)
if (loaded := sys.modules.get("sitecustomize")) is None or not hasattr(loaded, "NetworkBlocked"):
    sys.modules.pop("sitecustomize", None)
    sys.path.insert(0, OFFLINE)
    import sitecustomize  # noqa: F401  (no connection leaves this machine from here on)

    sys.path.remove(OFFLINE)

import pretune  # noqa: E402
from pretune.cli.main import run  # noqa: E402
from pretune.tokenizers.sentinels import add_sentinels  # noqa: E402
from pretune.tokenizers.tokenizer import Tokenizer  # noqa: E402

NOVELS = Path(pretune.__file__).parent / "verbs" / "quickstart_data" / "novels_valid.txt.gz"


@pytest.fixture
def network_attempts():
    """What was refused since the test began; reading it says that the test meant it."""

    def read():
        path = Path(os.environ["PRETUNE_NETWORK_LOG"])
        found = path.read_text("utf-8").splitlines()
        path.write_text("", "utf-8")
        return found

    return read


@pytest.fixture(autouse=True)
def no_network():
    """Fails a test that made this process, or one it started, try to leave the machine, whoever caught the error."""
    yield
    path = Path(os.environ["PRETUNE_NETWORK_LOG"])
    if path.is_file() and (tried := path.read_text("utf-8")):
        path.write_text("", "utf-8")
        pytest.fail(f"the network was asked for:\n{tried}")


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    def json(self):
        assert self.status == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self):
        assert self.status == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]


def command(*words, stdin=b""):
    """`pretune WORDS` in this process; an exception that is not an exit fails the test."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    given = io.TextIOWrapper(io.BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode()), "utf-8")
    with (
        mock.patch.object(sys, "argv", ["pretune", *map(str, words)]),
        mock.patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run()
        except SystemExit as end:
            status = end.code or 0
    return Result(status, out.getvalue(), err.getvalue())


def start(*words, **options):
    """The true console script in a process of its own."""
    script = Path(sys.executable).parent / "pretune"
    return subprocess.Popen(
        [script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


@dataclass(frozen=True)
class World:
    root: Path
    tokenizer: Path
    corpus: Path
    modern: Path
    bert: Path
    command = staticmethod(command)
    start = staticmethod(start)

    def file(self, task, part="train"):
        return self.root / f"{task}_{part}.{SUFFIX[task]}"

    def finetune(self, task, out, *words):
        files = [word for part in ("train", "valid", "test") for word in (f"--{part}", self.file(task, part))]
        settings = ["epochs=2", "batch_size=8", "optimizer.lr=1e-3"]
        return command("finetune", task, "--model", self.modern / "model", *files, "--out", out, *settings, *words)


MODERN = ("steps=20", "seed=1", "batch_size=8", "valid_samples=20", "save_every_steps=5", "log_every_steps=1")
BERT = ("steps=10", "seed=1", "batch_size=8", "valid_samples=20", "max_length=64", "short_length=32")
SUFFIX = {"classify": "csv", "pair": "jsonl", "regress": "tsv", "tag": "conll"}


@pytest.fixture
def make_disk(tmp_path):
    """Makes a real file system of so many MiB, and returns its folder."""
    folders = []

    def make(mebibytes):
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder]
        mounted = subprocess.run(words, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"a small tmpfs needs the right to mount: {mounted.stderr.strip()}")
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small_disk(make_disk):
    """A file system of 4 MiB."""
    return make_disk(4)


@pytest.fixture(scope="session")
def with_sentinels(world):
    """The corpus once more, by the same tokenizer with 20 sentinels."""
    tokenizer, corpus = world.root / "tokenizer-sentinels", world.root / "corpus-sentinels"
    found = Tokenizer.load(world.tokenizer)
    add_sentinels(found.backend, 20)
    found.save(tokenizer)
    words = ["corpus", "build", NOVELS, "--tokenizer", tokenizer, "--out", corpus, "--valid-fraction", 0.1]
    assert (result := command(*words)).status == 0, result.err
    return corpus


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    found = World(root, root / "tokenizer", root / "corpus", root / "modern", root / "bert")
    size = ["--algorithm", "wordpiece", "--vocab-size", 500, "--lowercase"]
    for words in (
        ["tokenizer", "train", NOVELS, *size, "--out", found.tokenizer],
        ["corpus", "build", NOVELS, "--tokenizer", found.tokenizer, "--out", found.corpus, "--valid-fraction", 0.1],
        ["pretrain", "modern-tiny", "--corpus", found.corpus, "--out", found.modern, *MODERN],
        ["pretrain", "bert-tiny", "--corpus", found.corpus, "--out", found.bert, *BERT, "log_every_steps=1"],
    ):
        assert (result := command(*words)).status == 0, result.err
    rng = random.Random(1)
    for part, number in (("train", 40), ("valid", 16), ("test", 16)):
        write_labelled(found, part, [sentence(rng) for _ in range(number)])
    return found


def sentence(rng):
    label = rng.choice(["good", "bad"])
    word = rng.choice(["kind", "happy", "dear"] if label == "good" else ["cruel", "sad", "dark"])
    ends = [rng.choice(["the man was", "a day so", "her heart is", "his house looked"]) for _ in range(2)]
    return f"{ends[0]} {word} and {ends[1]} new", label


def write_labelled(world, part, rows):
    rate = {"good": "2.5", "bad": "-1"}
    texts = {
        "classify": "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows),
        "pair": "".join(
            json.dumps({"text": text, "text_b": text[:9], "label": label == "good"}) + "\n" for text, label in rows
        ),
        "regress": "text\tlabel\n" + "".join(f"{text}\t{rate[label]}\n" for text, label in rows),
        "tag": "\n".join(
            "".join(f"{word}\t{'B-ADJ' if place == 3 else 'O'}\n" for place, word in enumerate(text.split()))
            for text, _ in rows
        ),
    }
    for task, content in texts.items():
        world.file(task, part).write_text(content, "utf-8")
