"""BERT: post-norm, learned positions, two segments (Devlin et al. 2019; the small sizes: Turc et al. 2019).

Where the paper is silent we follow Google's code (google-research/bert, modeling.py): layer norms with 1e-12, weights
from a normal distribution with deviation 0.02 cut at two deviations (transformers does not cut; heads of tasks: see
`start_of`). Gelu is the one by erf, as in the first release and in transformers; Google's code has since taken its tanh
form. Cased or uncased is the tokenizer's matter: its files record `do_lower_case`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.randomness import derive_seed
from pretune.families.encoder import Encoder
from pretune.families.family import PRETRAINING, HeadSpec, Kind
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import Key, key, rate, read, write
from pretune.families.weights import Rule, module, same
from pretune.nn.body import Body
from pretune.nn.config import (
    Attention,
    FeedForward,
    HeadTransform,
    Init,
    Learned,
    LMHead,
    Norm,
    Normal,
    TransformerConfig,
)
from pretune.nn.heads import ClassificationHead, MaskedLMHead, Transform
from pretune.nn.initial import initialise
from pretune.nn.model import Model
from pretune.nn.pooling import Pooling

POOLER = HeadTransform(activation="tanh", bias=True, norm=None)

KEYS = (
    key("vocab_size", 30_522, "vocab_size"),
    key("hidden_size", 768, "hidden_size"),
    key("num_hidden_layers", 12, "num_layers"),
    key("num_attention_heads", 12, "attention.num_heads"),
    key("intermediate_size", 3072, "feed_forward.intermediate_size"),
    key("hidden_act", "gelu", "feed_forward.activation", "output.transform.activation"),
    key("hidden_dropout_prob", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_probs_dropout_prob", 0.1, "attention.dropout"),
    key("max_position_embeddings", 512, "position.max_positions"),
    key("type_vocab_size", 2, "num_segments"),
    key("layer_norm_eps", 1e-12, "norm.eps", "output.transform.norm.eps"),
    key("initializer_range", 0.02, "init.std"),
    key("is_decoder", False, "attention.causal"),
)

BODY = [
    *same("body.position.embedding.weight", "embeddings.position_embeddings.weight"),
    *same("body.segment_embedding.weight", "embeddings.token_type_embeddings.weight"),
    *module("body.embedding_norm", "embeddings.LayerNorm"),
    *module(
        "body.layers.{n}.attention.qkv",
        "encoder.layer.{n}.attention.self.query",
        "encoder.layer.{n}.attention.self.key",
        "encoder.layer.{n}.attention.self.value",
    ),
    *module("body.layers.{n}.attention.output", "encoder.layer.{n}.attention.output.dense"),
    *module("body.layers.{n}.attention_norm", "encoder.layer.{n}.attention.output.LayerNorm"),
    *module("body.layers.{n}.feed_forward.inner", "encoder.layer.{n}.intermediate.dense"),
    *module("body.layers.{n}.feed_forward.output", "encoder.layer.{n}.output.dense"),
    *module("body.layers.{n}.feed_forward_norm", "encoder.layer.{n}.output.LayerNorm"),
]

LM = [
    *module("lm.transform.dense", "cls.predictions.transform.dense"),
    *module("lm.transform.norm", "cls.predictions.transform.LayerNorm"),
    *same("lm.decoder.bias", "cls.predictions.bias", "cls.predictions.decoder.bias"),
]


def tokens(*copies: str) -> list[Rule]:
    """The token embedding; copies: as a file may repeat it as a language model's output."""
    return same("body.token_embedding.weight", "embeddings.word_embeddings.weight", *copies)


def start_of(kind: Kind, init: Init) -> Init:
    """How a fresh head's maps are drawn: those of tasks as transformers draws them, not cut, so that fine-tuning begins
    alike. Cut at two deviations, as in Google's code, a normal distribution is 12 % narrower."""
    return init if kind in PRETRAINING or not isinstance(init, Normal) else replace(init, cutoff=None)


