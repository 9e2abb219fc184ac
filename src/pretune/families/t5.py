"""T5: text to text, with relative positions in buckets, RMSNorm and no biases (Raffel et al. 2020, section 2.1).

small to 11b are the released sizes of version 1.0 (section 3.7.2): relu, output tied to the token vectors, its rows
divided by the root of the hidden size. small-v1.1 to xxl-v1.1 are those of version 1.1 (google-research/text-to-text-
transfer-transformer, released_checkpoints.md): gated with gelu in its tanh form, an output matrix of its own, rows as
they are. tiny, mini, medium and their v1.1 are the house's. Attention is not scaled; heads have their own size (d_kv);
dropout 0.1 everywhere. Weights start as in mesh_tensorflow: token vectors from N(0, 1), maps by fan-in, queries smaller
by the root of d_kv.

A text is A </s>, two are A </s> B </s>; the decoder begins with the padding token. Texts may have any length: 512 is
what the released models were trained with.

Not here: dropout after the last norm, which transformers has in training; an untied output starts by fan-in (theirs:
N(0, 1)). transformers tags with T5's encoder alone: our tagger reads the decoder's rows, under our own name.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.encoder import AnyBody
from pretune.families.family import HeadSpec, Kind, Loaded
from pretune.families.layout import Layout, Part
from pretune.families.settings import ACTIVATIONS, Key, key, read, size, write
from pretune.families.two_stacks import GENERATION, TEXT_HEAD, TwoStacks
from pretune.families.weights import Rule, module, same
from pretune.nn.config import (
    Attention,
    Decoder,
    FanIn,
    FeedForward,
    LMHead,
    Norm,
    RelativeBuckets,
    TransformerConfig,
)
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.model import Model
from pretune.nn.relative import RelativeScores

KEYS = (
    key("vocab_size", 32_128, "vocab_size"),
    key("d_model", 512, "hidden_size"),
    key("d_kv", 64, "attention.head_size"),
    key("d_ff", 2048, "feed_forward.intermediate_size", "decoder.intermediate_size"),
    key("num_layers", 6, "num_layers"),
    key("num_heads", 8, "attention.num_heads", "decoder.num_heads"),
    key("relative_attention_num_buckets", 32, "position.num_buckets"),
    key("relative_attention_max_distance", 128, "position.max_distance"),
    key("dropout_rate", 0.1, "hidden_dropout", "embedding_dropout", "attention.dropout", "feed_forward.dropout"),
    key("layer_norm_epsilon", 1e-6, "norm.eps"),
)
GATED = "gated-"
SHARED, OUTPUT = "shared.weight", "lm_head.weight"
BEFORE_TEXTS = "transformer."
"""Before the body's names in a file with a head of whole texts, and in no other."""
OF_BYTES = "ByT5Tokenizer"
"""The tokenizer that ByT5's files name."""
UNUSED = ".EncDecAttention.relative_attention_bias.weight"
"""A tensor of old files that transformers does not read either."""


def _stack(side: str, is_gated: bool) -> list[Rule]:
    last = 1 if side == "encoder" else 2
    ours, theirs = f"body.{side}.layers.{{n}}", f"{side}.block.{{n}}.layer"
    attention, feed_forward = f"{theirs}.0.SelfAttention", f"{theirs}.{last}.DenseReluDense"
    inner = [f"{feed_forward}.{part}" for part in (("wi_0", "wi_1") if is_gated else ("wi",))]
    rules = [
        *same(
            f"body.{side}.position.scores.weight",
            f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        ),
        *module(f"{ours}.attention.qkv", *(f"{attention}.{part}" for part in "qkv")),
        *module(f"{ours}.attention.output", f"{attention}.o"),
        *module(f"{ours}.attention_norm", f"{theirs}.0.layer_norm"),
        *module(f"{ours}.feed_forward.inner", *inner),
        *module(f"{ours}.feed_forward.output", f"{feed_forward}.wo"),
        *module(f"{ours}.feed_forward_norm", f"{theirs}.{last}.layer_norm"),
        *module(f"body.{side}.final_norm", f"{side}.final_layer_norm"),
    ]
    if side == "decoder":
        cross = f"{theirs}.1.EncDecAttention"
        rules += [
            *module(f"{ours}.cross.query", f"{cross}.q"),
            *module(f"{ours}.cross.key_value", f"{cross}.k", f"{cross}.v"),
            *module(f"{ours}.cross.output", f"{cross}.o"),
            *module(f"{ours}.cross_norm", f"{theirs}.1.layer_norm"),
        ]
    return rules


