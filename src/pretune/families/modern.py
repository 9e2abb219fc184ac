"""ModernBERT's architecture at our sizes: pre-norm, rotary, gated, no biases (Warner et al. 2024, section 2).

A norm over the embeddings (and none before the first attention), one after the last layer; no segments. Published
checkpoints alternate global layers with windows of 64 positions to each side and have two rotary bases; ours are for
texts of up to 1,024 tokens, where every layer is global, with one base of 10,000 as in ModernBERT's own first phase.
Ours start from weights scaled by fan-in (config.json keeps that under `pretune`), theirs from a truncated normal.

transformers drops out the attention's output at `attention_dropout` and the inside of the feed-forward at
`mlp_dropout`; we drop out what both add to the residual at `hidden_dropout`, written as `mlp_dropout`. Evaluation is
equal; training with these rates (0 in all published checkpoints and in ours) is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.encoder import Encoder
from pretune.families.family import HeadSpec, Kind
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import LARGEST, LARGEST_BASE, Key, key, rate, read, size, write
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import (
    Attention,
    FanIn,
    FeedForward,
    HeadTransform,
    LMHead,
    Norm,
    Normal,
    Rotary,
    TransformerConfig,
)
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.initial import initialise
from pretune.nn.pooling import Pooling

KEYS = (
    key("vocab_size", 50_368, "vocab_size"),
    key("hidden_size", 768, "hidden_size"),
    key("num_hidden_layers", 22, "num_layers"),
    key("num_attention_heads", 12, "attention.num_heads"),
    key("intermediate_size", 1152, "feed_forward.intermediate_size"),
    key("hidden_activation", "gelu", "feed_forward.activation"),
    key("norm_eps", 1e-5, "norm.eps", "output.transform.norm.eps"),
    key("norm_bias", False, "norm.bias", "output.transform.norm.bias"),
    key("attention_bias", False, "attention.bias"),
    key("mlp_bias", False, "feed_forward.bias"),
    key("attention_dropout", 0.0, "attention.dropout"),
    key("mlp_dropout", 0.0, "hidden_dropout"),
    key("embedding_dropout", 0.0, "embedding_dropout"),
    key("decoder_bias", True, "output.bias"),
    key("classifier_bias", False, "output.transform.bias"),
    key("classifier_activation", "gelu", "output.transform.activation"),
    key("initializer_range", 0.02, "init.std"),
    key("initializer_cutoff_factor", 2.0, "init.cutoff"),
)
EVERY_N_LAYERS, LOCAL_ATTENTION, GLOBAL_BASE, LOCAL_BASE = 3, 128, 160_000.0, 10_000.0
"""What transformers assumes of a file that does not say: a global layer in three, windows of 128, two rotary bases."""

BODY = [
    *same("body.token_embedding.weight", "embeddings.tok_embeddings.weight", "decoder.weight"),
    *module("body.embedding_norm", "embeddings.norm"),
    *module("body.layers.{n}.attention_norm", "layers.{n}.attn_norm"),
    *module("body.layers.{n}.attention.qkv", "layers.{n}.attn.Wqkv"),
    *module("body.layers.{n}.attention.output", "layers.{n}.attn.Wo"),
    *module("body.layers.{n}.feed_forward_norm", "layers.{n}.mlp_norm"),
    *module("body.layers.{n}.feed_forward.inner", "layers.{n}.mlp.Wi"),
    *module("body.layers.{n}.feed_forward.output", "layers.{n}.mlp.Wo"),
    *module("body.final_norm", "final_norm"),
]


def _transform(kind: str) -> Part:
    """The prediction head: heads of all kinds keep it under one name, so fine-tuning starts from the masked LM's."""
    return Part((*module(f"{kind}.transform.dense", "head.dense"), *module(f"{kind}.transform.norm", "head.norm")))


