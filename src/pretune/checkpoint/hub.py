"""Models from the Hugging Face hub: JSON, safetensors and vocabularies are fetched; never code, a pickle on request.

This is the one place of pretune that uses the network, and only for a name that is no directory and no preset.
"""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pretune.core.errors import InputError

WANTED = (
    "config.json",
    "generation_config.json",
    "pretune.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_Pooling/config.json",
    "generator/*.json",
    "generator/model*.safetensors",
)
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")
"""Fetched where the hub has no safetensors and the caller allows pickles."""
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def is_hub_name(source: str) -> bool:
    """Whether a text could be a hub name: `name` or `owner/name`. `runs/model` beside a directory `runs` is a path.

    >>> is_hub_name("answerdotai/ModernBERT-base"), is_hub_name("./runs/model")
    (True, False)
    """
    if _NAME.fullmatch(source) is None or source.startswith((".", "-")):
        return False
    return "/" not in source or not Path(source).parent.exists()


def fetch(name: str, allow_pickle: bool = False) -> Path:
    """The directory of a hub model's files in the local cache, downloaded where it is not there yet.

    allow_pickle: fetch `pytorch_model.bin` too, if there is no safetensors. Raises InputError where there is no
    such model, it is not open, or it is not in the cache and the hub not reachable.
    """
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(WANTED)))
        if allow_pickle and not any(folder.glob("model*.safetensors*")):
            folder = Path(snapshot_download(name, allow_patterns=[*WANTED, *PICKLES]))
        return folder
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name!r} is no directory and no preset, and the hub could not be asked for it: name a directory, or try "
            f"again with a connection ({_first_line(error)})"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(f"{name!r} is no directory and no preset, and the hub says: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
