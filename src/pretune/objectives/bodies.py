"""Which bodies an objective can train, and what it asks of the body that is made for it.

An objective says so by two attributes, both optional. streams: ONE, bodies that read one stream (encoders, decoders);
TWO, a decoder beside an encoder; without it, ONE. body_needs: changes to the config of a fresh body of one stream.
"""

from collections.abc import Mapping
from typing import Any

from pretune.core.errors import InputError

ONE, TWO = "one", "two"


def streams_of(objective: Any) -> tuple[str, ...]:
    """Which bodies an objective can train."""
    streams: tuple[str, ...] = getattr(objective, "streams", (ONE,))
    return streams


def body_needs(objective: Any, config: Any) -> Mapping[str, Any]:
    """What an objective asks of the body that is made for it: changes to `config`. A decoder beside an encoder reads
    from left to right by itself."""
    needs: Mapping[str, Any] = getattr(objective, "body_needs", {})
    return {} if _has_decoder(config) else needs


def check_body(objective: Any, config: Any) -> None:
    """InputError for a body of this config that the objective cannot train."""
    two = _has_decoder(config)
    if two and TWO not in streams_of(objective):
        raise InputError(
            "this objective hides tokens of the one text that an encoder reads, and this model has a decoder beside "
            "its encoder: choose one that writes text, as objective.name=text_infilling, span_corruption or causal_lm"
        )
    if not two and ONE not in streams_of(objective):
        raise InputError(
            "this objective writes a text that it has read corrupted, which needs a decoder beside an encoder: take a "
            "recipe of the family bart or t5, or an objective for one stream, as objective.name=prefix_lm or mlm"
        )
    if not two and "attention.prefix" in getattr(objective, "body_needs", {}) and config.attention.causal:
        raise InputError(
            "prefix_lm lets a prefix see itself from both sides, and this model reads everything from left to right: "
            "take an encoder family, as modern, or objective.name=causal_lm"
        )


def _has_decoder(config: Any) -> bool:
    return getattr(config, "decoder", None) is not None
