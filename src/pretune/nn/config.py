"""TransformerConfig: what a Transformer body is made of, as typed choices. Imports no torch.

One config serves every Transformer family: BERT is post-norm with learned positions, ModernBERT (Warner et al. 2024) is
pre-norm, rotary and gated. A choice that needs numbers carries them (`Rotary(base=1e4)`), so no two fields can disagree
silently; what still can is refused when the config is made.
"""

from dataclasses import dataclass, replace
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
    """Fixed sines and cosines added to the token's vector (Vaswani et al. 2017, section 3.5).

    interleaved: sines and cosines in turn, as the paper has them; else all sines, then all cosines (tensor2tensor).
    base: of the wavelengths.
    """

    max_positions: int
    interleaved: bool = True
    base: float = 10_000.0


@dataclass(frozen=True)
class Llama3Scaling:
    """Rotary wavelengths for longer texts than a model began with (Llama 3.1: meta-llama/llama-models, apply_scaling).

    Wavelengths above original_max_positions / low_frequency become `factor` times as long, those below
    original_max_positions / high_frequency stay, and those between are interpolated.
    """

    factor: float = 8.0
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original_max_positions: int = 8192


@dataclass(frozen=True)
class Rotary:
    """Queries and keys turned by angles that grow with the position (Su et al. 2021).

    base: of the wavelengths. local_base: the same in layers with a window; None: as `base`. scaling: of the wavelengths
    that `base` gives; None: they are as they are.
    """

    base: float = 10_000.0
    local_base: float | None = None
    scaling: Llama3Scaling | None = None


@dataclass(frozen=True)
class RelativeBuckets:
    """A learned score of each head for the distance of key and query, in buckets that grow wider (Raffel et al. 2020,
    section 2.1): half of the buckets for single distances, half spaced in logarithms up to `max_distance`. All layers
    share them; cross-attention has none. Bidirectional attention keeps half of the buckets for keys that follow."""

    num_buckets: int = 32
    max_distance: int = 128


@dataclass(frozen=True)
class Disentangled:
    """Vectors of distances that meet contents (He et al. 2021, sections 3.1 and A.5; version 2's buckets): a query's
    content with the vector of how far it stands from the key, a key's with that of how far it stands from the query.

    Each layer maps the vectors as it maps contents to queries and keys. num_buckets: to each side; half of them for
    single distances, half spaced in logarithms up to `max_distance`. The body's norm is over the vectors.
    """

    num_buckets: int = 256
    max_distance: int = 512


@dataclass(frozen=True)
class NoPosition:
    """The order of tokens is not told."""


Position = Learned | Sinusoidal | Rotary | RelativeBuckets | Disentangled | NoPosition


@dataclass(frozen=True)
class Norm:
    """layer: LayerNorm (Ba et al. 2016), with or without bias. rms: RMSNorm (Zhang and Sennrich 2019), never a bias."""

    kind: Literal["layer", "rms"] = "layer"
    eps: float = 1e-12
    bias: bool = True