class Bert(Encoder):
    """The family `bert`.

    The pooler (dense, tanh) belongs to the body as `body.pooler`, attached when a head first needs it or a file has it:
    heads of pairs ("next_sentence", "sentence_order"), "sequence" and "choice" share it, as in BERT's files. No
    gradients while no head reads it. Heads that pool all rows have a layer like it of their own; transformers has no
    class for them.
    """

    name = "bert"
    model_type = "bert"
    presets = {
        size: {
            "num_layers": layers,
            "hidden_size": hidden,
            "attention.num_heads": hidden // 64,
            "feed_forward.intermediate_size": 4 * hidden,
        }
        for size, layers, hidden in (
            ("tiny", 2, 128),
            ("mini", 4, 256),
            ("small", 4, 512),
            ("medium", 8, 512),
            ("base", 12, 768),
            ("large", 24, 1024),
        )
    }
    published = {
        "tiny": 4_400_000,
        "mini": 11_300_000,
        "small": 29_100_000,
        "medium": 41_700_000,
        "base": 110_000_000,
        "large": 340_000_000,
    }
    token_ids: Mapping[str, str | tuple[str, ...]] = {"pad_token_id": "pad"}
    keys: Sequence[Key] = KEYS
    layout = Layout(
        class_name="Bert",
        prefix="bert.",
        body=Part((*tokens("cls.predictions.decoder.weight"), *BODY)),
        pooler=Part(tuple(module("body.pooler.dense", "pooler.dense"))),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "next_sentence": (Part(tuple(module("next_sentence.classifier", "cls.seq_relationship")), output=True),),
            "sequence": (Part(tuple(module("sequence.classifier", "classifier")), output=True),),
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "choice": (Part(tuple(module("choice.classifier", "classifier")), output=True),),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            **ENCODER_CLASSES,
            "ForPreTraining": ("lm", "next_sentence"),
            "LMHeadModel": ("lm",),
            "ForNextSentencePrediction": ("next_sentence",),
        },
    )
    refused = {
        "position_embedding_type": ("absolute",),
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept: Mapping[str, Any] = {"pad_token_id": None, "classifier_dropout": None}
    causal_class = "LMHeadModel"
    """The end of the name of transformers' class for a language model that reads from left to right."""

    def base(self, vocab_size: int) -> TransformerConfig:
        norm = Norm(kind="layer", eps=1e-12, bias=True)
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=768,
            num_layers=12,
            position=Learned(max_positions=512),
            norm=norm,
            placement="post",
            feed_forward=FeedForward(intermediate_size=3072, activation="gelu"),
            attention=Attention(num_heads=12, dropout=0.1),
            init=Normal(std=0.02, cutoff=2.0),
            output=LMHead(transform=HeadTransform(activation="gelu", norm=norm)),
            num_segments=2,
            embedding_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
        )

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        return read(self.keys, self.base(vocab_size=1), hf)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        return write(self.keys, config)

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A causal body's language model is of a class of its own in transformers (BertLMHeadModel)."""
        hf, weights = super().to_hf(model, specs, kept)
        if hf.get("is_decoder") and hf["architectures"] == [f"{self.layout.class_name}ForMaskedLM"]:
            hf["architectures"] = [self.layout.class_name + self.causal_class]
        return hf, weights

    def pooler_of(self, body: Body, seed: int = 0) -> nn.Module:
        if not self.has_pooler:
            return super().pooler_of(body, seed)
        if not hasattr(body, "pooler"):
            pooler = Transform(body.config.hidden_size, POOLER)
            initialise(pooler, body.config.init, derive_seed(seed, "pooler"))
            body.pooler = pooler.to(body.device)
        return body.pooler  # type: ignore[return-value]

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        config: TransformerConfig = body.config
        if kind == "lm":
            return MaskedLMHead(body, config.output, config.init, seed)
        pools = pooling not in (None, "row")
        rate = config.hidden_dropout if dropout is None else dropout
        head = ClassificationHead(
            config.hidden_size,
            num_labels,
            start_of(kind, config.init),
            transform=POOLER if pools else None,
            pooling=pooling or "row",
            dropout=0.0 if kind in (*PRETRAINING, "answer") else rate,
            seed=seed,
        )
        if kind not in ("token", "answer") and not pools:
            head.transform = self.pooler_of(body, seed).requires_grad_(True)  # type: ignore[assignment]
        return head

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, "classifier_dropout")

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {"classifier_dropout": spec.dropout}

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """[CLS] A [SEP], [CLS] A [SEP] B [SEP], segment 1 after the first [SEP] (Devlin et al. 2019, section 3)."""
        return Template(self.need_special(special_ids))

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return config.position.max_positions if isinstance(config.position, Learned) else 0


bert = Bert()
