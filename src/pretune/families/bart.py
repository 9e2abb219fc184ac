"""BART: BERT's encoder and GPT's decoder as one model that reconstructs a damaged text (Lewis et al. 2020, section 2).

Post-norm with a norm over the embeddings, gelu, learned positions of each stack's own, one matrix of token vectors for
both stacks and the output. base (6 + 6 layers) and large (12 + 12) are the published sizes; tiny to medium are the
house's, half of BERT's layers in each stack (tiny: 2 + 2). Weights from N(0, 0.02²), no pooler; dropout 0.1 everywhere,
as in the released files. The decoder begins with </s>, as fairseq trained it; a text is <s> A </s>, two are
<s> A </s></s> B </s>, and what reads a text as a whole reads the decoder's row of the last </s>.

The output has no bias; a file's `final_logits_bias` is read where it is not all zero, and written so.
LayerDrop in training is not computed (0 in all released files). transformers has no taggers and no choices between
texts for BART: these heads stand under our own names. BartForCausalLM, a decoder alone, is not read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec, Loaded
from pretune.families.layout import Layout, Part
from pretune.families.settings import Key, key, read, write
from pretune.families.two_stacks import GENERATION, TEXT_HEAD, TwoStacks, fairseq_layers
from pretune.families.weights import module, same
from pretune.nn.config import (
    Attention,
    Decoder,
    FeedForward,
    Learned,
    LMHead,
    Norm,
    Normal,
    TransformerConfig,
)
from pretune.nn.model import Model

EPS = 1e-5
"""Of the norms: fairseq's, which the files do not say."""
FIRST = 2
"""Rows of the table of positions that no token has."""
BIAS = "final_logits_bias"
SIZES = (
    key("d_model", 1024, "hidden_size"),
    key("encoder_layers", 12, "num_layers"),
    key("encoder_attention_heads", 16, "attention.num_heads"),
    key("encoder_ffn_dim", 4096, "feed_forward.intermediate_size"),
    key("decoder_layers", 12, "decoder.num_layers"),
    key("decoder_attention_heads", 16, "decoder.num_heads"),
    key("decoder_ffn_dim", 4096, "decoder.intermediate_size"),
    key("activation_function", "gelu", "feed_forward.activation"),
    key("dropout", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_dropout", 0.0, "attention.dropout"),
    key("activation_dropout", 0.0, "feed_forward.dropout"),
    key("init_std", 0.02, "init.std"),
    key("scale_embedding", False, "scaled_embedding"),
    key("max_position_embeddings", 1024, "position.max_positions"),
)
TOKENS = same(
    "body.token_embedding.weight",
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "lm_head.weight",
)
STACKS = [
    rule
    for side in ("encoder", "decoder")
    for rule in (
        *same(f"body.{side}.position.embedding.weight", f"{side}.embed_positions.weight"),
        *module(f"body.{side}.embedding_norm", f"{side}.layernorm_embedding"),
        *fairseq_layers(side),
    )
]


def output(has_bias: bool) -> tuple[Part, ...]:
    """The language model's own tensors: a bias at most."""
    return (Part(tuple(same("lm.decoder.bias", BIAS)) if has_bias else (), output=True),)


@cache
def bart_layout(has_bias: bool) -> Layout:
    return Layout(
        class_name="Bart",
        prefix="model.",
        body=Part((*TOKENS, *STACKS)),
        heads={
            "lm": output(has_bias),
            "sequence": TEXT_HEAD,
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            "Model": (),
            "ForConditionalGeneration": ("lm",),
            "ForSequenceClassification": ("sequence",),
            "ForQuestionAnswering": ("answer",),
        },
    )


def shape(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    told = {"num_layers": layers, "hidden_size": hidden, "attention.num_heads": heads}
    return {**told, "feed_forward.intermediate_size": 4 * hidden}


class Bart(TwoStacks):
    """The family `bart`. The language model is all the body's, but for a bias that few files have."""

    name = "bart"
    model_type = "bart"
    start = "sep"
    starts_as = "eos_token_id"
    presets: Mapping[str, Mapping[str, Any]] = {
        "tiny": shape(2, 128, 2),
        "mini": shape(2, 256, 4),
        "small": shape(2, 512, 8),
        "medium": shape(4, 512, 8),
        "base": shape(6, 768, 12),
        "large": shape(12, 1024, 16),
    }
    published: Mapping[str, int] = {"base": 140_000_000, "large": 406_000_000}
    token_ids: Mapping[str, str | tuple[str, ...]] = {
        "pad_token_id": "pad",
        "bos_token_id": "cls",
        "eos_token_id": "sep",
        "decoder_start_token_id": "sep",
    }
    keys: Sequence[Key] = (key("vocab_size", 50_265, "vocab_size"), *SIZES)
    older_keys: Sequence[str] = (
        "num_hidden_layers",
        "classif_dropout",
        "extra_pos_embeddings",
        "force_bos_token_to_be_generated",
        "add_bias_logits",
    )
    layout = bart_layout(has_bias=False)
    refused: Mapping[str, tuple[Any, ...]] = {
        "is_encoder_decoder": (True,),
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "normalize_before": (False,),
        "normalize_embedding": (True,),
        "add_final_layer_norm": (False,),
        "static_position_embeddings": (False,),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept: Mapping[str, Any] = {
        **GENERATION,
        "classifier_dropout": 0.0,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=1024,
            num_layers=12,
            position=Learned(max_positions=1024, first=FIRST),
            norm=Norm(kind="layer", eps=EPS, bias=True),
            placement="post",
            feed_forward=FeedForward(intermediate_size=4096, activation="gelu", dropout=0.1),
            attention=Attention(num_heads=16, dropout=0.1),
            init=Normal(std=0.02),
            output=LMHead(transform=None, bias=False),
            embedding_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
            decoder=Decoder(num_layers=12, num_heads=16, intermediate_size=4096),
        )

    def layout_of(self, config: TransformerConfig) -> Layout:
        return bart_layout(config.output.bias)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        base = replace(self.base(vocab_size=1), init=Normal())
        return read(self.keys, base, hf, {"output.bias": _has_bias(hf)})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        told = {"pretune": {"output_bias": True}} if config.output.bias else {}
        return write(self.keys, config) | {"is_encoder_decoder": True} | told

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """The output's bias is read as it is stored, [1, V]; one that is all zero is none."""
        if (bias := weights.get(BIAS)) is not None:
            kept = {name: value for name, value in weights.items() if name != BIAS}
            has_bias = bool(bias.any()) or _has_bias(hf)
            ours = hf.get("pretune")
            hf = {**hf, "pretune": {**(ours if isinstance(ours, Mapping) else {}), "output_bias": has_bias}}
            weights = kept | ({BIAS: bias.flatten()} if has_bias else {})
        return super().from_hf(hf, weights, heads, seed)

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        hf, weights = super().to_hf(model, specs, kept)
        return hf, weights | ({BIAS: weights[BIAS][None]} if BIAS in weights else {})

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """<s> A </s> and <s> A </s></s> B </s>; the decoder begins with </s>."""
        parts = ("cls", 0, "sep", "sep", 1, "sep")
        needed = self.need_special(special_ids)
        return Template(needed, pair=parts, segments_pair=(0,) * len(parts), summary=-1, start=self.start)

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return getattr(config.position, "max_positions", 0)


def _has_bias(hf: Mapping[str, Any]) -> bool:
    ours = hf.get("pretune")
    told = ours.get("output_bias", False) if isinstance(ours, Mapping) else False
    if not isinstance(told, bool):
        raise InputError(f"config.json: pretune.output_bias is {told!r:.60}: expected true or false")
    return told


bart = Bart()