class Modern(Encoder):
    """The family `modern`. Intermediate sizes are two thirds of BERT's, to the nearest multiple of 64, so that a size
    has about as many parameters as BERT's of that name; base is the published one. Heads of 64.

    transformers has no next-sentence or sentence-order head for ModernBERT: ours is a prediction head and two classes
    at the summary row, kept in the file under `pretune.next_sentence.` (or `pretune.sentence_order.`), which
    transformers reports as unexpected and leaves out.
    """

    name = "modern"
    model_type = "modernbert"
    presets: Mapping[str, Mapping[str, Any]] = {
        size: {
            "num_layers": layers,
            "hidden_size": hidden,
            "attention.num_heads": hidden // 64,
            "feed_forward.intermediate_size": inner,
        }
        for size, layers, hidden, inner in (
            ("tiny", 2, 128, 320),
            ("mini", 4, 256, 704),
            ("small", 4, 512, 1344),
            ("medium", 8, 512, 1344),
            ("base", 22, 768, 1152),
        )
    }
    published: Mapping[str, int] = {"base": 149_000_000}
    token_ids = {
        "pad_token_id": "pad",
        "bos_token_id": "cls",
        "eos_token_id": "sep",
        "cls_token_id": "cls",
        "sep_token_id": "sep",
    }
    keys: Sequence[Key] = KEYS
    older_keys: Sequence[str] = ("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta")
    layout = Layout(
        class_name="ModernBert",
        prefix="model.",
        body=Part(tuple(BODY)),
        heads={
            "lm": (_transform("lm"), Part(tuple(same("lm.decoder.bias", "decoder.bias")), output=True)),
            "sequence": (_transform("sequence"), Part(tuple(module("sequence.classifier", "classifier")), output=True)),
            "token": (_transform("token"), Part(tuple(module("token.classifier", "classifier")), output=True)),
            "choice": (_transform("choice"), Part(tuple(module("choice.classifier", "classifier")), output=True)),
            "answer": (_transform("answer"), Part(tuple(module("answer.classifier", "classifier")), output=True)),
        },
        architectures=ENCODER_CLASSES,
        poolings=("row", "mean"),
    )
    refused: Mapping[str, tuple[Any, ...]] = {
        "position_embedding_type": ("absolute",),
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "rope_scaling": (None,),
        "head_dim": (None,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept = {
        "max_position_embeddings": 1024,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "cls_token_id": None,
        "sep_token_id": None,
        "classifier_pooling": "cls",
        "classifier_dropout": 0.0,
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        norm = Norm(kind="layer", eps=1e-5, bias=False)
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=768,
            num_layers=22,
            position=Rotary(base=10_000.0),
            norm=norm,
            placement="pre",
            feed_forward=FeedForward(intermediate_size=1152, activation="gelu", gated=True, bias=False),
            attention=Attention(num_heads=12, bias=False),
            init=FanIn(),
            output=LMHead(transform=HeadTransform(activation="gelu", bias=False, norm=norm)),
            num_segments=0,
            embedding_norm=True,
            final_norm=True,
        )

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        rotary, windows = _positions(hf)
        base = replace(self.base(vocab_size=1), position=rotary, init=Normal())
        return read(KEYS, base, hf, {"attention.windows": windows})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        return write(KEYS, config) | _write_positions(config)

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        config: TransformerConfig = body.config
        if kind == "lm":
            return MaskedLMHead(body, config.output, config.init, seed)
        head = ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            transform=config.output.transform,
            pooling=pooling or "row",
            dropout=dropout or 0.0,
            seed=seed,
        )
        if isinstance(config.init, Normal):  # a body of transformers: by the rule of its class
            deep = config.init.std * (2 * config.num_layers) ** -0.5
            for part, std in ((head.transform, deep), (head.classifier, config.hidden_size**-0.5)):
                if part is not None:
                    initialise(part, replace(config.init, std=std), seed)
        return head

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        named = hf.get("classifier_pooling", "cls")
        poolings: dict[Any, Pooling] = {"cls": "row", "mean": "mean"}
        if not isinstance(named, str) or named not in poolings:
            raise InputError(f"config.json: classifier_pooling is {named!r:.60}: expected cls or mean")
        return poolings[named], rate(hf, "classifier_dropout") or 0.0

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        pooling = {"classifier_pooling": "mean" if spec.pooling == "mean" else "cls"} if spec.reads_text else {}
        return pooling | {"classifier_dropout": spec.dropout}

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """[CLS] A [SEP] and [CLS] A [SEP] B [SEP], all of one segment."""
        return Template(self.need_special(special_ids), segments_pair=(0, 0, 0, 0, 0))

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return size(kept, "max_position_embeddings", self.kept["max_position_embeddings"])


def _positions(hf: Mapping[str, Any]) -> tuple[Rotary, tuple[int | None, ...] | None]:
    """Rotary bases and windows from the present keys (layer_types, rope_parameters) or from the older ones
    (global_attn_every_n_layers, global_rope_theta, local_rope_theta); where both stand, the present ones count."""
    kinds = hf.get("layer_types")
    if kinds is None:
        every = _number(hf, "global_attn_every_n_layers", EVERY_N_LAYERS)
        num_layers = size(hf, "num_hidden_layers", 22)
        kinds = ["sliding_attention" if layer % every else "full_attention" for layer in range(num_layers)]
    if not isinstance(kinds, list) or not all(kind in ("full_attention", "sliding_attention") for kind in kinds):
        raise InputError(
            f"config.json: layer_types is {kinds!r:.80}: expected full_attention or sliding_attention a layer"
        )
    base = _theta(hf, "full_attention", "global_rope_theta", GLOBAL_BASE)
    local = base if _has_no_local_base(hf) else _theta(hf, "sliding_attention", "local_rope_theta", LOCAL_BASE)
    if "sliding_attention" not in kinds:
        return Rotary(base), None
    half = int(_number(hf, "local_attention", LOCAL_ATTENTION)) // 2
    windows = tuple(half if kind == "sliding_attention" else None for kind in kinds)
    return Rotary(base, None if local == base else local), windows


def _has_no_local_base(hf: Mapping[str, Any]) -> bool:
    """An old file may say `local_rope_theta: null`: the global base everywhere."""
    told = _rope(hf, "sliding_attention")
    return "rope_theta" not in told and hf.get("local_rope_theta", LOCAL_BASE) is None


def _rope(hf: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What rope_parameters says of global or of windowed layers; nothing where the file has none."""
    whole = hf.get("rope_parameters") or {}
    told = (whole.get(kind) or {}) if isinstance(whole, Mapping) else None
    if not isinstance(told, Mapping) or not told.keys() <= {"rope_type", "rope_theta"}:
        raise InputError(f"config.json: rope_parameters is {whole!r:.80}: expected rope_type and rope_theta a kind")
    return told


def _theta(hf: Mapping[str, Any], kind: str, old_key: str, default: float) -> float:
    """The rotary base of global or of windowed layers."""
    told = _rope(hf, kind)
    if told.get("rope_type", "default") != "default":
        raise InputError(f"config.json: rope_parameters.{kind}.rope_type is {told['rope_type']!r}: pretune has default")
    there, name = (told, "rope_theta") if "rope_theta" in told else (hf, old_key)
    return _number(there, name, default, LARGEST_BASE)


def _number(hf: Mapping[str, Any], name: str, default: float, most: float = LARGEST) -> float:
    value = hf.get(name, default)
    if type(value) not in (int, float) or not 0 < value <= most:
        raise InputError(f"config.json: {name} is {value!r:.60}: expected a number above 0, up to {most:,.0f}")
    return float(value)


def _write_positions(config: TransformerConfig) -> dict[str, Any]:
    """layer_types, local_attention and rope_parameters. One width of window at most can be written: the widest is, and
    a body with several is found out when the file is read back."""
    rotary = config.position if isinstance(config.position, Rotary) else Rotary()
    windows = config.attention.windows or (None,) * config.num_layers
    widths = [window for window in windows if window is not None]
    local = rotary.base if rotary.local_base is None else rotary.local_base
    thetas = {"full_attention": rotary.base, "sliding_attention": local}
    return {
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in windows],
        "local_attention": 2 * max(widths, default=LOCAL_ATTENTION // 2),
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in thetas.items()},
    }


modern = Modern()
