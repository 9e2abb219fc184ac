"""The small world of the survival tests, the fork server they run commands in, and the table of what they saw."""

import random
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from crashes import Crashes, Tally, done, left_by  # noqa: E402

TALLIES = pytest.StashKey()

RUN = {"batch_size": 4, "save_every_steps": 3, "log_every_steps": 1, "seed": 3, "optimizer.lr": 1e-3}
PRETRAIN = RUN | {
    "steps": 7, "max_length": 32, "short_length": 16, "short_share": 0.5, "max_tokens_per_batch": 48,
    "valid_samples": 2, "model.num_layers": 1, "model.hidden_size": 32, "model.attention.num_heads": 2,
    "model.feed_forward.intermediate_size": 64,
}  # fmt: skip
WORDS = [
    "the",
    "old",
    "house",
    "stood",
    "by",
    "a",
    "quiet",
    "river",
    "and",
    "every",
    "winter",
    "its",
    "windows",
    "dark",
]
FINETUNE = RUN | {"epochs": 8, "patience": 2, "batch_size": 8, "max_tokens_per_batch": 48}


@dataclass(frozen=True)
class Small:
    """A tokenizer, a corpus of a few samples, labelled files and a model; and the commands that the tests kill."""

    root: Path
    crashes: Crashes
    again: Crashes

    def file(self, name):
        return self.root / name

    def pretrain(self, out, recipe="bert-tiny", corpus=None, **settings):
        words = ["pretrain", recipe, "--corpus", corpus or self.file("corpus"), "--out", out]
        return words + assignments(PRETRAIN | settings)

    def finetune(self, out, **settings):
        files = [word for part in ("train", "valid") for word in (f"--{part}", self.file(f"{part}.csv"))]
        words = ["finetune", "classify", "--model", self.file("start/model"), *files, "--out", out]
        return words + assignments(FINETUNE | settings)

    def words(self, verb, out, **settings):
        return getattr(self, verb)(out, **settings)

    def straight(self, verb, **settings):
        """What the uninterrupted command leaves; it runs once."""
        name = "-".join(["straight", verb, *assignments(settings)])
        if not self.file(name).exists():
            done(self.crashes.run(self.words(verb, self.file(name), **settings)))
        return left_by(self.file(name))


def assignments(settings):
    return [f"{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("survival")
    logs = tmp_path_factory.mktemp("survival-output")
    (logs / "again").mkdir()
    with closing(Crashes(logs, 1)) as crashes, closing(Crashes(logs / "again", 2)) as again:
        found = Small(root, crashes, again)
        make(found)
        yield found


def make(small):
    root = small.root
    write_text(small)
    size = ["--algorithm", "wordpiece", "--vocab-size", 120, "--lowercase"]
    for words in (
        ["tokenizer", "train", root / "text.txt", *size, "--out", root / "tokenizer"],
        ["corpus", "build", root / "text.txt", "--tokenizer", root / "tokenizer", "--out", root / "corpus",
         "--valid-fraction", 0.2],
        small.pretrain(root / "start", steps=2),
    ):  # fmt: skip
        done(small.crashes.run(words))


def write_text(small):
    rng = random.Random(5)
    sentences = [sentence(rng) for _ in range(90)]
    groups = [sentences[at : at + 9] for at in range(0, 90, 9)]
    small.file("text.txt").write_text("\n\n".join(" ".join(group) for group in groups) + "\n", "utf-8")
    for part, number in (("train", 24), ("valid", 12)):
        rows = [f'"{sentence(rng)}",{rng.choice(["yes", "no"])}' for _ in range(number)]
        small.file(f"{part}.csv").write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")


def sentence(rng):
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 11))).capitalize() + "."


@pytest.fixture
def out(tmp_path):
    """A directory for runs that is removed at once: the long matrices make hundreds."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def tally(request):
    """Counts for the table of results, a row for a name."""
    rows = request.config.stash.setdefault(TALLIES, {})
    return lambda what: rows.setdefault(what, Tally(what))


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(TALLIES, {})
    if rows:
        terminalreporter.section("survival")
        terminalreporter.line("| what was done | cases | recovered | identical | most steps lost | |")
        terminalreporter.line("|---|---|---|---|---|---|")
        for row in rows.values():
            terminalreporter.line(row.row())
