"""Llama: a decoder with RMSNorm, rotary positions, SwiGLU and grouped heads, without biases (Touvron et al. 2023).

Pre-norm with a norm after the last layer (section 2.2). 7b is Llama 2's published size (Touvron et al. 2023b), 1b, 3b
and 8b are Llama 3's (Grattafiori et al. 2024, table 3, and its releases 3.1 and 3.2), with 8 heads of keys and values,
a rotary base of 500,000 and wavelengths scaled for long texts; 1b and 3b write with their token embeddings. tiny to
base are the house's: GPT-2's with a feed-forward of two thirds its width, and tied.

A token sees itself and what stands before it; a text is read as a whole at its last token. A begin token stands before
each text, as Llama's tokenizers put it, where the tokenizer has one. Weights start from N(0, 0.02²), as transformers'.

Not here: other scalings of the rotary base (linear, dynamic, yarn), and transformers' taggers and answers for Llama;
such files are refused, and these heads stand under our own names.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.encoder import AnyBody, Encoder
from pretune.families.gpt2 import Gpt2
from pretune.families.layout import Layout, Part
from pretune.families.settings import LARGEST, LARGEST_BASE, key, read, size, write
from pretune.families.weights import module, same
from pretune.nn.config import (
    Attention,
    FeedForward,
    Llama3Scaling,
    LMHead,
    Norm,
    Normal,
    Rotary,
    TransformerConfig,
)

KEYS = (
    key("vocab_size", 32_000, "vocab_size"),
    key("hidden_size", 4096, "hidden_size"),
    key("num_hidden_layers", 32, "num_layers"),
    key("num_attention_heads", 32, "attention.num_heads"),
    key("intermediate_size", 11_008, "feed_forward.intermediate_size"),
    key("hidden_act", "silu", "feed_forward.activation"),
    key("rms_norm_eps", 1e-6, "norm.eps"),
    key("attention_bias", False, "attention.bias"),
    key("mlp_bias", False, "feed_forward.bias"),
    key("attention_dropout", 0.0, "attention.dropout"),
    key("initializer_range", 0.02, "init.std"),
    key("tie_word_embeddings", False, "output.tied"),
)
THETA, SCALED = 10_000.0, "llama3"
SCALING = {
    "factor": "factor",
    "low_freq_factor": "low_frequency",
    "high_freq_factor": "high_frequency",
    "original_max_position_embeddings": "original_max_positions",
}
"""Numbers of a scaled base in the files, and ours."""
BODY = [
    *module("body.layers.{n}.attention_norm", "layers.{n}.input_layernorm"),
    *module("body.layers.{n}.attention.qkv", *(f"layers.{{n}}.self_attn.{part}_proj" for part in "qkv")),
    *module("body.layers.{n}.attention.output", "layers.{n}.self_attn.o_proj"),
    *module("body.layers.{n}.feed_forward_norm", "layers.{n}.post_attention_layernorm"),
    *module("body.layers.{n}.feed_forward.inner", "layers.{n}.mlp.gate_proj", "layers.{n}.mlp.up_proj"),
    *module("body.layers.{n}.feed_forward.output", "layers.{n}.mlp.down_proj"),
    *module("body.final_norm", "norm"),
]


@cache
def llama_layout(is_tied: bool) -> Layout:
    """Tied, the output is the body's, which a file may repeat; else it is the head's."""
    output = () if is_tied else tuple(same("lm.decoder.weight", "lm_head.weight"))
    copies = ("lm_head.weight",) if is_tied else ()
    return Layout(
        class_name="Llama",
        prefix="model.",
        body=Part((*same("body.token_embedding.weight", "embed_tokens.weight", *copies), *BODY)),
        heads={
            "lm": (Part(output, output=True),),
            "sequence": (Part(tuple(same("sequence.classifier.weight", "score.weight")), output=True),),
        },
        architectures={"Model": (), "ForCausalLM": ("lm",), "ForSequenceClassification": ("sequence",)},
    )


def _shape(layers: int, hidden: int, heads: int, inner: int, **more: Any) -> dict[str, Any]:
    told = {"num_layers": layers, "hidden_size": hidden, "attention.num_heads": heads}
    return {**told, "feed_forward.intermediate_size": inner, **more}


def _third(factor: float | None, **more: Any) -> dict[str, Any]:
    """What Llama 3 has in all sizes."""
    scaling = None if factor is None else Llama3Scaling(factor)
    shared = {"attention.num_key_value_heads": 8, "norm.eps": 1e-5}
    return {**shared, "position": Rotary(500_000.0, scaling=scaling), **more}


class Llama(Gpt2):
    """The family `llama`."""

    name = "llama"
    model_type = "llama"
    presets = {
        **{
            name: _shape(*numbers, **{"output.tied": True})
            for name, numbers in (
                ("tiny", (2, 128, 2, 320)),
                ("mini", (4, 256, 4, 704)),
                ("small", (4, 512, 8, 1344)),
                ("medium", (8, 512, 8, 1344)),
                ("base", (12, 768, 12, 2048)),
            )
        },
        "1b": _shape(16, 2048, 32, 8192, **_third(32.0, **{"output.tied": True})),
        "3b": _shape(28, 3072, 24, 8192, **_third(32.0, **{"output.tied": True})),
        "7b": _shape(32, 4096, 32, 11_008, **{"norm.eps": 1e-5}),
        "8b": _shape(32, 4096, 32, 14_336, **_third(8.0)),
    }
    published = {"1b": 1_240_000_000, "3b": 3_210_000_000, "7b": 6_700_000_000, "8b": 8_030_000_000}
    keys = KEYS
    older_keys = ("rope_theta", "rope_scaling", "pretraining_tp")
    layout = llama_layout(is_tied=False)
    refused = {
        "partial_rotary_factor": (1.0, 1),
        "is_llama_config": (True,),
        "rope_interleaved": (False,),
        "is_encoder_decoder": (False,),
        "is_decoder": (False, True),
        "add_cross_attention": (False,),
        "chunk_size_feed_forward": (0,),
        "sliding_window": (None,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept = {**Gpt2.kept, "max_position_embeddings": 2048}

    def base(self, vocab_size: int) -> TransformerConfig:
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=4096,
            num_layers=32,
            position=Rotary(THETA),
            norm=Norm(kind="rms", eps=1e-6, bias=False),
            placement="pre",
            feed_forward=FeedForward(intermediate_size=11_008, activation="silu", gated=True, bias=False),
            attention=Attention(num_heads=32, bias=False, causal=True),
            init=Normal(std=0.02),
            output=LMHead(transform=None, bias=False, tied=False),
            embedding_norm=False,
            final_norm=True,
        )

    def layout_of(self, config: TransformerConfig) -> Layout:
        return llama_layout(config.output.tied)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        """`num_key_value_heads` and `head_dim` that are null, or left out, follow from the other sizes."""
        shared = {"num_key_value_heads": "num_key_value_heads", "head_dim": "head_size"}
        more: dict[str, Any] = {
            f"attention.{ours}": None if hf.get(theirs) is None else size(hf, theirs, 1)
            for theirs, ours in shared.items()
        }
        return read(self.keys, self.base(vocab_size=1), hf, more | {"position": _read_rotary(hf)})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        rotary = config.position if isinstance(config.position, Rotary) else Rotary(THETA)
        attention = config.attention
        written = {"num_key_value_heads": attention.num_key_value_heads, "head_dim": attention.head_size}
        return write(self.keys, config) | written | {"rope_parameters": _write_rotary(rotary)}

    def build(self, config: TransformerConfig, seed: int = 0) -> AnyBody:
        return Encoder.build(self, config, seed)

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """<s> A, and <s> A <s> B, read at the last token; nothing around texts where there is no begin token."""
        begin = ("bos",) if "bos" in special_ids else ()
        single, pair = (*begin, 0), (*begin, 0, *begin, 1)
        zeros = (0,) * len(pair)
        return Template(dict(special_ids), single, pair, zeros[: len(single)], zeros, summary=-1)

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return size(kept, "max_position_embeddings", self.kept["max_position_embeddings"])


def _read_rotary(hf: Mapping[str, Any]) -> Rotary:
    """From the present key (rope_parameters) or from the older ones (rope_theta, rope_scaling)."""
    name = "rope_parameters" if hf.get("rope_parameters") is not None else "rope_scaling"
    told = hf.get(name) or {}
    if not isinstance(told, Mapping):
        raise InputError(f"config.json: {name} is {told!r:.80}: expected an object")
    kind = told.get("rope_type", told.get("type", "default"))
    known = {"rope_type", "type", "rope_theta", *(SCALING if kind == SCALED else ())}
    if kind not in ("default", SCALED) or not told.keys() <= known:
        raise InputError(f"config.json: {name} is {dict(told)!r:.160}: pretune computes default and llama3")
    base = _number(told, "rope_theta", hf.get("rope_theta", THETA), LARGEST_BASE)
    if kind == "default":
        return Rotary(base)
    numbers = {ours: _number(told, theirs, None) for theirs, ours in SCALING.items()}
    whole = int(numbers.pop("original_max_positions"))
    return Rotary(base, scaling=Llama3Scaling(**numbers, original_max_positions=whole))


def _write_rotary(rotary: Rotary) -> dict[str, Any]:
    if rotary.scaling is None:
        return {"rope_type": "default", "rope_theta": rotary.base}
    numbers = {theirs: getattr(rotary.scaling, ours) for theirs, ours in SCALING.items()}
    return {"rope_type": SCALED, "rope_theta": rotary.base, **numbers}


def _number(told: Mapping[str, Any], name: str, default: Any, most: float = LARGEST) -> float:
    value = told.get(name, default)
    if type(value) not in (int, float) or not 0 < value <= most:
        raise InputError(f"config.json: {name} is {value!r:.60}: expected a number above 0, up to {most:,.0f}")
    return float(value)


llama = Llama()
