"""What every run leaves behind besides its model: run.yaml, metrics.json, and facts about the machine."""

import json
import os
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pretune.core.config import dump_yaml
from pretune.core.errors import InputError, RunError


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
    beside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RunError(f"{path} could not be written: {error}; what was there before is untouched") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, readable and with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


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


def command(words: Sequence[str], options: Mapping[str, Any], settings: Sequence[str] | Mapping[str, Any]) -> str:
    """The command line of a call: `pretune`, its words, the options that are not None, and its settings.

    >>> command(["pretrain", "bert-mini"], {"--corpus": "c", "--init": None}, {"optimizer": {"lr": 0.1}, "steps": 5})
    'pretune pretrain bert-mini --corpus c optimizer.lr=0.1 steps=5'
    """
    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    assignments = list(_flat(settings)) if isinstance(settings, Mapping) else list(settings)
    return shlex.join(["pretune", *words, *given, *assignments])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value) if not isinstance(value, str) else value}"