@cache
def t5_layout(class_name: str, is_gated: bool, is_tied: bool) -> Layout:
    """Tied, the output is the body's, which a file may repeat; else it is the head's."""
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", *([OUTPUT] if is_tied else []))
    tokens = same("body.token_embedding.weight", SHARED, *copies)
    own = () if is_tied else tuple(same("lm.decoder.weight", OUTPUT))
    return Layout(
        class_name=class_name,
        prefix=BEFORE_TEXTS,
        body=Part((*tokens, *_stack("encoder", is_gated), *_stack("decoder", is_gated))),
        heads={
            "lm": (Part(own, output=True),),
            "sequence": TEXT_HEAD,
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            "Model": (),
            "ForConditionalGeneration": ("lm",),
            "WithLMHeadModel": ("lm",),
            "ForSequenceClassification": ("sequence",),
            "ForQuestionAnswering": ("answer",),
        },
    )


def shape(layers: int, hidden: int, heads: int, inner: int, head_size: int = 64) -> dict[str, Any]:
    told = {"num_layers": layers, "hidden_size": hidden, "attention.num_heads": heads}
    return {**told, "feed_forward.intermediate_size": inner, "attention.head_size": head_size}


V1_1: Mapping[str, Any] = {
    "feed_forward.gated": True,
    "feed_forward.activation": "gelu_tanh",
    "output.tied": False,
    "output.scaled": False,
}
"""What version 1.1 changed of the model."""


