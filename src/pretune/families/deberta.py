"""DeBERTa, versions 2 and 3: contents meet the vectors of distances (He et al. 2021; version 3: He et al. 2023).

Post-norm as BERT, without positions added to the input; norms with 1e-7, weights from N(0, 0.02²), two buckets of 256
distances, maps shared by contents and distances. xsmall, small, base and large are version 3's, with 128,100 pieces;
the others are BERT's. What the published pre-training adds is no part of these files and not here: the enhanced mask
decoder (absolute positions before the output), and gradient-disentangled embeddings; the discriminator's head reads
[CLS] beside each token, and is left out when a file is read, as transformers does.

The head of the masked language model is written as transformers' `legacy: false` has it; files with either are read.
Published directories hold a SentencePiece model alone: transformers must write a tokenizer.json from it first.

Not here, and refused: version 1 (maps of their own, no buckets), the convolution after the first layer (version 2's
xlarge and xxlarge), absolute positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.bert import Bert, bert, tokens
from pretune.families.family import HeadSpec, Kind, Loaded
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import key, rate, read, size, write
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import Attention, Disentangled, HeadTransform, LMHead, Norm, Normal, TransformerConfig
from pretune.nn.heads import ClassificationHead
from pretune.nn.pooling import Pooling

LENGTH, BUCKETS = 512, 256
POOLER = HeadTransform(activation="gelu", bias=True, norm=None)

KEYS = (
    key("vocab_size", 128_100, "vocab_size"),
    key("hidden_size", 1536, "hidden_size"),
    key("num_hidden_layers", 24, "num_layers"),
    key("num_attention_heads", 24, "attention.num_heads"),
    key("intermediate_size", 6144, "feed_forward.intermediate_size"),
    key("hidden_act", "gelu", "feed_forward.activation", "output.transform.activation"),
    key("hidden_dropout_prob", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_probs_dropout_prob", 0.1, "attention.dropout"),
    key("type_vocab_size", 0, "num_segments"),
    key("layer_norm_eps", 1e-7, "norm.eps", "output.transform.norm.eps"),
    key("initializer_range", 0.02, "init.std"),
)
NEEDED: Mapping[str, tuple[Any, Any]] = {
    "relative_attention": (False, True),
    "position_biased_input": (True, False),
    "share_att_key": (False, True),
    "norm_rel_ebd": ("none", "layer_norm"),
}
"""Keys of config.json -> what transformers assumes of a file that does not say, and what pretune computes."""
BOTH = ["p2c", "c2p"]
BODY = [
    *same("body.segment_embedding.weight", "embeddings.token_type_embeddings.weight"),
    *module("body.embedding_norm", "embeddings.LayerNorm"),
    *same("body.position.vectors.weight", "encoder.rel_embeddings.weight"),
    *module("body.position.norm", "encoder.LayerNorm"),
    *module(
        "body.layers.{n}.attention.qkv",
        "encoder.layer.{n}.attention.self.query_proj",
        "encoder.layer.{n}.attention.self.key_proj",
        "encoder.layer.{n}.attention.self.value_proj",
    ),
    *(rule for rule in Bert.layout.body.rules if rule.ours.startswith("body.layers.") and ".qkv." not in rule.ours),
]
LM = [
    *module("lm.transform.dense", "lm_predictions.lm_head.dense"),
    *module("lm.transform.norm", "lm_predictions.lm_head.LayerNorm"),
    *same("lm.decoder.bias", "lm_predictions.lm_head.bias"),
]
LEGACY = {
    "cls.predictions.transform.": "lm_predictions.lm_head.",
    "cls.predictions.bias": "lm_predictions.lm_head.bias",
}
"""How names of the older head begin, and today's."""
TIED = {"cls.predictions.decoder.weight": "embeddings.word_embeddings.weight"}
LEFT_OUT = ("mask_predictions.", "deberta.embeddings.position_embeddings.", "embeddings.position_embeddings.")
"""What files hold that no number here comes from: the discriminator's head, positions that are not added."""


def _pooled(kind: str) -> tuple[Part, Part]:
    return (
        Part(tuple(module(f"{kind}.transform.dense", "pooler.dense"))),
        Part(tuple(module(f"{kind}.classifier", "classifier")), output=True),
    )


