"""How many parameters a model has, exactly, beside the figures its paper gives.

Counted on the model itself, made on the meta device, which allocates nothing. A decoder tied to the embeddings counts
once.
"""

from collections.abc import Sequence
from typing import Any

import torch

from pretune.families.family import Family, HeadSpec, open_family
from pretune.nn.model import Model

PRETRAINING = (HeadSpec("lm"), HeadSpec("next_sentence"))


def count_parameters(
    family: str | Family,
    size: str | dict[str, Any],
    vocab_size: int,
    heads: Sequence[HeadSpec] = (),
    *,
    pooler: bool = False,
) -> int:
    """Parameters of a size with a vocabulary and heads. pooler: count BERT's pooler though no head reads it.

    >>> count_parameters("bert", "base", 30_522, pooler=True)
    109482240
    >>> count_parameters("bert", "base", 30_522, PRETRAINING)
    110106428
    """
    chosen = open_family(family) if isinstance(family, str) else family
    with torch.device("meta"):
        body = chosen.build(chosen.config(size, vocab_size))
        if pooler:
            chosen.pooler_of(body)
        model = Model(body, {spec.kind: chosen.head_of(spec, body) for spec in heads})
    return sum(parameter.numel() for parameter in model.parameters())


def table(
    family: str, vocab_size: int, heads: Sequence[HeadSpec] = (HeadSpec("lm"),)
) -> list[tuple[str, int, int | None]]:
    """(size, exact count, published count or None) of every preset.

    Published counts are rounded and were taken with the published vocabulary (BERT: 30,522 pieces).
    """
    chosen = open_family(family)
    return [
        (size, count_parameters(chosen, size, vocab_size, heads), chosen.published.get(size)) for size in chosen.presets
    ]
