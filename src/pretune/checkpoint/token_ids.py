"""Ids of special tokens in config.json and generation_config.json: what they tell of a tokenizer, and written for it.

A tokenizer's own files may leave out what its special tokens are for: those of GPT-2 on the hub name neither beginning
nor end, and config.json does. Then the tokenizer is given the role. The other way round, a tokenizer's ids are written
into both files, and one that it has no role for stays as it was.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pretune.checkpoint.generation import NEVER
from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.family import Family, roles_of
from pretune.tokenizers.tokenizer import Tokenizer


def with_roles_told(tokenizer: Tokenizer, family: Family, hf: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a model's directory, with the roles that only config.json tells.

    An id counts where its piece is a special token. One that would stand around texts from then on counts only where
    tokenizer.json puts it there too: what a model reads is what it reads in transformers.
    """
    for key, roles in roles_of(family).items():
        known = {tokenizer.special_ids.get(role) for role in roles}
        ids = [one for one in several(hf.get(key)) if type(one) is int and 0 <= one < tokenizer.vocab.size]
        number = next((one for one in ids if tokenizer.vocab.is_special_V[one]), None)
        if number is None or number in known or roles[0] in tokenizer.special_ids:
            continue
        found = tokenizer.with_role(roles[0], number)
        before, after = _around(family, tokenizer), _around(family, found)
        if before is None or before == after or number in found.backend.encode("").ids:
            tokenizer = found
    return tokenizer


def _around(family: Family, tokenizer: Tokenizer) -> tuple[Any, Any] | None:
    """What the family puts around one text and two; None where it lacks a token for that."""
    template: Template | None = None
    with suppress(InputError):
        template = family.template(tokenizer.special_ids)
    return None if template is None else (template.single, template.pair)


def for_tokenizer(told: Mapping[str, Any], ids: Mapping[str, int | None]) -> dict[str, Any]:
    """A file's keys for a tokenizer's ids: what it names otherwise is changed, unless it is among several, or the
    tokenizer has none.

    >>> for_tokenizer({"eos_token_id": [2, 5], "pad_token_id": 1}, {"eos_token_id": 2, "pad_token_id": 0})
    {'eos_token_id': [2, 5], 'pad_token_id': 0}
    >>> for_tokenizer({"eos_token_id": 2}, {"eos_token_id": None})
    {'eos_token_id': 2}
    """
    changed = {key: ids[key] for key in told if ids.get(key) is not None and ids[key] not in several(told[key])}
    return {**told, **changed}


def of_another(told: Mapping[str, Any], ids: Mapping[str, int | None]) -> dict[str, Any]:
    """A file's keys for a tokenizer in place of the one it was written for, whose ids mean nothing now.

    >>> of_another({"eos_token_id": [2, 5], "bad_words_ids": [[1]], "num_beams": 4}, {"eos_token_id": None})
    {'eos_token_id': None, 'num_beams': 4}
    """
    return {
        **{key: value for key, value in told.items() if key != NEVER},
        **{key: ids[key] for key in told if key in ids},
    }


def several(value: Any) -> list[Any]:
    """The ids of a key that holds one, several or none."""
    return value if isinstance(value, list) else [] if value is None else [value]