@dataclass(frozen=True)
class FeedForward:
    """Two linear maps with an activation between, or gated: activation(a) * b (Shazeer 2020), with a and b of
    `intermediate_size` each. dropout: of what the activation gives, in training."""

    intermediate_size: int
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = True
    dropout: float = 0.0


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention. dropout: of attention probabilities, in training.

    bias: in the four linear maps. qk_norm: the config's norm over each head's queries and keys, before rotation.
    windows: a half-width in positions for each layer (a query sees keys at most so far away), None for a global one.
    causal: a token sees itself and what stands before it, whatever the stream says (Devlin et al. 2019, section 5.1,
    "LTR"; is_decoder in BERT's files). prefix: the body was trained to go on after a text that it sees as a whole
    (Raffel et al. 2020, section 3.2.1, "prefix LM"): it may generate; what is seen, the stream says.
    num_key_value_heads: keys and values of so many heads, each shared by consecutive heads of queries (Ainslie et al.
    2023, grouped queries); None: as many as there are heads. head_size: None: hidden_size / num_heads.
    scaled: scores are divided by the root of head_size; T5 does not.
    """

    num_heads: int
    bias: bool = True
    qk_norm: bool = False
    dropout: float = 0.0
    windows: tuple[int | None, ...] | None = None
    causal: bool = False
    prefix: bool = False
    num_key_value_heads: int | None = None
    head_size: int | None = None
    scaled: bool = True


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
    """The output over the vocabulary. transform: None for none. tied: the matrix is the token embedding's.
    scaled: rows are divided by the root of hidden_size before it (T5)."""

    transform: HeadTransform | None = None
    bias: bool = True
    tied: bool = True
    scaled: bool = False


@dataclass(frozen=True)
class Decoder:
    """A decoder beside an encoder, of the same width and choices but for these numbers. Each of its layers reads its
    own sequence from left to right and then all rows of the encoder's output (Vaswani et al. 2017, section 3.1)."""

    num_layers: int
    num_heads: int
    intermediate_size: int


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
    decoder: of an encoder-decoder, whose encoder is what the other fields say; None: there is one stream only.
    scaled_embedding: token vectors times the root of hidden_size (Vaswani et al. 2017, section 3.4).
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
    decoder: Decoder | None = None
    scaled_embedding: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "embedding_size", "num_groups"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}: it must be at least 1")
        self._check_heads()
        windows = self.attention.windows
        if windows is not None and len(windows) != self.num_layers:
            raise InputError(f"windows has {len(windows)} entries for {self.num_layers} layers: give one a layer")
        if self.num_groups is not None and self.num_groups > self.num_layers:
            raise InputError(f"num_groups is {self.num_groups}: {self.num_layers} layers have at most as many groups")
        if self.num_groups is not None and windows is not None:
            raise InputError("layers that share weights have no windows: leave num_groups or windows out")
        if self.decoder is not None and not isinstance(self.decoder, Decoder):
            raise InputError(f"decoder is {self.decoder!r:.60}: an encoder-decoder is a family of its own (bart, t5)")
        if self.decoder is not None and (self.top or self.attention.causal or self.attention.prefix or windows):
            raise InputError("the encoder beside a decoder has no layer on top, no windows, and sees both sides")
        if self.top is not None and not isinstance(self.top, BiLSTM):
            raise InputError("a layer on top of the body is for fine-tuning: pretune finetune ... top=bilstm")
        if self.top is not None and self.hidden_size % 2:
            raise InputError(f"a BiLSTM on top needs an even hidden_size, not {self.hidden_size}")
        for name, rate in (
            ("attention.dropout", self.attention.dropout),
            ("embedding_dropout", self.embedding_dropout),
            ("hidden_dropout", self.hidden_dropout),
            ("feed_forward.dropout", self.feed_forward.dropout),
        ):
            if not 0 <= rate < 1:
                raise InputError(f"{name} is {rate}: it must be at least 0 and below 1")

    def _check_heads(self) -> None:
        heads, kv = self.attention.num_heads, self.num_key_value_heads
        if heads < 1 or (self.attention.head_size is None and self.hidden_size % heads):
            raise InputError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {heads}")
        if self.head_size < 1:
            raise InputError(f"head_size is {self.head_size}: it must be at least 1")
        if kv < 1 or heads % kv:
            raise InputError(f"num_heads {heads} is not a multiple of num_key_value_heads {kv}")
        if isinstance(self.position, Rotary) and self.head_size % 2:
            raise InputError(f"rotary positions need an even head size, not {self.head_size}")
        if isinstance(self.position, Learned) and self.position.first < 0:
            raise InputError(f"positions begin at row {self.position.first}: it must be at least 0")
        bases = [getattr(self.position, name, None) for name in ("base", "local_base")]
        if any(base is not None and not 0 < base < float("inf") for base in bases):
            raise InputError(f"{self.position}: the base of wavelengths must be a number above 0")
        scaling = self.position.scaling if isinstance(self.position, Rotary) else None
        if scaling is not None and not (scaling.factor >= 1 and 0 < scaling.low_frequency < scaling.high_frequency):
            raise InputError(f"{scaling}: factor must be at least 1, and 0 < low_frequency < high_frequency")
        buckets = self.position
        if isinstance(buckets, RelativeBuckets) and not (buckets.num_buckets >= 4 and buckets.num_buckets % 4 == 0):
            raise InputError(f"num_buckets is {buckets.num_buckets}: it must be a multiple of 4")
        if isinstance(buckets, RelativeBuckets) and buckets.max_distance <= buckets.num_buckets // 2:
            raise InputError(f"max_distance is {buckets.max_distance}: it must be above half of num_buckets")
        if isinstance(buckets, Disentangled):
            self._check_disentangled(buckets)

    def _check_disentangled(self, position: Disentangled) -> None:
        if position.num_buckets < 4 or position.num_buckets % 2:
            raise InputError(f"num_buckets is {position.num_buckets}: it must be even, and at least 4")
        if position.max_distance <= position.num_buckets // 2 + 1:
            raise InputError(f"max_distance is {position.max_distance}: it must be above half of num_buckets by 2")
        attention = self.attention
        if attention.causal or attention.prefix or isinstance(self.decoder, Decoder):
            raise InputError("disentangled positions are an encoder's: a text that is written has none")
        if attention.qk_norm or self.num_key_value_heads != attention.num_heads or not attention.scaled:
            raise InputError("disentangled positions know no norms of queries, no shared keys and no unscaled scores")

    @property
    def head_size(self) -> int:
        return self.attention.head_size or self.hidden_size // self.attention.num_heads

    @property
    def score_scale(self) -> float:
        """What products of queries and keys are multiplied by: 1 over the root of head_size, of three times that where
        positions meet contents in two products more (He et al. 2021, equation 4)."""
        products = 3 if isinstance(self.position, Disentangled) else 1
        return float((products * self.head_size) ** -0.5) if self.attention.scaled else 1.0

    @property
    def num_key_value_heads(self) -> int:
        return self.attention.num_key_value_heads or self.attention.num_heads

    @property
    def reads_to_the_right(self) -> bool:
        """Whether a row of the output has seen nothing behind it: a text as a whole is then read at its last row."""
        return self.attention.causal or self.decoder is not None

    @property
    def generates(self) -> bool:
        """Whether a body of this config can write text, one token after another."""
        return self.attention.prefix or self.reads_to_the_right

    @property
    def of_encoder(self) -> "TransformerConfig":
        """The encoder of an encoder-decoder alone."""
        return replace(self, decoder=None)

    @property
    def of_decoder(self) -> "TransformerConfig":
        """The decoder of an encoder-decoder as a body; that its layers read the encoder too is not said here."""
        if self.decoder is None:
            raise ValueError("this body has no decoder beside an encoder")
        attention = replace(self.attention, num_heads=self.decoder.num_heads, causal=True)
        feed_forward = replace(self.feed_forward, intermediate_size=self.decoder.intermediate_size)
        return replace(
            self,
            num_layers=self.decoder.num_layers,
            attention=attention,
            feed_forward=feed_forward,
            decoder=None,
        )

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
