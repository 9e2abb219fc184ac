"""Runs `pretune` commands that are killed, and compares what runs leave behind."""

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
KILLED = -signal.SIGKILL
TIMES = {"seconds", "tokens_per_second", "examples_per_second", "training_seconds", "mfu", "energy_kwh", "co2_kg"} | {
    "peak_memory_bytes",
    "disk_bytes",
}
"""Fields that measure the machine."""


@dataclass(frozen=True)
class Ended:
    """A command's end. operations: "what path" of each file operation that counted; the last one is where it died."""

    status: int
    out: str
    err: str
    operations: tuple[str, ...]

    @property
    def continued_at(self) -> int:
        """The step the run went on from; 0 for one that began anew."""
        found = re.search(r"(?:continuing|complete) at step (\d+)", self.err)
        return int(found[1]) if found else 0


@dataclass
class Running:
    pid: int
    request: dict[str, Any]


class Crashes:
    """A fork server (`crash_server.py`) and the commands that ran in it."""

    def __init__(self, folder: Path, hash_seed: int) -> None:
        self.folder, self.hash_seed = folder, hash_seed
        self.numbers = itertools.count()

    @cached_property
    def process(self) -> "subprocess.Popen[str]":
        """The server, started when it is needed first."""
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", HERE / "crash_server.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, "PYTHONHASHSEED": str(self.hash_seed), "HF_HUB_OFFLINE": "1"},
        )
        assert process.stdout is not None and process.stdout.readline(), "the fork server could not start"
        return process

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the fork server died"
        return json.loads(line)

    def start(
        self, words: Sequence[Any], roots: Sequence[Path] = (), at: int | None = None, torn: bool = False, of: str = ""
    ) -> Running:
        """Starts `pretune WORDS`; it kills itself at operation `at` below `roots` of those that have `of` in them."""
        number = next(self.numbers)
        files = {name: str(self.folder / f"{number}.{name}") for name in ("out", "err", "journal")}
        places = [str(root) for root in roots]
        request = {"words": [str(word) for word in words], "roots": places, "at": at, "torn": torn, "of": of, **files}
        return Running(self._ask(request)["pid"], request)

    def wait(self, running: Running) -> Ended:
        status = self._ask({"wait": running.pid})["status"]
        out, err, journal = (Path(running.request[name]) for name in ("out", "err", "journal"))
        operations = journal.read_text().splitlines() if journal.exists() else []
        return Ended(status, out.read_text(), err.read_text(), tuple(operations))

    def run(self, words: Sequence[Any], **faults: Any) -> Ended:
        return self.wait(self.start(words, **faults))

    def killed_after(self, words: Sequence[Any], seconds: float) -> Ended:
        """The command, killed by SIGKILL from here so long after it began (its status tells whether it was in time)."""
        running = self.start(words)
        time.sleep(seconds)
        os.kill(running.pid, signal.SIGKILL)
        ended = self.wait(running)
        left = left_of_session(running.pid, 60)  # one that is still starting needs seconds to see that it is alone
        assert not left, f"processes that the killed one started live on: {left}"
        return ended

    def close(self) -> None:
        if "process" not in vars(self):
            return
        self.process.kill()  # torch takes seconds to leave by itself
        self.process.communicate()


def left_of_session(session: int, seconds: float) -> list[str]:
    """Processes of a session that are still there after so many seconds."""
    ends = time.monotonic() + seconds
    while True:
        left = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, its = stat.read_text().rpartition(") ")[2].split()[:4]
                if int(its) == session and state != "Z":
                    left.append(stat.with_name("cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        if not left or time.monotonic() > ends:
            return left
        time.sleep(0.02)


def done(ended: Ended) -> Ended:
    assert ended.status == 0, ended.err
    return ended


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """{name: sha256} of all files below a folder."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class Left:
    """What a finished run leaves: all names, sha256 of all tensors, and its records without what measures time."""

    names: tuple[str, ...]
    tensors: dict[str, str]
    lines: tuple[str, ...]
    metrics: dict[str, Any]


def left_by(run: Path) -> Left:
    found = tree(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return Left(
        tuple(found),
        {name: digest for name, digest in found.items() if name.endswith(".safetensors")},
        tuple(json.dumps(without_times(line)) for line in lines),
        without_times(json.loads((run / "metrics.json").read_text())),
    )


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in TIMES}


def assert_same(ours: Left, straight: Left, notes: int = 0) -> None:
    """Bit-identical weights, optimizer and best weights; every line of metrics.jsonl once; no file more or less."""
    assert ours.tensors == straight.tensors
    assert ours.lines == straight.lines
    assert ours.names == straight.names
    different = {name for name, value in straight.metrics.items() if ours.metrics[name] != value}
    assert different <= {"notes"} and len(ours.metrics["notes"]) == len(straight.metrics["notes"]) + notes


def last_step(run: Path) -> int:
    """The last step whose whole line stands in metrics.jsonl: what a killed run had reached at least."""
    try:
        lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return 0
    steps = [json.loads(line)["step"] for line in lines if line.endswith(b"\n") and line.startswith(b"{")]
    return max(steps, default=0)


@dataclass
class Tally:
    """A row of the table of results."""

    what: str
    cases: int = 0
    recovered: int = 0
    identical: int = 0
    most_lost: int | None = None
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def lost(self, steps: int, interval: int) -> None:
        assert 0 <= steps <= interval, f"{steps} steps were lost, more than the {interval} between two saves"
        self.most_lost = max(self.most_lost or 0, steps)

    def count(self, what: str, is_so: bool) -> None:
        self.counts[what] += is_so

    def row(self) -> str:
        lost = "" if self.most_lost is None else str(self.most_lost)
        notes = "; ".join([*self.notes, *(f"{number} {what}" for what, number in self.counts.items())])
        return f"| {self.what} | {self.cases} | {self.recovered} | {self.identical} | {lost} | {notes} |"
