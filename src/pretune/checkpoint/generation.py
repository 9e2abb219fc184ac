"""generation_config.json: how transformers' `generate` writes with a model by default, kept from reading to writing.

transformers takes this file's word before config.json's, so the ids that a text begins and ends with, and those that it
never has, are taken from it here too. Its other settings (beams, lengths, penalties) are carried along; pretune's
`generate` has defaults of its own. A model without such a file gets none: config.json names the ids, and transformers
reads them there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretune.core.strict_json import read_object

GENERATION = "generation_config.json"
NEVER = "bad_words_ids"
"""Sequences of ids that are not written."""
IDS = ("eos_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", NEVER)


def read_generation(folder: Path) -> dict[str, Any] | None:
    """What the file of a model's directory says; None where there is none."""
    path = folder / GENERATION
    return read_object(path, "fetch it again or delete it") if path.exists() else None


def with_ids(hf: Mapping[str, Any], told: Mapping[str, Any] | None) -> dict[str, Any]:
    """config.json with the ids of texts' ends that the file names, and those that are never written.

    >>> with_ids({"eos_token_id": 2, "d_model": 8}, {"eos_token_id": [2, 5], "num_beams": 4})
    {'eos_token_id': [2, 5], 'd_model': 8}
    """
    return {**hf, **{key: told[key] for key in IDS if told is not None and key in told}}
