"""A model's directory in Hugging Face layout: config.json and safetensors, one file or shards with an index.

Pickles (`pytorch_model.bin`) are read only on request, and never where there is safetensors. Python code that lies in
the directory is never read. A link is followed, for the hub's cache is made of links, but only to an ordinary file.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pretune.checkpoint.header import read_header
from pretune.checkpoint.pickled import BIN, BIN_INDEX, read_pickle
from pretune.core.errors import InputError
from pretune.core.strict_json import read_object

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


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
    beside = f"; {others[0]} is not read: a pickle" if others else "; a hub model of pickles needs --allow-pickle"
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


def write_model(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """config.json and model.safetensors into an existing folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})
