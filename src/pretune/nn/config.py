"""TransformerConfig: what a Transformer body is made of, as typed choices. Imports no torch.

One config serves every Transformer family: BERT is post-norm with learned positions, ModernBERT (Warner et al. 2024) is
pre-norm, rotary and gated. A choice that needs numbers carries them (`Rotary(base=1e4)`), so no two fields can disagree
silently; what still can is refused when the config is made.
"""

from dataclasses import dataclass
from typing import Literal

from pretune.core.errors import InputError

Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh"]
"""gelu is the exact one (erf); gelu_tanh its approximation (Hendrycks and Gimpel 2016)."""
Placement = Literal["post", "pre"]


@dataclass(frozen=True)
class Learned:
    """A learned vector for each of `max_positions` positions, added to the token's (BERT).

    first: rows of the table that stand before the first position's and that no token has (RoBERTa: 2).
    """

    max_positions: int
    first: int = 0


@dataclass(frozen=True)
class Sinusoidal:
    """Fixed sines and cosines added to the token's vector (Vaswani et al. 2017, section 3.5)."""

    max_positions: int


@dataclass(frozen=True)
class Rotary:
    """Queries and keys turned by angles that grow with the position (Su et al. 2021).

    base: of the wavelengths. local_base: the same in layers with a window; None: as `base`.
    """

    base: float = 10_000.0
    local_base: float | None = None


@dataclass(frozen=True)
class NoPosition:
    """The order of tokens is not told."""


Position = Learned | Sinusoidal | Rotary | NoPosition


@dataclass(frozen=True)
class Norm:
    """layer: LayerNorm (Ba et al. 2016), with or without bias. rms: RMSNorm (Zhang and Sennrich 2019), never a bias."""

    kind: Literal["layer", "rms"] = "layer"
    eps: float = 1e-12
    bias: bool = True


@dataclass(frozen=True)
class FeedForward:
    """Two linear maps with an activation between, or gated: activation(a) * b (Shazeer 2020), with a and b of
    `intermediate_size` each."""

    intermediate_size: int
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = True


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention. dropout: of attention probabilities, in training.

    bias: in the four linear maps. qk_norm: the config's norm over each head's queries and keys, before rotation.
    windows: a half-width in positions for each layer (a query sees keys at most so far away), None for a global one.
    causal: a token sees itself and what stands before it, whatever the stream says (Devlin et al. 2019, section 5.1,
    "LTR"; is_decoder in BERT's files).
    """

    num_heads: int
    bias: bool = True
    qk_norm: bool = False
    dropout: float = 0.0
    windows: tuple[int | None, ...] | None = None
    causal: bool = False


@dataclass(frozen=True)
class Normal:
    """Every matrix and embedding from N(0, std²), cut off at `cutoff` standard deviations (BERT: 0.02, cut at 2)."""

    std: float = 0.02
    cutoff: float | None = None


@dataclass(frozen=True)
class FanIn:
    """Linear maps from N(0, gain² / fan_in). embedding_std: of embeddings; None: hidden_size ** -0.5, with which logits
    tied to them start with variance 1 (the vectors they meet are normalised)."""

    gain: float = 1.0
    embedding_std: float | None = None


Init = Normal | FanIn


@dataclass(frozen=True)
class HeadTransform:
    """What a head does to a row before its output map: dense, activation, and a norm if there is one."""

    activation: Activation = "gelu"
    bias: bool = True
    norm: Norm | None = None


@dataclass(frozen=True)
class LMHead:
    """The output over the vocabulary. transform: None for none. tied: the matrix is the token embedding's."""

    transform: HeadTransform | None = None
    bias: bool = True
    tied: bool = True


@dataclass(frozen=True)
class BiLSTM:
    """One layer in both directions on top of the last (Devlin et al. 2019, section 5.1). For fine-tuning only: a
    language model's rows would see what they are to predict."""


@dataclass(frozen=True)
class TransformerConfig:
    """A Transformer body of `num_layers` blocks.

    placement: post, the norm after each residual sum (Vaswani et al. 2017); pre, before each part (Xiong et al. 2020).
    embedding_norm: a norm over the embeddings; with pre-norm the first layer's attention then has none of its own, as
    in ModernBERT. final_norm: a norm after the last layer. num_segments: 0 for no segment embeddings.
    embedding_size: of token, position and segment vectors, which a linear map then takes to hidden_size (ELECTRA,
    ALBERT); None: they have hidden_size, and there is no map. num_groups: so many blocks for all layers, each shared by
    a group of consecutive ones (Lan et al. 2020, section 3.1); None: each layer has its own.
    top: what stands between the last layer and the heads; None for nothing.
    embedding_dropout: of the embeddings; hidden_dropout: of what attention and feed-forward add to the residual.
    Raises InputError for numbers that do not fit together.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    position: Position
    norm: Norm
    placement: Placement
    feed_forward: FeedForward
    attention: Attention
    init: Init
    output: LMHead
    num_segments: int = 0
    embedding_norm: bool = True
    final_norm: bool = False
    embedding_dropout: float = 0.0
    hidden_dropout: float = 0.0
    embedding_size: int | None = None
    num_groups: int | None = None
    top: BiLSTM | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "embedding_size", "num_groups"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}: it must be at least 1")
        heads, windows = self.attention.num_heads, self.attention.windows
        if heads < 1 or self.hidden_size % heads:
            raise InputError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {heads}")
        if isinstance(self.position, Rotary) and self.head_size % 2:
            raise InputError(f"rotary positions need an even head size, not {self.hidden_size} / {heads}")
        if windows is not None and len(windows) != self.num_layers:
            raise InputError(f"windows has {len(windows)} entries for {self.num_layers} layers: give one a layer")
        if self.num_groups is not None and self.num_groups > self.num_layers:
            raise InputError(f"num_groups is {self.num_groups}: {self.num_layers} layers have at most as many groups")
        if self.num_groups is not None and windows is not None:
            raise InputError("layers that share weights have no windows: leave num_groups or windows out")
        if self.top is not None and not isinstance(self.top, BiLSTM):
            raise InputError("a layer on top of the body is for fine-tuning: pretune finetune ... top=bilstm")
        if self.top is not None and self.hidden_size % 2:
            raise InputError(f"a BiLSTM on top needs an even hidden_size, not {self.hidden_size}")
        for name, rate in (
            ("attention.dropout", self.attention.dropout),
            ("embedding_dropout", self.embedding_dropout),
            ("hidden_dropout", self.hidden_dropout),
        ):
            if not 0 <= rate < 1:
                raise InputError(f"{name} is {rate}: it must be at least 0 and below 1")

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.attention.num_heads

    @property
    def token_size(self) -> int:
        """Of the vectors of tokens, as a tied output has them."""
        return self.embedding_size or self.hidden_size

    def block(self, layer: int) -> int:
        """Which block computes a layer."""
        return layer if self.num_groups is None else int(layer / (self.num_layers / self.num_groups))

    def window(self, layer: int) -> int | None:
        """The half-width of a layer's window, None where it is global."""
        return None if self.attention.windows is None else self.attention.windows[layer]
