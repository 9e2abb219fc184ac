"""Training checkpoints: written whole or not at all, verified before use, no pickle.

    checkpoints/step-1000/
        manifest.json           format, step, size and sha256 of each file, and its own sha256
        state.json              everything that is not a tensor; a tensor stands as {"$tensor": [part, name]}
        model.safetensors ...   one file for each top-level part of the state that has tensors

A checkpoint is written into a folder beside its final name, every file and the folder are synced, then it is renamed
and the parent synced: at each instant the name stands for a whole checkpoint or for none. What an interrupted save
leaves behind is removed by the next one. `latest` verifies sha256 and falls back to the last good checkpoint.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pretune.core.errors import RunError

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
TENSOR = "$tensor"
_NAME = re.compile(r"step-(\d+)")
_LEFTOVER = re.compile(r"\.(unfinished|discarded)-.*")


@dataclass(frozen=True)
class Damage:
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """The last good checkpoint (None: there is none) and the later ones that are damaged, the latest first."""

    path: Path | None
    step: int
    damaged: tuple[Damage, ...]


def save(directory: Path, step: int, state: Mapping[str, Any], *, keep: int) -> Path:
    """Writes `directory/step-N` and keeps the last `keep` checkpoints. Returns its path.

    state: a nested mapping of str keys; tensors, numbers, texts, None, lists. A checkpoint of that name is replaced.
    Raises RunError when the disk refuses; no partial checkpoint is left then, and earlier ones stay untouched.
    """
    final = directory / f"step-{step}"
    unfinished = directory / f".unfinished-step-{step}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        unfinished.mkdir()
        _write_files(unfinished, step, state)
        if final.exists():
            _discard(final)
        os.rename(unfinished, final)
        sync(directory)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk in its own exception
        shutil.rmtree(unfinished, ignore_errors=True)
        safe = [path.name for _, path in checkpoints(directory)]
        raise RunError(
            f"checkpoint {final} could not be written: {error}; still on disk: {', '.join(safe) or 'no checkpoint'}"
        ) from error
    for _, path in checkpoints(directory)[keep:]:
        _discard(path)
    _remove_leftovers(directory)
    return final


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(step, path) of the checkpoints in a directory, the latest first; nothing is verified."""
    if not directory.is_dir():
        return []
    named = [(match, path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(((int(match[1]), path) for match, path in named if path.is_dir()), reverse=True)


def latest(directory: Path) -> Found:
    """The last checkpoint whose files are all as they were written, and the damaged ones after it."""
    damaged: list[Damage] = []
    for step, path in checkpoints(directory):
        reason = verify(path)
        if reason is None:
            return Found(path, step, tuple(damaged))
        damaged.append(Damage(path, reason))
    return Found(None, 0, tuple(damaged))


def verify(path: Path) -> str | None:
    """None when a checkpoint is as it was written, else what is wrong with it."""
    try:
        text = (path / MANIFEST).read_bytes()
        manifest = json.loads(text)
        if _manifest_text(manifest["step"], manifest["files"]) != text:
            return f"{MANIFEST} is damaged"
        if path.name != f"step-{manifest['step']}":
            return f"{MANIFEST} is of step {manifest['step']}"
        for name, facts in manifest["files"].items():
            if os.path.getsize(path / name) != facts["bytes"]:
                return f"{name} has {os.path.getsize(path / name)} bytes instead of {facts['bytes']}"
            if _sha256(path / name) != facts["sha256"]:
                return f"{name} is damaged: its sha256 is not the one written down"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return f"cannot be read: {error}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} is damaged"
    return None


def load(path: Path) -> dict[str, Any]:
    """The state that `save` was given, tensors on the CPU, tuples as lists. Verify first (`latest` does)."""
    state = json.loads((path / STATE).read_text("utf-8"))
    tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
    return {key: _joined(value, tensors) for key, value in state.items()}


def set_aside(damage: Damage) -> Path:
    """Renames a damaged checkpoint, so that it is neither loaded nor counted again. Returns its new path."""
    number = 0
    while (aside := damage.path.with_name(f"damaged-{number}-{damage.path.name}")).exists():
        number += 1
    os.rename(damage.path, aside)
    sync(aside.parent)
    return aside


def _write_files(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    seen: dict[tuple[Any, ...], list[str]] = {}
    skeleton = {part: _split(value, part, "", tensors.setdefault(part, {}), seen) for part, value in state.items()}
    _write(folder / STATE, json.dumps(skeleton, ensure_ascii=False).encode())
    for part, named in tensors.items():
        if named:
            save_file(named, folder / f"{part}.safetensors")
            sync(folder / f"{part}.safetensors")
    names = sorted(path.name for path in folder.iterdir())
    files = {name: {"bytes": os.path.getsize(folder / name), "sha256": _sha256(folder / name)} for name in names}
    _write(folder / MANIFEST, _manifest_text(step, files))
    sync(folder)


def _manifest_text(step: int, files: Mapping[str, Any]) -> bytes:
    body = {"format": FORMAT, "step": step, "files": files}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return (json.dumps(body | {"sha256": digest}, sort_keys=True, indent=1) + "\n").encode()


def _split(
    value: Any, part: str, name: str, tensors: dict[str, torch.Tensor], seen: dict[tuple[Any, ...], list[str]]
) -> Any:
    """The value with its tensors moved into `tensors`; one met before (tied weights) is referred to, not repeated."""
    if isinstance(value, torch.Tensor):
        place = (value.data_ptr(), tuple(value.shape), value.stride(), value.dtype, value.device)
        if value.numel() == 0 or place not in seen:
            seen[place] = [part, name]
            tensors[name] = _standalone(value, tensors)
        return {TENSOR: seen[place] if value.numel() else [part, name]}
    if isinstance(value, Mapping):
        if wrong := next((key for key in value if not isinstance(key, str) or key == TENSOR), None):
            raise TypeError(f"{wrong!r} cannot be a key in a checkpoint")
        return {key: _split(inner, part, f"{name}/{key}", tensors, seen) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_split(inner, part, f"{name}/{index}", tensors, seen) for index, inner in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{part}{name}: a {type(value).__name__} cannot be in a checkpoint")


def _standalone(tensor: torch.Tensor, others: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """On the CPU, contiguous, with a storage that is all its own: what safetensors writes."""
    tensor = tensor.detach().cpu().contiguous()
    storage = tensor.untyped_storage()
    shared = any(other.untyped_storage().data_ptr() == storage.data_ptr() for other in others.values())
    return tensor.clone() if shared or storage.nbytes() != tensor.numel() * tensor.element_size() else tensor


def _joined(value: Any, tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> Any:
    if isinstance(value, dict):
        if TENSOR in value:
            part, name = value[TENSOR]
            return tensors[part][name]
        return {key: _joined(inner, tensors) for key, inner in value.items()}
    return [_joined(inner, tensors) for inner in value] if isinstance(value, list) else value


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Forces a file, or a folder's list of names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _discard(path: Path) -> None:
    """Takes a checkpoint's name away at once, then its files: a kill in between leaves no half checkpoint."""
    discarded = path.with_name(f".discarded-{path.name}")
    os.rename(path, discarded)
    shutil.rmtree(discarded)


def _remove_leftovers(directory: Path) -> None:
    for path in _leftovers(directory):
        shutil.rmtree(path)


def _leftovers(directory: Path) -> Iterator[Path]:
    yield from [path for path in directory.iterdir() if _LEFTOVER.fullmatch(path.name)]
