"""Sentinels: the tokens <extra_id_0>, <extra_id_1> ... that stand for spans taken out of a text.

Raffel et al. 2020 ("T5"), section 3.1.4: each span of a text becomes another sentinel, and the target says behind each
what stood there. As in T5's files they are the last ids of the vocabulary, and <extra_id_0> is the very last.
"""

import re

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

_SENTINEL = re.compile(r"▁?<extra_id_(\d+)>")
"""mT5's vocabulary has SentencePiece's ▁ before them."""


def sentinel_ids(backend: Backend) -> tuple[int, ...]:
    """The ids of <extra_id_0>, <extra_id_1> ..., in this order, up to the first that the vocabulary does not have."""
    found: dict[int, int] = {}
    for token, number in backend.get_vocab(with_added_tokens=True).items():
        if match := _SENTINEL.fullmatch(token):
            found[int(match[1])] = number
    ids: list[int] = []
    while len(ids) in found:
        ids.append(found[len(ids)])
    return tuple(ids)


def add_sentinels(backend: Backend, number: int) -> None:
    """Gives a backend so many sentinels, behind all ids it has; in its texts they are special tokens."""
    names = [f"<extra_id_{n}>" for n in reversed(range(number))]
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