class T5(TwoStacks):
    """The family `t5`."""

    name = "t5"
    model_type = "t5"
    class_name = "T5"
    start = "pad"
    starts_as = "pad_token_id"
    may_scale = True
    """Whether transformers' classes divide the output's rows, where a file does not say otherwise."""
    presets: Mapping[str, Mapping[str, Any]] = {
        "tiny": shape(2, 128, 2, 512),
        "mini": shape(2, 256, 4, 1024),
        "small": shape(6, 512, 8, 2048),
        "medium": shape(8, 512, 8, 2048),
        "base": shape(12, 768, 12, 3072),
        "large": shape(24, 1024, 16, 4096),
        "3b": shape(24, 1024, 32, 16_384, 128),
        "11b": shape(24, 1024, 128, 65_536, 128),
        "tiny-v1.1": {**shape(2, 128, 2, 320), **V1_1},
        "mini-v1.1": {**shape(2, 256, 4, 704), **V1_1},
        "small-v1.1": {**shape(8, 512, 6, 1024), **V1_1},
        "base-v1.1": {**shape(12, 768, 12, 2048), **V1_1},
        "large-v1.1": {**shape(24, 1024, 16, 2816), **V1_1},
        "xl-v1.1": {**shape(24, 2048, 32, 5120), **V1_1},
        "xxl-v1.1": {**shape(24, 4096, 64, 10_240), **V1_1},
    }
    published: Mapping[str, int] = {
        "small": 60_000_000,
        "base": 220_000_000,
        "large": 770_000_000,
        "3b": 2_800_000_000,
        "11b": 11_000_000_000,
    }
    token_ids: Mapping[str, str | tuple[str, ...]] = {
        "pad_token_id": "pad",
        "eos_token_id": ("eos", "sep"),
        "decoder_start_token_id": "pad",
    }
    keys: Sequence[Key] = KEYS
    older_keys: Sequence[str] = (
        "num_decoder_layers",
        "feed_forward_proj",
        "dense_act_fn",
        "is_gated_act",
        "tie_word_embeddings",
        "scale_decoder_outputs",
        "initializer_range",
    )
    layout = t5_layout("T5", is_gated=False, is_tied=True)
    refused: Mapping[str, tuple[Any, ...]] = {
        "is_encoder_decoder": (True,),
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "chunk_size_feed_forward": (0,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept: Mapping[str, Any] = {
        **GENERATION,
        "n_positions": 512,
        "classifier_dropout": 0.0,
        "initializer_factor": 1.0,
        "tokenizer_class": None,
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=512,
            num_layers=6,
            position=RelativeBuckets(),
            norm=Norm(kind="rms", eps=1e-6, bias=False),
            placement="pre",
            feed_forward=FeedForward(intermediate_size=2048, activation="relu", bias=False, dropout=0.1),
            attention=Attention(num_heads=8, bias=False, dropout=0.1, head_size=64, scaled=False),
            init=FanIn(embedding_std=1.0),
            output=LMHead(transform=None, bias=False, scaled=self.may_scale),
            embedding_norm=False,
            final_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
            decoder=Decoder(num_layers=6, num_heads=8, intermediate_size=2048),
        )

    def layout_of(self, config: TransformerConfig) -> Layout:
        return t5_layout(self.class_name, config.feed_forward.gated, config.output.tied)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        """A decoder's layers that are null, or left out, are as many as the encoder's."""
        layers = size(hf, "num_layers", 6)
        deep = layers if hf.get("num_decoder_layers") is None else size(hf, "num_decoder_layers", 1)
        gated, activation = _activation(hf)
        tied = _flag(hf, "tie_word_embeddings", True)
        more = {
            "decoder.num_layers": deep,
            "feed_forward.gated": gated,
            "feed_forward.activation": activation,
            "output.tied": tied,
            "output.scaled": _flag(hf, "scale_decoder_outputs", tied) if self.may_scale else False,
        }
        return read(self.keys, self.base(vocab_size=1), hf, more)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        """transformers takes from `tie_word_embeddings` whether rows are divided; the other key only says more."""
        gated, activation = config.feed_forward.gated, config.feed_forward.activation
        name = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation)
        name = "gelu" if gated and activation == "gelu_tanh" else name
        layers = 0 if config.decoder is None else config.decoder.num_layers
        tied, scaled = config.output.tied, config.output.scaled
        told = {
            "num_decoder_layers": layers,
            "feed_forward_proj": f"{GATED if gated else ''}{name}",
            "tie_word_embeddings": tied,
            "is_encoder_decoder": True,
        }
        more = {"scale_decoder_outputs": scaled} if self.may_scale and tied != scaled else {}
        return write(self.keys, config) | told | more

    def build(self, config: TransformerConfig, seed: int = 0) -> AnyBody:
        body = super().build(config, seed)
        if isinstance(config.init, FanIn) and isinstance(body, EncoderDecoder):
            shrink(body)
        return body

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """An output matrix that is another than the token vectors' is one of its own, whatever config.json says:
        transformers writes tie_word_embeddings: true with it since version 5."""
        weights = {name: value for name, value in weights.items() if not name.endswith(UNUSED)}
        tokens, output = weights.get(SHARED), weights.get(OUTPUT)
        if tokens is not None and output is not None and not torch.equal(tokens, output):
            scaled = _flag(hf, "scale_decoder_outputs", _flag(hf, "tie_word_embeddings", True))
            hf = {**hf, "tie_word_embeddings": False, "scale_decoder_outputs": scaled}
        return super().from_hf(hf, weights, heads, seed)

    def _weights(self, layout: Layout, model: Model, native: Sequence[Kind], prefix: str) -> dict[str, Tensor]:
        return super()._weights(layout, model, native, BEFORE_TEXTS if "sequence" in native else "")

    def reads(self, hf: Mapping[str, Any]) -> bool:
        return super().reads(hf) and hf.get("tokenizer_class") != OF_BYTES

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """A </s> and A </s> B </s>; the decoder begins with padding."""
        end = "eos" if "eos" in special_ids else "sep"
        needed = self.need_special(special_ids, (end, "pad"))
        pair = (0, end, 1, end)
        return Template(needed, (0, end), pair, (0, 0), (0,) * len(pair), summary=-1, start=self.start)

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return size(kept, "n_positions", self.kept["n_positions"])


@torch.no_grad()
def shrink(body: EncoderDecoder) -> None:
    """Divides the maps of queries by the root of the head size, and makes the scores of positions as small as maps."""
    for stack in (body.encoder, body.decoder):
        rows = stack.config.attention.num_heads * stack.config.head_size
        for block in stack._blocks():
            block.attention.qkv.weight[:rows].mul_(stack.config.head_size**-0.5)
            if block.cross is not None:
                block.cross.query.weight.mul_(stack.config.head_size**-0.5)
        if isinstance(stack.position, RelativeScores):
            stack.position.scores.weight.mul_(body.config.hidden_size**-0.5)


def _activation(hf: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the feed-forward is gated, and its activation: "gated-gelu" is the tanh form, as in transformers."""
    told = hf.get("feed_forward_proj", "relu")
    name = told.removeprefix(GATED) if isinstance(told, str) else None
    gated = name != told
    if name not in ACTIVATIONS:
        raise InputError(f"config.json: feed_forward_proj is {told!r:.60}: pretune computes {', '.join(ACTIVATIONS)}")
    name = "gelu_new" if gated and name == "gelu" else name
    if hf.get("dense_act_fn", name) != name or hf.get("is_gated_act", gated) != gated:
        raise InputError(
            f"config.json: feed_forward_proj is {told!r:.60}, and dense_act_fn or is_gated_act says otherwise"
        )
    return gated, ACTIVATIONS[name]


def _flag(hf: Mapping[str, Any], name: str, default: bool) -> bool:
    value = hf.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"config.json: {name} is {value!r:.60}: expected true or false")
    return value


t5 = T5()
