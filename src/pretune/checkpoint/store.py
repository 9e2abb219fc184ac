"""Training checkpoints: written whole or not at all, verified before use, no pickle.

    checkpoints/step-1000/
        manifest.json           format, step, finite or not, size and sha256 of each file, and its own sha256
        state.json              everything that is not a tensor; a tensor stands as {"$tensor": [part, name]}
        model.safetensors ...   one file for each top-level part of the state that has tensors

A checkpoint is written into a folder beside its final name, every file and the folder are synced, then it is renamed
and the parent synced: at each instant the name stands for a whole checkpoint or for none. One that replaces another of
the same step puts that aside until then. What an interrupted save leaves behind is removed by the next one. `latest`
verifies sha256 and falls back to the last good checkpoint. Rotation keeps the newest ones and, if none of them is known
to be finite, the newest older one that is.
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

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pretune.checkpoint import state as states
from pretune.checkpoint.disk import STOP, OnFull, checkpoint_bytes
from pretune.core.errors import RunError

FORMAT = 2
"""1 did not say whether a checkpoint is finite; it is still read."""
MANIFEST = "manifest.json"
STATE = "state.json"
_NAME = re.compile(r"step-(\d+)")
_LEFTOVER = re.compile(r"\.(unfinished|discarded|replaced)-.*")
_REPLACED = re.compile(r"\.replaced-(step-\d+)")


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


def save(directory: Path, step: int, state: Mapping[str, Any], *, keep: int, on_full: OnFull = STOP) -> Path:
    """Writes `directory/step-N`, keeps the last `keep` checkpoints and one known to be finite. Returns its path.

    state: a nested mapping of str keys; tensors, numbers, texts, None, lists. A checkpoint of that name is replaced.
    Raises RunError when the disk refuses, or is full and `on_full` does not wait; no partial checkpoint is left then,
    and earlier ones stay untouched.
    """
    final = directory / f"step-{step}"
    try:
        on_full.write(
            lambda: _write_whole(final, step, state),
            directory,
            f"checkpoint {final}",
            lambda: checkpoint_bytes(state),
            lambda: still_on_disk(directory),
        )
    except (OSError, SafetensorError) as error:
        raise RunError(f"checkpoint {final} could not be written: {error}; {still_on_disk(directory)}") from error
    tidy(directory, keep)
    return final


def tidy(directory: Path, keep: int) -> None:
    """Keeps the last `keep` checkpoints and removes what interrupted saves left: what a killed one had still to do."""
    _rotate(directory, keep)
    _remove_leftovers(directory)


def still_on_disk(directory: Path) -> str:
    """What is safe when a checkpoint could not be written, in words."""
    safe = [path.name for _, path in checkpoints(directory)]
    return f"still on disk: {', '.join(safe)} in {directory}" if safe else "still on disk: no checkpoint"


def _write_whole(final: Path, step: int, state: Mapping[str, Any]) -> None:
    directory, unfinished = final.parent, final.with_name(f".unfinished-{final.name}")
    replaced = final.with_name(f".replaced-{final.name}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        unfinished.mkdir()
        _write_files(unfinished, step, state)
        if final.exists():
            os.rename(final, replaced)
        os.rename(unfinished, final)
        sync(directory)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError):  # safetensors reports a full disk in its own exception
        _put_back(directory)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _rotate(directory: Path, keep: int) -> None:
    kept, older = checkpoints(directory)[:keep], checkpoints(directory)[keep:]
    spared = None
    if not any(is_finite(path) for _, path in kept):
        spared = next((path for _, path in older if is_finite(path)), None)
    for _, path in older:
        if path != spared:
            _discard(path)


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(step, path) of the checkpoints in a directory, the latest first; nothing is verified."""
    if not directory.is_dir():
        return []
    named = [(match, path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(((int(match[1]), path) for match, path in named), reverse=True)


def latest(directory: Path) -> Found:
    """The last checkpoint whose files are all as they were written, and the damaged ones after it."""
    _put_back(directory)
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
        if isinstance(manifest["format"], int) and manifest["format"] > FORMAT:
            return f"{MANIFEST} is of format {manifest['format']}, this pretune reads up to {FORMAT}: use a newer one"
        if not _is_whole(manifest, text):
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


def is_finite(path: Path) -> bool | None:
    """Whether no tensor of a checkpoint had a NaN or an infinity when it was written; None where it does not say."""
    try:
        text = (path / MANIFEST).read_bytes()
        manifest = json.loads(text)
        return bool(manifest["finite"]) if _is_whole(manifest, text) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def load(path: Path) -> dict[str, Any]:
    """The state that `save` was given, tensors on the CPU, tuples as lists. Verify first (`latest` does)."""
    state = json.loads((path / STATE).read_text("utf-8"))
    tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
    return {key: states.join(value, tensors) for key, value in state.items()}


def set_aside(damage: Damage) -> Path:
    """Renames a damaged checkpoint, so that it is neither loaded nor counted again. Returns its new path."""
    number = 0
    while (aside := damage.path.with_name(f"damaged-{number}-{damage.path.name}")).exists():
        number += 1
    os.rename(damage.path, aside)
    sync(aside.parent)
    return aside


def _write_files(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    skeleton, tensors = states.split(state)
    _write(folder / STATE, json.dumps(skeleton, ensure_ascii=False).encode())
    for part, named in tensors.items():
        save_file(states.standalone(named), folder / f"{part}.safetensors")
        sync(folder / f"{part}.safetensors")
    names = sorted(path.name for path in folder.iterdir())
    files = {name: {"bytes": os.path.getsize(folder / name), "sha256": _sha256(folder / name)} for name in names}
    body = {"format": FORMAT, "step": step, "finite": states.all_finite(tensors), "files": files}
    _write(folder / MANIFEST, _manifest_text(body))
    sync(folder)


def _manifest_text(body: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**body, "sha256": digest}, sort_keys=True, indent=1) + "\n").encode()


def _is_whole(manifest: Mapping[str, Any], text: bytes) -> bool:
    """Whether a manifest's text is what this or an earlier pretune writes for what it says."""
    keys = {1: ("format", "step", "files"), FORMAT: ("format", "step", "finite", "files")}[manifest["format"]]
    return _manifest_text({key: manifest[key] for key in keys}) == text


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
    _delete(discarded)


def _put_back(directory: Path) -> None:
    """A checkpoint that was being replaced when the process was killed gets its name back if the new one has it not."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if (found := _REPLACED.fullmatch(path.name)) and not (final := path.with_name(found[1])).exists():
            os.rename(path, final)
            sync(directory)


def _remove_leftovers(directory: Path) -> None:
    _put_back(directory)
    for path in _leftovers(directory):
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:  # what somebody put where a checkpoint should be
        path.unlink()


def _leftovers(directory: Path) -> Iterator[Path]:
    yield from [path for path in directory.iterdir() if _LEFTOVER.fullmatch(path.name)]