class Deberta(Bert):
    """The family `deberta`. Heads of whole texts and of choices have a dense layer and gelu of their own; heads of
    pairs are ours alone. A tagger's dropout, which transformers' files cannot say, stands under cls_dropout too."""

    name = "deberta"
    model_type = "deberta-v2"
    presets = {
        **{name: bert.presets[name] for name in ("tiny", "mini")},
        "xsmall": {**bert.presets["base"], "hidden_size": 384, "attention.num_heads": 6}
        | {"feed_forward.intermediate_size": 1536},
        "small": {**bert.presets["base"], "num_layers": 6},
        **{name: bert.presets[name] for name in ("medium", "base", "large")},
    }
    published = {"xsmall": 70_000_000, "small": 142_000_000, "base": 184_000_000, "large": 435_000_000}
    token_ids = {"pad_token_id": "pad"}
    keys = KEYS
    older_keys = ("embedding_size", "attention_head_size", "pooler_hidden_size", "legacy")
    layout = Layout(
        class_name="DebertaV2",
        prefix="deberta.",
        body=Part((*tokens(), *BODY)),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "sequence": _pooled("sequence"),
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "choice": _pooled("choice"),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures=ENCODER_CLASSES,
    )
    refused = {
        "conv_kernel_size": (0, None),
        "pooler_dropout": (0, 0.0),
        "pooler_hidden_act": ("gelu",),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept = {"max_position_embeddings": LENGTH, "pad_token_id": None, "cls_dropout": None}

    def base(self, vocab_size: int) -> TransformerConfig:
        norm = Norm(kind="layer", eps=1e-7, bias=True)
        return replace(
            super().base(vocab_size),
            position=Disentangled(BUCKETS, LENGTH),
            norm=norm,
            attention=Attention(num_heads=12, dropout=0.1),
            init=Normal(std=0.02),
            output=LMHead(transform=HeadTransform(activation="gelu", norm=norm)),
            num_segments=0,
        )

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        for name, (default, ours) in NEEDED.items():
            if (told := hf.get(name, default)) != ours:
                raise InputError(f"config.json: {name} is {told!r:.60}: pretune computes only {ours!r}")
        kinds = hf.get("pos_att_type")
        kinds = [each.strip() for each in kinds.lower().split("|")] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list) or sorted(map(str, kinds)) != sorted(BOTH):
            raise InputError(f"config.json: pos_att_type is {hf.get('pos_att_type')!r:.60}: pretune computes p2c|c2p")
        buckets, longest = hf.get("position_buckets", -1), hf.get("max_relative_positions", -1)
        if type(buckets) is int and buckets < 1:
            raise InputError(f"config.json: position_buckets is {buckets}: pretune computes only distances in buckets")
        if type(longest) is not int or longest < 1:
            longest = size(hf, "max_position_embeddings", LENGTH)
        places = {"position.num_buckets": size({"position_buckets": buckets}, "position_buckets", 1)}
        config = read(KEYS, self.base(vocab_size=1), hf, {**places, "position.max_distance": longest})
        heads = config.attention.num_heads
        for name, ours in (
            ("embedding_size", config.hidden_size),
            ("pooler_hidden_size", config.hidden_size),
            ("attention_head_size", config.hidden_size // heads),
        ):
            if (told := hf.get(name)) not in (None, ours):
                raise InputError(f"config.json: {name} is {told!r:.60}: pretune computes only {ours}")
        return config

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        position = config.position if isinstance(config.position, Disentangled) else Disentangled()
        return write(KEYS, config) | {
            **{name: ours for name, (_, ours) in NEEDED.items()},
            "pos_att_type": BOTH,
            "position_buckets": position.num_buckets,
            "max_relative_positions": position.max_distance,
            "conv_kernel_size": 0,
            "pooler_hidden_size": config.hidden_size,
            "pooler_hidden_act": "gelu",
            "pooler_dropout": 0,
            "legacy": False,
        }

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """Also of files with the older head of the masked language model."""
        return super().from_hf(hf, _todays_names(weights), heads, seed)

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        if kind in ("lm", "token", "answer"):
            return super().make_head(kind, body, num_labels, seed, pooling, dropout)
        config: TransformerConfig = body.config
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            transform=POOLER,
            pooling=pooling or "row",
            dropout=(config.hidden_dropout if dropout is None else dropout) if kind in ("sequence", "choice") else 0.0,
            seed=seed,
        )

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, "cls_dropout")

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {"cls_dropout": spec.dropout}

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """[CLS] A [SEP], [CLS] A [SEP] B [SEP]; segments where a file has them."""
        return Template(self.need_special(special_ids))

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return size(kept, "max_position_embeddings", LENGTH)


def _todays_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without what is left out, and the older head's under today's names."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        begins = next((old for old in LEGACY if name.startswith(old)), None)
        if name.startswith(LEFT_OUT) or name == "cls.predictions.decoder.bias":
            continue
        if name in TIED:
            tokens = weights.get(f"deberta.{TIED[name]}", weights.get(TIED[name]))
            if tokens is None or tokens.shape != tensor.shape or not bool((tokens == tensor).all()):
                raise InputError(f"{name} differs from {TIED[name]}, to which it should be tied: not supported")
            continue
        found[name if begins is None else LEGACY[begins] + name.removeprefix(begins)] = tensor
    return found


deberta = Deberta()
