"""DistilBERT: BERT with half its layers, without segments and pooler (Sanh et al. 2019, section 3).

Sizes are BERT's with half the layers; base is the published one. The architecture only: it is trained here from scratch
or further, and not by its paper's distillation. Layer norms have 1e-12, which its files do not say.

transformers drops out the output of the feed-forward and not that of the attention; we drop out both at `dropout`.
Evaluation is equal, training is not. A file's dropout for a tagger is that of the body: another one is not kept.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pretune.core.assemble import Template
from pretune.families.bert import bert
from pretune.families.encoder import Encoder
from pretune.families.family import HeadSpec, Kind
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import key, rate, read, write
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import Attention, FeedForward, HeadTransform, Learned, LMHead, Norm, Normal, TransformerConfig
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.pooling import Pooling

TRANSFORM = HeadTransform(activation="relu", bias=True, norm=None)
DROPOUTS: Mapping[Kind, tuple[str, float | None]] = {
    "sequence": ("seq_classif_dropout", 0.2),
    "choice": ("seq_classif_dropout", 0.2),
    "answer": ("qa_dropout", 0.1),
    "token": ("dropout", None),
}
"""A kind's key of config.json, and the default of its dropout; None: the body's."""

KEYS = (
    key("vocab_size", 30_522, "vocab_size"),
    key("dim", 768, "hidden_size"),
    key("n_layers", 6, "num_layers"),
    key("n_heads", 12, "attention.num_heads"),
    key("hidden_dim", 3072, "feed_forward.intermediate_size"),
    key("activation", "gelu", "feed_forward.activation", "output.transform.activation"),
    key("dropout", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_dropout", 0.1, "attention.dropout"),
    key("max_position_embeddings", 512, "position.max_positions"),
    key("initializer_range", 0.02, "init.std"),
)

LAYER = "transformer.layer.{n}"
BODY = [
    *same("body.token_embedding.weight", "embeddings.word_embeddings.weight", "vocab_projector.weight"),
    *same("body.position.embedding.weight", "embeddings.position_embeddings.weight"),
    *module("body.embedding_norm", "embeddings.LayerNorm"),
    *module("body.layers.{n}.attention.qkv", *(f"{LAYER}.attention.{name}_lin" for name in "qkv")),
    *module("body.layers.{n}.attention.output", f"{LAYER}.attention.out_lin"),
    *module("body.layers.{n}.attention_norm", f"{LAYER}.sa_layer_norm"),
    *module("body.layers.{n}.feed_forward.inner", f"{LAYER}.ffn.lin1"),
    *module("body.layers.{n}.feed_forward.output", f"{LAYER}.ffn.lin2"),
    *module("body.layers.{n}.feed_forward_norm", f"{LAYER}.output_layer_norm"),
]
LM = [
    *module("lm.transform.dense", "vocab_transform"),
    *module("lm.transform.norm", "vocab_layer_norm"),
    *same("lm.decoder.bias", "vocab_projector.bias"),
]


def _text_head(kind: Kind) -> tuple[Part, ...]:
    """A head of whole texts: dense, ReLU and the output map at the first row."""
    dense = Part(tuple(module(f"{kind}.transform.dense", "pre_classifier")))
    return dense, Part(tuple(module(f"{kind}.classifier", "classifier")), output=True)


class Distilbert(Encoder):
    """The family `distilbert`. Heads of pairs are ours alone and have a dense layer like the other heads of texts."""

    name = "distilbert"
    model_type = "distilbert"
    presets = {
        size: {**shape, "num_layers": int(shape["num_layers"]) // 2}
        for size, shape in bert.presets.items()
        if size != "large"
    }
    published = {"base": 66_000_000}
    token_ids = {"pad_token_id": "pad"}
    keys = KEYS
    layout = Layout(
        class_name="DistilBert",
        prefix="distilbert.",
        body=Part(tuple(BODY)),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "sequence": _text_head("sequence"),
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "choice": _text_head("choice"),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures=ENCODER_CLASSES,
    )
    refused = {
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "tie_weights_": (True,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept = {"pad_token_id": None, "seq_classif_dropout": 0.2, "qa_dropout": 0.1, "sinusoidal_pos_embds": False}

    def base(self, vocab_size: int) -> TransformerConfig:
        norm = Norm(kind="layer", eps=1e-12, bias=True)
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=768,
            num_layers=6,
            position=Learned(max_positions=512),
            norm=norm,
            placement="post",
            feed_forward=FeedForward(intermediate_size=3072, activation="gelu"),
            attention=Attention(num_heads=12, dropout=0.1),
            init=Normal(std=0.02),
            output=LMHead(transform=HeadTransform(activation="gelu", norm=norm)),
            embedding_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
        )

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        return read(KEYS, self.base(vocab_size=1), hf)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        return write(KEYS, config)

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        config: TransformerConfig = body.config
        if kind == "lm":
            return MaskedLMHead(body, config.output, config.init, seed)
        told = DROPOUTS.get(kind, ("", 0.0))[1]
        default = config.hidden_dropout if told is None else told
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            transform=None if kind in ("token", "answer") else TRANSFORM,
            pooling=pooling or "row",
            dropout=default if dropout is None or kind not in DROPOUTS else dropout,
            seed=seed,
        )

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, DROPOUTS[kind][0]) if kind in DROPOUTS else None

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "token" else {DROPOUTS[spec.kind][0]: spec.dropout}

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """[CLS] A [SEP] and [CLS] A [SEP] B [SEP], all of one segment."""
        return Template(self.need_special(special_ids), segments_pair=(0, 0, 0, 0, 0))

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return config.position.max_positions if isinstance(config.position, Learned) else 0


distilbert = Distilbert()
