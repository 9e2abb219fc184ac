"""Models from the Hugging Face hub: only JSON, safetensors and vocabularies are fetched, never a pickle, never code."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pretune.core.errors import InputError

WANTED = (
    "config.json",
    "pretune.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
)
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def is_hub_name(source: str) -> bool:
    """Whether a text could be a hub name: `name` or `owner/name`.

    >>> is_hub_name("answerdotai/ModernBERT-base"), is_hub_name("./runs/model")
    (True, False)
    """
    return _NAME.fullmatch(source) is not None and not source.startswith((".", "-"))


def fetch(name: str) -> Path:
    """The directory of a hub model's files in the local cache, downloaded where it is not there yet.

    Raises InputError where there is no such model, it is not open, or it is not in the cache and the hub not reachable.
    """
    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name!r} is no directory and no preset, and the hub could not be asked for it: name a directory, or try "
            f"again with a connection ({_first_line(error)})"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(f"{name!r} is no directory and no preset, and the hub says: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
