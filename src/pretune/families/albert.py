"""ALBERT: BERT's body with small embeddings that are mapped, and one block for all layers (Lan et al. 2020).

Section 3.1: factorised embeddings of 128, and every parameter of a layer shared by all layers. base to xxlarge are
published (table 1); smaller sizes are BERT's with such embeddings. As in google-research/albert: weights cut at two
deviations, layer norms with 1e-12, gelu in its tanh form, [CLS] A [SEP] B [SEP], and no dropout (section 4.8 and the
second version of its models; the first one's files say 0.1, and are read so). Files may have several groups of layers,
each with a block of its own, but not several blocks in a group (`inner_group_num`).

The output of the feed-forward part is dropped out, as in Google's code; transformers does not do it. The tokenizer is
SentencePiece's unigram model with 30,000 pieces; what is read is the tokenizer.json beside it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from pretune.core.errors import InputError
from pretune.families.bert import Bert, bert, tokens
from pretune.families.family import HeadSpec, Kind
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import key, rate
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import Attention, FeedForward, HeadTransform, LMHead, TransformerConfig
from pretune.nn.pooling import Pooling

CLASSIFIER_DROPOUT = 0.1
MAX_LAYERS = 1024
"""Layers cost a file nothing here, so it may not ask for as many as it likes."""

KEYS = (
    key("vocab_size", 30_000, "vocab_size"),
    key("embedding_size", 128, "embedding_size"),
    key("hidden_size", 4096, "hidden_size"),
    key("num_hidden_layers", 12, "num_layers"),
    key("num_hidden_groups", 1, "num_groups"),
    key("num_attention_heads", 64, "attention.num_heads"),
    key("intermediate_size", 16_384, "feed_forward.intermediate_size"),
    key("hidden_act", "gelu_new", "feed_forward.activation", "output.transform.activation"),
    key("hidden_dropout_prob", 0.0, "hidden_dropout", "embedding_dropout"),
    key("attention_probs_dropout_prob", 0.0, "attention.dropout"),
    key("max_position_embeddings", 512, "position.max_positions"),
    key("type_vocab_size", 2, "num_segments"),
    key("layer_norm_eps", 1e-12, "norm.eps", "output.transform.norm.eps"),
    key("initializer_range", 0.02, "init.std"),
)

BLOCK = "encoder.albert_layer_groups.{n}.albert_layers.0"
BODY = [
    *tokens("predictions.decoder.weight"),
    *same("body.position.embedding.weight", "embeddings.position_embeddings.weight"),
    *same("body.segment_embedding.weight", "embeddings.token_type_embeddings.weight"),
    *module("body.embedding_norm", "embeddings.LayerNorm"),
    *module("body.embedding_map", "encoder.embedding_hidden_mapping_in"),
    *module("body.layers.{n}.attention.qkv", *(f"{BLOCK}.attention.{part}" for part in ("query", "key", "value"))),
    *module("body.layers.{n}.attention.output", f"{BLOCK}.attention.dense"),
    *module("body.layers.{n}.attention_norm", f"{BLOCK}.attention.LayerNorm"),
    *module("body.layers.{n}.feed_forward.inner", f"{BLOCK}.ffn"),
    *module("body.layers.{n}.feed_forward.output", f"{BLOCK}.ffn_output"),
    *module("body.layers.{n}.feed_forward_norm", f"{BLOCK}.full_layer_layer_norm"),
]
LM = [
    *module("lm.transform.dense", "predictions.dense"),
    *module("lm.transform.norm", "predictions.LayerNorm"),
    *same("lm.decoder.bias", "predictions.bias", "predictions.decoder.bias"),
]


def _shape(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return {
        "num_layers": layers,
        "hidden_size": hidden,
        "attention.num_heads": heads,
        "feed_forward.intermediate_size": 4 * hidden,
    }


class Albert(Bert):
    """The family `albert`. The pooler is BERT's; the head of pairs in transformers' files is "sentence_order"."""

    name = "albert"
    model_type = "albert"
    presets = {
        **{size: {**bert.presets[size], "embedding_size": half} for size, half in (("tiny", 64), ("mini", 128))},
        **{size: bert.presets[size] for size in ("small", "medium")},
        "base": _shape(12, 768, 12),
        "large": _shape(24, 1024, 16),
        "xlarge": _shape(24, 2048, 16),
        "xxlarge": _shape(12, 4096, 64),
    }
    published = {"base": 12_000_000, "large": 18_000_000, "xlarge": 60_000_000, "xxlarge": 235_000_000}
    token_ids = {"pad_token_id": "pad", "bos_token_id": "cls", "eos_token_id": "sep"}
    keys = KEYS
    layout = Layout(
        class_name="Albert",
        prefix="albert.",
        body=Part(tuple(BODY)),
        pooler=Part(tuple(module("body.pooler.dense", "pooler"))),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "sentence_order": (
                Part(tuple(module("sentence_order.classifier", "sop_classifier.classifier")), output=True),
            ),
            **{kind: Bert.layout.heads[kind] for kind in ("sequence", "token", "choice", "answer")},
        },
        architectures={
            **ENCODER_CLASSES,
            "ForPreTraining": ("lm", "sentence_order"),
        },
    )
    refused = {
        **Bert.refused,
        "is_decoder": (False,),
        "inner_group_num": (1,),
        "net_structure_type": (0,),
        "gap_size": (0,),
        "num_memory_blocks": (0,),
        "down_scale_factor": (1,),
    }
    kept = {
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "classifier_dropout_prob": CLASSIFIER_DROPOUT,
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        plain = super().base(vocab_size)
        return replace(
            plain,
            embedding_size=128,
            num_groups=1,
            feed_forward=FeedForward(intermediate_size=3072, activation="gelu_tanh"),
            attention=Attention(num_heads=12),
            output=LMHead(transform=HeadTransform(activation="gelu_tanh", norm=plain.norm)),
            embedding_dropout=0.0,
            hidden_dropout=0.0,
        )

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        dropout = CLASSIFIER_DROPOUT if dropout is None else dropout
        return super().make_head(kind, body, num_labels, seed, pooling, dropout)

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, "classifier_dropout_prob")

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {"classifier_dropout_prob": spec.dropout}

    def _refuse_more_layers(self, hf: Mapping[str, Any], num_tensors: int) -> None:
        """Groups have weights, layers have none of their own."""
        for name, most, why in (
            ("num_hidden_groups", num_tensors, f"the weights are {num_tensors} tensors"),
            ("num_hidden_layers", MAX_LAYERS, f"pretune repeats a block at most {MAX_LAYERS:,} times"),
        ):
            if isinstance(hf.get(name), int) and hf[name] > most:
                raise InputError(f"config.json: {name} is {hf[name]!r:.60}, and {why}")


albert = Albert()
