"""What every run leaves behind besides its model: run.yaml, metrics.json, and facts about the machine."""

import contextlib
import functools
import hashlib
import json
import os
import platform
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from pretune.checkpoint.store import checkpoints
from pretune.core import lock
from pretune.core.config import assignment, dump_yaml, load_yaml
from pretune.core.errors import InputError, RunError
from pretune.core.finite import finite
from pretune.core.hooks import Hook
from pretune.train import distribute

PARTIAL = ".partial"
"""Ends the name of a file that is being written."""
EARLY = ("metrics.jsonl", "checkpoints", "plan.json", "run.yaml" + PARTIAL, lock.NAME)
"""What a run's directory may hold before it has its run.yaml."""
P = ParamSpec("P")
R = TypeVar("R")


def environment(device: str) -> dict[str, Any]:
    """Versions and machine, as run.yaml and report.html state them."""
    names = ("pretune", "torch", "numpy", "tokenizers", "safetensors")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
    }


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all: beside its name first, then renamed."""
    beside = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if beside.is_file():
            beside.unlink()
        raise RunError(f"{path} could not be written: {error}; what was there before is untouched") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, readable and with a final newline; null stands for a number that is not finite."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def json_lines(values: Iterable[Any]) -> str:
    """A JSON value a line, as `read_json_lines` reads them back."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def read_json_lines(path: Path) -> list[Any]:
    """The values of a file with a JSON value a line. Lines end at "\\n" alone: U+2028, U+2029 and U+0085, at which
    `splitlines` breaks too, stand as they are inside a JSON text."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """One YAML mapping, keys in the given order."""
    write_text(path, dump_yaml(value))


def choose_device(threads: int | None) -> str:
    """cuda where there is one, else cpu with so many threads (None: torch's choice)."""
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads is {threads}: give at least 1")
        torch.set_num_threads(threads)
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def claimed(out: Path, verb: str) -> Iterator[lock.Lock]:
    """Holds a run's directory as long as the block runs, so that a second process is refused (`core/lock.py`).

    InputError where another process has it, and where it holds something else than a run of this verb.
    """
    _check_holds(out, verb)  # before the lock's file is put there, and again when nobody else can change it
    with lock.claimed(out, f"pretune {verb}") as held:
        _check_holds(out, verb)
        yield held


def alone(verb: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorates a verb: the directory that its argument `out` names is claimed while it runs.

    Of several processes that train together, process 0 claims it for all of them.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def in_claimed(*arguments: P.args, **named: P.kwargs) -> R:
            processes = distribute.join(choose_device(None))
            with contextlib.ExitStack() as held:

                def claim() -> None:
                    held.enter_context(claimed(Path(str(named["out"])), verb))

                processes.on_first(claim)
                return function(*arguments, **named)

        return in_claimed

    return decorate


def _check_holds(out: Path, verb: str) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file: name a directory with --out")
    if (out / "run.yaml").is_file():
        found = load_yaml(out / "run.yaml").get("verb")
        if found != verb:
            raise InputError(f"{out} holds a run of pretune {found}, not of pretune {verb}: give another --out")
    elif any(path.name not in EARLY for path in out.iterdir()):
        raise InputError(f"{out} holds other files: give another --out")


def origin(source: str | Path) -> dict[str, Any]:
    """A model one starts from: its name and, of a directory, the sha256 of its weights."""
    digest = hashlib.sha256()
    files = sorted(Path(source).glob("*.safetensors")) or sorted(Path(source).glob("pytorch_model*.bin"))
    for file in files:
        digest.update(bytes.fromhex(file_sha256(file)))
    return {"name": str(source), "sha256": digest.hexdigest() if files else None}


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, in hexadecimal; of a directory, of its files' names and bytes."""
    if Path(path).is_dir():
        digest = hashlib.sha256()
        for part in sorted(one for one in Path(path).rglob("*") if one.is_file()):
            digest.update(f"{part.relative_to(path)} {file_sha256(part)}\n".encode())
        return digest.hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class WriteRun(Hook):
    """Writes run.yaml once the loop has found that the run may begin or continue; what it started from travels along.

    facts: what run.yaml says. start: {what: its name} that a continued run must share, such as the model's weights.
    Raises InputError where the run that is there learns from another corpus, tokenizer or labelled file.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], start: Mapping[str, Any]) -> None:
        self.path, self.facts, self.start = path, facts, dict(start)
        if checkpoints(path.parent / "checkpoints") and path.is_file():
            _refuse_other_data(path.parent, _data_of(load_yaml(path)), _data_of(facts))

    def on_start(self, run: Any) -> None:
        if run.is_first:
            write_yaml(self.path, self.facts)

    def state_dict(self) -> dict[str, Any]:
        return self.start

    def load_state_dict(self, state: dict[str, Any]) -> None:
        changed = [name for name in self.start if state.get(name) != self.start[name]]
        if changed:
            shown = "; ".join(f"{name} was {state.get(name)} and is now {self.start[name]}" for name in changed)
            raise InputError(f"{self.path.parent} holds another run: {shown}. Give another --out")


def _data_of(facts: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """{what a run learns from: (its path, its fingerprint)}; a test file may change, it is scored once at the end."""
    found = {"tokenizer": ("", str(facts.get("tokenizer")))}
    if corpus := facts.get("corpus"):
        found = {"corpus": (str(corpus["path"]), str(corpus["fingerprint"]))} | found
    for part, file in facts.get("data", {}).items():
        if part != "test":
            found[f"{part} file"] = (str(file["path"]), str(file["sha256"]))
    return found


def _refuse_other_data(out: Path, before: Mapping[str, tuple[str, str]], now: Mapping[str, tuple[str, str]]) -> None:
    none = ("none", "")
    pairs = {name: (before.get(name, none), now.get(name, none)) for name in {**before, **now}}
    changed = {name: pair for name, pair in pairs.items() if pair[0][1] != pair[1][1]}
    if changed:
        shown = "; ".join(f"{name} was {_named(a)} and is now {_named(b)}" for name, (a, b) in changed.items())
        raise InputError(f"{out} holds a run with other data: {shown}. Restore it, or give another --out")


def _named(data: tuple[str, str]) -> str:
    path, fingerprint = data
    return f"{path} (fingerprint {fingerprint[:12]})".strip() if fingerprint else path


def command(words: Sequence[str], options: Mapping[str, Any], settings: Sequence[str] | Mapping[str, Any]) -> str:
    """The command line of a call: `pretune`, its words, the options that are not None, and its settings.

    >>> command(["pretrain", "bert-mini"], {"--corpus": "c", "--init": None}, {"optimizer": {"lr": 0.1}, "steps": 5})
    'pretune pretrain bert-mini --corpus c optimizer.lr=0.1 steps=5'
    """
    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    return shlex.join(["pretune", *words, *given, *assignments(settings)])


def assignments(settings: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Settings as `KEY=VALUE` texts, whichever way they are given.

    >>> assignments({"task": {"metric": "f1"}, "epochs": 2})
    ['task.metric=f1', 'epochs=2']
    """
    return list(_flat(settings)) if isinstance(settings, Mapping) else list(settings)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield assignment(f"{prefix}{key}", value)
