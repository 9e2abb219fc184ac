"""ELECTRA: BERT's body with smaller embeddings, as discriminator or as generator (Clark et al. 2020, sections 2 and 3).

The discriminator's head scores every token ("replaced_token"); the generator is a model of this family too, with a
language model's head ("lm"), whose rows are mapped to the size of the embeddings. The sizes small, base and large are
published, and `...-generator` is what the paper trains beside each (table 6: a quarter, a third and a quarter as wide,
embeddings as wide as the discriminator's); the others are BERT's with embeddings of half the width. Where the sizes
are equal there is no map between embeddings and layers.

`objectives/replaced_token.py` trains both. A run's model/ is the discriminator, ElectraForPreTraining, and its folder
generator/ the generator, ElectraForMaskedLM; the embeddings they share are in both.

As in google-research/electra: weights cut at two deviations, gelu by erf, layer norms with 1e-12.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pretune.families.bert import BODY, Bert, bert, start_of, tokens
from pretune.families.family import HeadSpec, Kind
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import key, rate, read, size, write
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import HeadTransform, TransformerConfig
from pretune.nn.heads import ClassificationHead
from pretune.nn.pooling import Pooling

DENSE = HeadTransform(activation="gelu", bias=True, norm=None)
HIDDEN_SIZE, EMBEDDING_SIZE = 256, 128
"""What transformers assumes of a file that does not say."""

KEYS = (
    key("vocab_size", 30_522, "vocab_size"),
    key("hidden_size", HIDDEN_SIZE, "hidden_size"),
    key("num_hidden_layers", 12, "num_layers"),
    key("num_attention_heads", 4, "attention.num_heads"),
    key("intermediate_size", 1024, "feed_forward.intermediate_size"),
    key("hidden_act", "gelu", "feed_forward.activation"),
    key("hidden_dropout_prob", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_probs_dropout_prob", 0.1, "attention.dropout"),
    key("max_position_embeddings", 512, "position.max_positions"),
    key("type_vocab_size", 2, "num_segments"),
    key("layer_norm_eps", 1e-12, "norm.eps", "output.transform.norm.eps"),
    key("initializer_range", 0.02, "init.std"),
    key("is_decoder", False, "attention.causal"),
)
LM = [
    *module("lm.transform.dense", "generator_predictions.dense"),
    *module("lm.transform.norm", "generator_predictions.LayerNorm"),
    *same("lm.decoder.bias", "generator_lm_head.bias"),
]


def _shape(layers: int, hidden: int, heads: int, embedding: int | None) -> dict[str, Any]:
    return {
        "num_layers": layers,
        "hidden_size": hidden,
        "attention.num_heads": heads,
        "feed_forward.intermediate_size": 4 * hidden,
        "embedding_size": embedding,
    }


class Electra(Bert):
    """The family `electra`. Heads of whole texts have a dense layer and gelu of their own; there is no pooler, and
    those of pairs are ours alone."""

    name = "electra"
    model_type = "electra"
    presets = {
        **{name: {**bert.presets[name], "embedding_size": half} for name, half in (("tiny", 64), ("mini", 128))},
        "small": _shape(12, 256, 4, 128),
        "small-generator": _shape(12, 64, 1, 128),
        "medium": {**bert.presets["medium"], "embedding_size": 256},
        "base": _shape(12, 768, 12, None),
        "base-generator": _shape(12, 256, 4, 768),
        "large": _shape(24, 1024, 16, None),
        "large-generator": _shape(24, 256, 4, 1024),
    }
    published = {"small": 14_000_000, "base": 110_000_000, "large": 335_000_000}
    keys = KEYS
    older_keys = ("embedding_size",)
    layout = Layout(
        class_name="Electra",
        prefix="electra.",
        body=Part(
            (
                *tokens("generator_lm_head.weight"),
                *module("body.embedding_map", "embeddings_project"),
                *BODY,
            )
        ),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "replaced_token": (
                Part(
                    (
                        *module("replaced_token.transform.dense", "discriminator_predictions.dense"),
                        *module("replaced_token.classifier", "discriminator_predictions.dense_prediction"),
                    ),
                    output=True,
                ),
            ),
            "sequence": (
                Part(tuple(module("sequence.transform.dense", "classifier.dense"))),
                Part(tuple(module("sequence.classifier", "classifier.out_proj")), output=True),
            ),
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "choice": (
                Part(tuple(module("choice.transform.dense", "sequence_summary.summary"))),
                Part(tuple(module("choice.classifier", "classifier")), output=True),
            ),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            **ENCODER_CLASSES,
            "ForPreTraining": ("replaced_token",),
            "ForCausalLM": ("lm",),
        },
    )
    refused = {
        **Bert.refused,
        "summary_type": ("first",),
        "summary_use_proj": (True,),
        "summary_activation": ("gelu",),
    }
    kept = {"pad_token_id": None, "classifier_dropout": None, "summary_last_dropout": 0.1}
    causal_class = "ForCausalLM"

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        told, hidden = size(hf, "embedding_size", EMBEDDING_SIZE), hf.get("hidden_size", HIDDEN_SIZE)
        return read(KEYS, self.base(vocab_size=1), hf, {"embedding_size": None if told == hidden else told})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        return write(KEYS, config) | {"embedding_size": config.token_size}

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        if kind in ("lm", "token", "answer"):
            return super().make_head(kind, body, num_labels, seed, pooling, dropout)
        config: TransformerConfig = body.config
        defaults = {"sequence": config.hidden_dropout, "choice": 0.1}
        default = defaults.get(kind, 0.0)
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            start_of(kind, config.init),
            transform=DENSE,
            pooling=pooling or "row",
            dropout=default if dropout is None or kind not in defaults else dropout,
            drop_input=kind == "sequence",
            seed=seed,
        )

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, _dropout_key(kind))

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {_dropout_key(spec.kind): spec.dropout}


def _dropout_key(kind: Kind) -> str:
    return "summary_last_dropout" if kind == "choice" else "classifier_dropout"


electra = Electra()
