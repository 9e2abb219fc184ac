"""A model's directory in Hugging Face layout: config.json and safetensors, one file or shards with an index.

Written whole or not at all: into a folder beside the final name, every file synced, then renamed. Pickles
(`pytorch_model.bin`) are read only on request, and never where there is safetensors. Python code that lies in the
directory is never read. A link is followed, for the hub's cache is made of links, but only to an ordinary file.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pretune.checkpoint.header import read_header
from pretune.checkpoint.pickled import BIN, BIN_INDEX, read_pickle
from pretune.checkpoint.store import sync
from pretune.core.errors import InputError, RunError
from pretune.core.strict_json import read_object

CONFIG, WEIGHTS, INDEX, MANIFEST = "config.json", "model.safetensors", "model.safetensors.index.json", "pretune.json"
WRITTEN = {CONFIG, WEIGHTS, MANIFEST, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. InputError where it is missing or something else."""
    if not path.exists():
        raise InputError(f"{path}: missing: is {path.parent} a model's directory?")
    return read_object(path)


def read_weights(folder: Path, allow_pickle: bool = False) -> dict[str, Tensor]:
    """Every tensor of model.safetensors, or of the shards its index names. InputError names the file that is wrong.

    allow_pickle: where there is no safetensors, read pytorch_model.bin or its shards (see `pickled.py`).
    """
    if (folder / WEIGHTS).is_file():
        return _read_file(folder / WEIGHTS)
    if (folder / INDEX).is_file():
        return _read_shards(folder, INDEX, _read_file)
    pickles = [name for name in (BIN, BIN_INDEX) if (folder / name).is_file()]
    if allow_pickle and pickles:
        return read_pickle(folder / BIN) if pickles[0] == BIN else _read_shards(folder, BIN_INDEX, read_pickle)
    if pickles:
        raise InputError(
            f"{folder}: no {WEIGHTS}, only {pickles[0]}, a pickle, which can be made to run code: better have it as "
            f"safetensors (its maker's, or transformers: model.save_pretrained); if you trust who made it, say "
            f"--allow-pickle (Python: allow_pickle=True), which reads tensors from it and nothing else"
        )
    others = sorted(path.name for path in folder.glob("*.bin"))
    beside = f"; {others[0]} is not read: a pickle" if others else ""
    raise InputError(f"{folder}: no weights here: looked for {WEIGHTS} and {INDEX}{beside}")


def _read_shards(folder: Path, index: str, read: Callable[[Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    placed = read_json(folder / index).get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(name, str) for name in placed.values()):
        raise InputError(f"{folder / index}: no weight_map of names to files")
    found: dict[str, Tensor] = {}
    for name in sorted(set(placed.values())):
        if Path(name).name != name or "\0" in name:
            raise InputError(f"{folder / index}: {name!r:.80} is not a file of this directory")
        shard = read(folder / name)
        expected = {tensor for tensor, place in placed.items() if place == name}
        if different := sorted(expected ^ shard.keys()):
            raise InputError(f"{folder / name}: does not hold what {index} says: {', '.join(different[:4]):.200}")
        found |= shard
    return found


def _read_file(path: Path) -> dict[str, Tensor]:
    names = read_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}): fetch or write it again") from error


def write_model(
    folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor], manifest: Mapping[str, Any]
) -> None:
    """config.json, model.safetensors and pretune.json into an existing folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


def replace_folder(final: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a folder beside `final`, syncs what it wrote, and gives the folder its final name.

    A model pretune wrote there before is replaced; until then it stays as it is. Raises InputError where `final` holds
    anything else, and RunError when the disk refuses.
    """
    restore(final)
    _refuse_strangers(final)
    unfinished, discarded = _beside(final, "unfinished"), _beside(final, "discarded")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)  # of a save that was killed
        unfinished.mkdir()
        write(unfinished)
        for path in (*unfinished.iterdir(), unfinished):
            sync(path)
        if final.exists():
            os.rename(final, discarded)
        os.rename(unfinished, final)
        sync(final.parent)
    except OSError as error:
        raise RunError(f"{final} could not be written: {error}; nothing there was changed") from error
    finally:
        restore(final)
        for leftover in (unfinished, discarded):
            shutil.rmtree(leftover, ignore_errors=True)


def restore(final: Path) -> None:
    """Puts the earlier model back where a save was killed just before the new one got its name."""
    if not final.exists() and _beside(final, "discarded").is_dir():
        os.rename(_beside(final, "discarded"), final)


def _beside(final: Path, what: str) -> Path:
    return final.with_name(f".{what}-{final.name}")


def _refuse_strangers(final: Path) -> None:
    if not final.exists():
        return
    if not final.is_dir():
        raise InputError(f"{final} is a file: name a directory")
    there = {path.name for path in final.iterdir()}
    if there and (MANIFEST not in there or there - WRITTEN):
        stray = sorted(there - WRITTEN or there)
        raise InputError(f"{final} holds {', '.join(stray[:3])}, which saving would delete: choose another directory")
