"""ByT5's tokenizer: the bytes of a text, each three more, behind padding, </s> and the unknown token (Xue et al. 2022).

Its directories hold no vocabulary: tokenizer_config.json names the class. Rows from 259 on are <extra_id_0>,
<extra_id_1> ..., as transformers numbers them; the released models were trained with the highest bytes as sentinels
(section 3.2: 258, 257 ...), which no name stands for. Words, for objectives that mask whole ones, are GPT-2's.

Bytes that are no UTF-8 decode to U+FFFD; transformers leaves them out.
"""

import re
from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from pretune.core.errors import InputError
from pretune.tokenizers.pipelines import template_processor

CLASS = "ByT5Tokenizer"
ROLES = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
"""In the order of their ids."""
PRINTED = (range(ord("!"), ord("~") + 1), range(ord("\xa1"), ord("\xac") + 1), range(ord("\xae"), ord("\xff") + 1))
"""Bytes that GPT-2's alphabet shows as the character of that number; the others come behind U+00FF, in order."""
MOST = 1000
_EXTRA = re.compile(r"<extra_id_\d+>")


def byt5_backend(config: Mapping[str, Any]) -> Backend:
    """The tokenizer of a tokenizer_config.json. InputError for a number of extra ids that is none."""
    number = len(set(_EXTRA.findall(str(config)))) or config.get("extra_ids", 125)  # named, or only counted
    if type(number) is not int or not 0 <= number <= MOST:
        raise InputError(f"tokenizer_config.json: extra_ids is {number!r:.60}: expected a whole number up to {MOST}")
    ids = {token: place for place, token in enumerate(ROLES.values())}
    ids |= {character: len(ROLES) + byte for byte, character in enumerate(_characters())}
    backend = Backend(models.BPE(vocab=ids, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    told = {"lstrip": True, "rstrip": True, "normalized": False, "special": True}  # spaces beside them are theirs
    backend.add_special_tokens([AddedToken(token, **told) for token in ROLES.values()])
    extra = [AddedToken(f"<extra_id_{n}>", special=True, normalized=False) for n in range(number)]
    backend.add_special_tokens(extra)
    single, pair = ((0, 0), ("eos", 0)), ((0, 0), ("eos", 0), (1, 0), ("eos", 0))
    backend.post_processor = template_processor(single, pair, ROLES, backend)
    return backend


def _characters() -> list[str]:
    """The character that stands for each byte.

    >>> [_characters()[byte] for byte in (ord("A"), ord(" "), 0xA0, 0xFF)]
    ['A', 'Ġ', 'ł', 'ÿ']
    """
    shown = {byte for numbers in PRINTED for byte in numbers}
    hidden = iter(range(256, 512))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]
