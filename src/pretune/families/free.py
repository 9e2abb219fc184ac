"""Free: a body of any typed choice, in files of our own; for asking which choices of the block carry over.

A fresh one is `modern`'s body, with its sizes, its template and its prediction head (whose norm is of the body's kind);
then every choice of `TransformerConfig` may change: model.position=learned (sinusoidal, rotary, relative, disentangled,
none; with numbers "model.position={type: learned, max_positions: 128}"), model.norm.kind=rms, model.placement=post (its
layers end with a norm: model.final_norm=false too), model.attention.qk_norm=true, model.feed_forward.gated=false
(it has as many parameters at one and a half times the width), and so on. Narang et al. (2021) ask of T5 which such
changes transfer; `pretune compare RECIPE --body free-tiny --vary KEY=V1,V2` asks it of any objective.

transformers has no class for such a body: what is to be opened there has a family of its own. config.json holds our
dotted names, the weights our own. Not here: a decoder beside the encoder; an output without a transform or a tie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, get_args

from pretune.core.config import called
from pretune.core.errors import InputError, unknown
from pretune.families.family import FREE
from pretune.families.layout import Layout, Part
from pretune.families.modern import Modern, modern
from pretune.families.settings import LARGEST, Key, flat, key, read, size, write
from pretune.families.weights import module, same
from pretune.nn.config import (
    Disentangled,
    FanIn,
    Init,
    Learned,
    NoPosition,
    Normal,
    Placement,
    Position,
    RelativeBuckets,
    Rotary,
    Sinusoidal,
    TransformerConfig,
)

LENGTH = modern.kept["max_position_embeddings"]
TYPES: Mapping[str, Mapping[str, type[Position] | type[Init]]] = {
    "position": {
        "learned": Learned,
        "sinusoidal": Sinusoidal,
        "rotary": Rotary,
        "relative": RelativeBuckets,
        "disentangled": Disentangled,
        "none": NoPosition,
    },
    "init": {"fan-in": FanIn, "normal": Normal},
}
"""Choices that carry numbers, by the names that settings have for them."""
WORDS: Mapping[str, tuple[str, ...]] = {"placement": get_args(Placement), "norm.kind": ("layer", "rms")}
CHOICES = (
    key("vocab_size", 0, "vocab_size"),
    key("hidden_size", 0, "hidden_size"),
    key("num_layers", 0, "num_layers"),
    key("placement", "pre", "placement"),
    key("norm.kind", "layer", "norm.kind", "output.transform.norm.kind"),
    key("norm.eps", 1e-5, "norm.eps", "output.transform.norm.eps"),
    key("norm.bias", False, "norm.bias", "output.transform.norm.bias"),
    key("embedding_norm", True, "embedding_norm"),
    key("final_norm", True, "final_norm"),
    key("num_segments", 0, "num_segments"),
    key("scaled_embedding", False, "scaled_embedding"),
    key("attention.num_heads", 0, "attention.num_heads"),
    key("attention.bias", False, "attention.bias"),
    key("attention.qk_norm", False, "attention.qk_norm"),
    key("attention.scaled", True, "attention.scaled"),
    key("attention.dropout", 0.0, "attention.dropout"),
    key("feed_forward.intermediate_size", 0, "feed_forward.intermediate_size"),
    key("feed_forward.activation", "gelu", "feed_forward.activation"),
    key("feed_forward.gated", True, "feed_forward.gated"),
    key("feed_forward.bias", False, "feed_forward.bias"),
    key("feed_forward.dropout", 0.0, "feed_forward.dropout"),
    key("hidden_dropout", 0.0, "hidden_dropout"),
    key("embedding_dropout", 0.0, "embedding_dropout"),
    key("output.bias", True, "output.bias"),
    key("output.transform.bias", False, "output.transform.bias"),
    key("output.transform.activation", "gelu", "output.transform.activation"),
)
MAY_BE_NONE = ("embedding_size", "num_groups", "attention.num_key_value_heads", "attention.head_size")
WINDOWS = "attention.windows"
LAYER = "layers.{n}."
"""Before the names of a layer's tensors."""


