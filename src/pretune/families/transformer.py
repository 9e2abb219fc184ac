"""The Transformer of 2017: post-norm, sinusoids, one matrix for both stacks and the output (Vaswani et al. 2017).

base and big are the paper's sizes (table 3), tiny to medium the house's. Sections 3 and 5.4: relu; token vectors times
the root of their size, no norm over the embeddings; dropout 0.1 (big: 0.3) of embeddings and of what each part adds,
none inside attention or feed-forward. Maps of attention have biases (tensor2tensor's had none: Marian's files cannot
say so); norms have 1e-5 (tensor2tensor: 1e-6). Weights start by fan-in, token vectors from N(0, 1 / d) (the paper is
silent; tensor2tensor).

A text is A </s>, two are A </s> B </s>; the decoder begins with the padding token, as Marian's does.

Files are those of transformers' Marian, opus-mt's among them. Marian keeps all sines before all cosines, where the
paper has them in turn: the dimensions of the residual are put in our order when a file is read, and in Marian's when
it is written, so numbers are equal, and hidden vectors are but for the order of their dimensions. The output has no
bias; a file's `final_logits_bias` is read where it is not all zero. Not here: an embedding of its own for each side.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.bart import EPS, SIZES, TOKENS, Bart, output, shape
from pretune.families.family import HeadSpec, Loaded
from pretune.families.layout import OWN, Layout, Part
from pretune.families.settings import key, size
from pretune.families.t5 import t5
from pretune.families.two_stacks import fairseq_layers
from pretune.nn.config import (
    Attention,
    Decoder,
    FanIn,
    FeedForward,
    LMHead,
    Norm,
    Sinusoidal,
    TransformerConfig,
)
from pretune.nn.model import Model
from pretune.nn.positions import Sinusoidal as Sinusoids

READS = ("embed_tokens", "shared", "lm_head", "q_proj", "k_proj", "v_proj", "fc1")
"""Matrices of the files whose columns are dimensions of the residual."""
ADDS = ("out_proj", "fc2", "layer_norm")
"""Layers of the files whose rows, and biases, are."""
MOST_POSITIONS = 1 << 16
"""Tables of positions are made, not read, so a file may not ask for as long a one as it likes."""
TABLES = "embed_positions.weight"
"""What files hold of sines and cosines, old ones and those without a head."""


@cache
def marian_layout(has_bias: bool) -> Layout:
    return Layout(
        class_name="Marian",
        prefix="model.",
        body=Part((*TOKENS, *fairseq_layers("encoder"), *fairseq_layers("decoder"))),
        heads={"lm": output(has_bias)},
        architectures={"Model": (), "MTModel": ("lm",)},
    )


class Vaswani(Bart):
    """The family `transformer`. Heads but the language model stand under our own names: Marian has no others."""

    name = "transformer"
    model_type = "marian"
    start = "pad"
    starts_as = "pad_token_id"
    presets = {
        "tiny": shape(2, 128, 2),
        "mini": shape(2, 256, 4),
        "small": shape(2, 512, 8),
        "medium": shape(4, 512, 8),
        "base": shape(6, 512, 8),
        "big": {**shape(6, 1024, 16), "hidden_dropout": 0.3},
    }
    published = {"base": 65_000_000, "big": 213_000_000}
    token_ids = t5.token_ids
    keys = (key("vocab_size", 58_101, "vocab_size"), *SIZES)
    older_keys = (*Bart.older_keys, "decoder_vocab_size")
    layout = marian_layout(has_bias=False)
    refused = {
        **Bart.refused,
        "normalize_embedding": (False,),
        "static_position_embeddings": (True,),
        "share_encoder_decoder_embeddings": (True,),
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=512,
            num_layers=6,
            position=Sinusoidal(max_positions=1024),
            norm=Norm(kind="layer", eps=EPS, bias=True),
            placement="post",
            feed_forward=FeedForward(intermediate_size=2048, activation="relu"),
            attention=Attention(num_heads=8),
            init=FanIn(),
            output=LMHead(transform=None, bias=False),
            embedding_norm=False,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
            decoder=Decoder(num_layers=6, num_heads=8, intermediate_size=2048),
            scaled_embedding=True,
        )

    def layout_of(self, config: TransformerConfig) -> Layout:
        return marian_layout(config.output.bias)

    def check(self, config: TransformerConfig, may_map: bool = False) -> dict[str, Any]:
        if config.hidden_size % 2:
            raise InputError(f"hidden_size is {config.hidden_size}: sines and cosines need an even one")
        return super().check(config, may_map)

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        if hf.get("decoder_vocab_size") not in (None, hf.get("vocab_size")):
            raise InputError(
                f"config.json: decoder_vocab_size is {hf['decoder_vocab_size']!r:.60} and vocab_size "
                f"{hf.get('vocab_size')!r:.60}: pretune has one vocabulary for both sides"
            )
        if size(hf, "max_position_embeddings", 1024) > MOST_POSITIONS:
            raise InputError(
                f"config.json: max_position_embeddings is {hf['max_position_embeddings']}: no tensor of the file is as "
                f"long, and pretune makes tables of at most {MOST_POSITIONS:,} positions"
            )
        return super().read_config(hf)

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        told = {name: value for name, value in weights.items() if not name.endswith(TABLES)}
        return super().from_hf(hf, reordered(told, in_turn), heads, seed)

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A file without a head has the tables of positions, which MarianModel would report as missing."""
        hf, weights = super().to_hf(model, specs, kept)
        weights = reordered(weights, halves)
        if hf["architectures"] == ["MarianModel"]:
            table = Sinusoids(Sinusoidal(hf["max_position_embeddings"], interleaved=False), hf["d_model"]).table_PD
            weights |= {f"{side}.{TABLES}": table.clone() for side in ("encoder", "decoder")}
        return hf, weights

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """A </s> and A </s> B </s>; the decoder begins with padding."""
        return t5.template(special_ids)


def reordered(weights: Mapping[str, Tensor], order: Callable[[int], Tensor]) -> dict[str, Tensor]:
    """A file's tensors with the residual's dimensions in another order."""
    found = {}
    for name, tensor in weights.items():
        layer = name.rpartition(".")[0]
        dim = 1 if layer.endswith(READS) and name.endswith(".weight") else 0 if layer.endswith(ADDS) else None
        if dim is not None and tensor.ndim > dim and not name.startswith(OWN):
            tensor = tensor.index_select(dim, order(tensor.shape[dim]))
        found[name] = tensor
    return found


def in_turn(size: int) -> Tensor:
    """Which of the dimensions, sines first and then cosines, come in turn.

    >>> in_turn(6)
    tensor([0, 3, 1, 4, 2, 5])
    """
    return halves(size).argsort()


def halves(size: int) -> Tensor:
    """Which of the dimensions, in turn, are sines and then cosines.

    >>> halves(6)
    tensor([0, 2, 4, 1, 3, 5])
    """
    dimensions = torch.arange(size)
    return torch.cat([dimensions[::2], dimensions[1::2]])


transformer = Vaswani()
