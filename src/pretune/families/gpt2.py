"""GPT-2: a decoder, pre-norm with a norm after the last layer, learned positions (Radford et al. 2019, section 2.3).

Small, medium, large and xl are the published sizes; tiny, mini and base are the house's (base is another name of
small). A token sees itself and what stands before it, always; a text is read as a whole at its last token. Nothing is
put around a text or between two, as transformers does by default; published tokenizers have <|endoftext|> as bos and
eos, which stood between the documents they were trained on.

Maps into the residual start smaller by sqrt(2 * layers), as the paper says of its residual layers (two a block); other
weights, positions among them, from N(0, 0.02²), as in transformers (OpenAI's code: 0.01 for positions).

Not here: DoubleHeads models, cross-attention, attention scaled by the layer's number, an untied output; such files are
refused, and so are choices between texts under transformers' names (ours has a head of its own). A file's
`classifier_dropout` counts for classes of texts too, where transformers has none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.bert import bert
from pretune.families.encoder import AnyBody, Encoder
from pretune.families.family import HeadSpec, Kind
from pretune.families.layout import Layout, Part
from pretune.families.settings import Key, key, rate, read, size, write
from pretune.families.weights import module, same, transposed
from pretune.nn.block import Block
from pretune.nn.body import Body
from pretune.nn.config import Attention, FeedForward, Learned, LMHead, Norm, Normal, TransformerConfig
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.pooling import Pooling
from pretune.nn.transformer import Transformer

TOKEN_DROPOUT = 0.1
"""Before the map of a tagger, where the file does not say (transformers' GPT2ForTokenClassification)."""
SIZES = (
    key("vocab_size", 50_257, "vocab_size"),
    key("n_embd", 768, "hidden_size"),
    key("n_layer", 12, "num_layers"),
    key("n_head", 12, "attention.num_heads"),
    key("resid_pdrop", 0.1, "hidden_dropout"),
    key("embd_pdrop", 0.1, "embedding_dropout"),
    key("attn_pdrop", 0.1, "attention.dropout"),
    key("layer_norm_epsilon", 1e-5, "norm.eps"),
    key("initializer_range", 0.02, "init.std"),
)
SUMMARY_KEYS = ("type", "use_proj", "activation", "proj_to_labels", "first_dropout")
LAYER = [
    *transposed("body.layers.{n}.attention.qkv", "h.{n}.attn.c_attn"),
    *transposed("body.layers.{n}.attention.output", "h.{n}.attn.c_proj"),
    *module("body.layers.{n}.attention_norm", "h.{n}.ln_1"),
    *transposed("body.layers.{n}.feed_forward.inner", "h.{n}.mlp.c_fc"),
    *transposed("body.layers.{n}.feed_forward.output", "h.{n}.mlp.c_proj"),
    *module("body.layers.{n}.feed_forward_norm", "h.{n}.ln_2"),
]
TEXT_HEADS: Mapping[Kind, tuple[Part, ...]] = {
    "lm": (Part((), output=True),),
    "sequence": (Part(tuple(same("sequence.classifier.weight", "score.weight")), output=True),),
}


def shape(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return {
        "num_layers": layers,
        "hidden_size": hidden,
        "attention.num_heads": heads,
        "feed_forward.intermediate_size": 4 * hidden,
    }


class Gpt2(Encoder):
    """The family `gpt2`. The language model is all the body's: its matrix is the token embedding's, without a bias."""

    name = "gpt2"
    model_type = "gpt2"
    presets: Mapping[str, Mapping[str, Any]] = {
        **{size: bert.presets[size] for size in ("tiny", "mini")},
        "small": shape(12, 768, 12),
        "base": shape(12, 768, 12),
        "medium": shape(24, 1024, 16),
        "large": shape(36, 1280, 20),
        "xl": shape(48, 1600, 25),
    }
    published: Mapping[str, int] = {
        "small": 124_000_000,
        "base": 124_000_000,
        "medium": 355_000_000,
        "large": 774_000_000,
        "xl": 1_558_000_000,
    }
    token_ids: Mapping[str, str | tuple[str, ...]] = {
        "pad_token_id": "pad",
        "bos_token_id": "bos",
        "eos_token_id": ("eos", "sep"),
    }
    keys: Sequence[Key] = (
        *SIZES,
        key("n_positions", 1024, "position.max_positions"),
        key("activation_function", "gelu_new", "feed_forward.activation"),
    )
    older_keys: Sequence[str] = ("n_ctx", "is_decoder", *(f"summary_{name}" for name in SUMMARY_KEYS))
    layout = Layout(
        class_name="GPT2",
        prefix="transformer.",
        body=Part(
            (
                *same("body.token_embedding.weight", "wte.weight", "lm_head.weight"),
                *same("body.position.embedding.weight", "wpe.weight"),
                *LAYER,
                *module("body.final_norm", "ln_f"),
            )
        ),
        heads={
            **TEXT_HEADS,
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            "Model": (),
            "LMHeadModel": ("lm",),
            "ForSequenceClassification": ("sequence",),
            "ForTokenClassification": ("token",),
            "ForQuestionAnswering": ("answer",),
        },
    )
    refused: Mapping[str, tuple[Any, ...]] = {
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "add_cross_attention": (False,),
        "is_encoder_decoder": (False,),
        "chunk_size_feed_forward": (0,),
        "tie_word_embeddings": (True,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
    kept = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None, "classifier_dropout": None}
    reads_at_end = True

    def base(self, vocab_size: int) -> TransformerConfig:
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=768,
            num_layers=12,
            position=Learned(max_positions=1024),
            norm=Norm(kind="layer", eps=1e-5, bias=True),
            placement="pre",
            feed_forward=FeedForward(intermediate_size=3072, activation="gelu_tanh"),
            attention=Attention(num_heads=12, dropout=0.1, causal=True),
            init=Normal(std=0.02),
            output=LMHead(transform=None, bias=False),
            embedding_norm=False,
            final_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
        )

    def check(self, config: TransformerConfig, may_map: bool = False) -> dict[str, Any]:
        if not config.attention.causal:
            raise InputError(f"{self.name} reads from left to right: attention.causal stays true")
        return super().check(config, may_map)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        """`n_inner` that is null, or left out, is four times the hidden size."""
        inner = 4 * size(hf, "n_embd", 768) if hf.get("n_inner") is None else size(hf, "n_inner", 1)
        return read(self.keys, self.base(vocab_size=1), hf, {"feed_forward.intermediate_size": inner})

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        inner = config.feed_forward.intermediate_size
        return write(self.keys, config) | {"n_inner": None if inner == 4 * config.hidden_size else inner}

    def build(self, config: TransformerConfig, seed: int = 0) -> AnyBody:
        body = super().build(config, seed)
        if isinstance(config.init, Normal) and isinstance(body, Transformer):
            shrink_residual(body)
        return body

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        config: TransformerConfig = body.config
        if kind == "lm" and config.token_size != config.hidden_size:
            raise InputError(
                f"{self.name} has no language model over mapped embeddings, as replaced_token's generator is one: "
                "take an encoder family, or objective.name=causal_lm"
            )
        if kind == "lm":
            return MaskedLMHead(body, config.output, config.init, seed)
        default = TOKEN_DROPOUT if kind == "token" else 0.0
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            pooling=pooling or "row",
            dropout=0.0 if kind == "answer" else default if dropout is None else dropout,
            bias=kind != "sequence",
            seed=seed,
        )

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, "classifier_dropout")

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {"classifier_dropout": spec.dropout}

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """A, and A B: no special tokens, one segment, read at the last token."""
        return Template(
            dict(special_ids), single=(0,), pair=(0, 1), segments_single=(0,), segments_pair=(0, 0), summary=-1
        )

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        return config.position.max_positions if isinstance(config.position, Learned) else 0


@torch.no_grad()
def shrink_residual(body: Transformer) -> None:
    """Divides the maps into the residual, two a block, by the root of their number."""
    for block in body.layers:
        assert isinstance(block, Block)
        for part in (block.attention, block.feed_forward):
            part.output.weight.mul_((2 * len(body.layers)) ** -0.5)


gpt2 = Gpt2()