class Free(Modern):
    """The family `free`: `modern`'s sizes, heads and template around a body of any choice."""

    name = "free"
    model_type = FREE
    published: Mapping[str, int] = {}
    keys: Sequence[Key] = CHOICES
    older_keys: Sequence[str] = ()
    layout = Layout(
        class_name="Free",
        prefix="body.",
        body=Part(
            (
                *same("body.token_embedding.weight", "token_embedding.weight"),
                *same("body.segment_embedding.weight", "segment_embedding.weight"),
                *same("body.position.embedding.weight", "position.embedding.weight"),
                *same("body.position.scores.weight", "position.scores.weight"),
                *same("body.position.vectors.weight", "position.vectors.weight"),
                *(
                    rule
                    for name in (
                        "position.norm",
                        "embedding_norm",
                        "embedding_map",
                        "final_norm",
                        *(
                            LAYER + part
                            for part in (
                                "attention_norm",
                                "attention.qkv",
                                "attention.query_norm",
                                "attention.key_norm",
                                "attention.output",
                                "feed_forward_norm",
                                "feed_forward.inner",
                                "feed_forward.output",
                            )
                        ),
                    )
                    for rule in module(f"body.{name}", name)
                ),
            )
        ),
        heads=modern.layout.heads,
        architectures=modern.layout.architectures,
        poolings=modern.layout.poolings,
    )
    refused: Mapping[str, tuple[Any, ...]] = {"quantization_config": (None,)}

    def config(self, size: str | Mapping[str, Any], vocab_size: int, **changes: Any) -> TransformerConfig:
        for name, types in TYPES.items():
            if isinstance(told := changes.get(name), str) or (isinstance(told, Mapping) and "type" in told):
                changes = {**changes, name: _chosen(f"model.{name}", told, types)}
        return super().config(size, vocab_size, **changes)

    def check(self, config: TransformerConfig, may_map: bool = False) -> dict[str, Any]:
        if config.decoder is not None:
            raise InputError("free has one stream: an encoder-decoder has a family of its own (bart, t5, transformer)")
        return super().check(config, may_map)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        for name, words in WORDS.items():
            if hf.get(name) not in (None, *words):
                raise unknown(name, str(hf[name]), words)
        position = _chosen("config.json: position", hf.get("position", "rotary"), TYPES["position"])
        more = {name: None if hf.get(name) is None else size(hf, name, 1) for name in MAY_BE_NONE}
        return read(CHOICES, replace(self.base(vocab_size=1), position=position), hf, {**more, WINDOWS: _windows(hf)})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        attention = config.attention
        windows = None if attention.windows is None else list(attention.windows)
        more = {
            "embedding_size": config.embedding_size,
            "num_groups": config.num_groups,
            "attention.num_key_value_heads": attention.num_key_value_heads,
            "attention.head_size": attention.head_size,
        }
        return write(CHOICES, config) | more | {WINDOWS: windows, "position": _told(config.position)}

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        if isinstance(config.position, Learned | Sinusoidal):
            return config.position.max_positions
        return super().max_length(config, kept)


def _told(position: Position) -> dict[str, Any]:
    """A choice with its numbers, for config.json.

    >>> _told(NoPosition()), _told(Learned(64))
    ({'type': 'none'}, {'type': 'learned', 'max_positions': 64, 'first': 0})
    """
    name = next(name for name, choice in TYPES["position"].items() if choice is type(position))
    return {"type": name, **asdict(position)}


def _chosen(what: str, told: Any, choices: Mapping[str, type]) -> Any:
    """A choice from its name, or from a mapping of its name and numbers. InputError for what is neither.

    >>> _chosen("position", {"type": "rotary", "base": 100.0}, TYPES["position"])
    Rotary(base=100.0, local_base=None, scaling=None)
    """
    told = {"type": told} if isinstance(told, str) else told
    if not isinstance(told, Mapping) or not isinstance(told.get("type"), str):
        raise InputError(f"{what} is {told!r:.80}: expected a type, with its numbers or without")
    if told["type"] not in choices:
        raise unknown(what, told["type"], choices)
    choice = choices[told["type"]]
    given = {name: value for name, value in told.items() if name != "type"}
    numbers = {field.name: field for field in fields(choice)}
    if strange := sorted(given.keys() - numbers):
        raise unknown(f"{what} number", strange[0], numbers)
    if "max_positions" in numbers:
        given = {"max_positions": size({"max_positions": LENGTH, **given}, "max_positions", LENGTH), **given}
    made = called(what, choice, given)
    kept = dict(flat(asdict(made)))
    if different := [name for name, value in flat(given) if name not in kept or kept[name] != value]:
        raise InputError(f"{what}: {different[0]}: not a number that {told['type']} has")
    return made


def _windows(hf: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Half-widths of windows, one a layer; None where all are global."""
    told = hf.get(WINDOWS)
    if told is not None and not (
        isinstance(told, list) and all(each is None or (type(each) is int and 0 < each <= LARGEST) for each in told)
    ):
        raise InputError(f"config.json: {WINDOWS} is {told!r:.80}: expected null, or a width or null a layer")
    return None if told is None else tuple(told)


free = Free()
