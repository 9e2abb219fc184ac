"""The Family protocol: what a file of this folder defines, and the words for whoever builds or loads a model.

A family is a set of presets, a way to build a body and its heads, a template, and a two-way map to Hugging Face's
files. Heads are of these kinds: "lm" (the vocabulary, at rows of tokens), "next_sentence" (two classes of a pair: 0 it
follows, 1 it does not, as in the original code), "sentence_order" (two classes of a pair: 0 in order, 1 swapped),
"span_boundary" (the vocabulary, at the two rows outside a masked span; for pre-training only), "replaced_token" (one
score of a row: that its token was replaced; for pre-training only, ELECTRA's discriminator), "sequence" (classes or a
value of the whole text), "token" (classes of rows), "choice" (one score of the whole text: how well a choice goes with
its context), "answer" (two scores of a row: that an answer starts there, that it ends there), "crf" (reads no rows:
scores of a "token" head's labels beside each other; transformers has none), "embedding" (the vector of a text; it has
no weights, and sentence-transformers keeps what it is), "siamese" (reads no rows: classes of two such vectors). A
model's heads are named by their kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError, unknown
from pretune.core.registry import entries, find
from pretune.nn.body import Body
from pretune.nn.config import TransformerConfig
from pretune.nn.model import Model
from pretune.nn.pooling import Pooling

Kind = Literal[
    "lm",
    "next_sentence",
    "sequence",
    "token",
    "choice",
    "answer",
    "crf",
    "embedding",
    "siamese",
    "sentence_order",
    "span_boundary",
    "replaced_token",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRETRAINING: tuple[Kind, ...] = ("lm", "next_sentence", "sentence_order", "span_boundary", "replaced_token")
"""Kinds of heads that pre-training objectives read: they have no labels and no settings."""
LABELLED: tuple[Kind, ...] = ("sequence", "token", "crf", "siamese")
"""Kinds of heads whose outputs have names that somebody chooses."""
WITHOUT_WEIGHTS: tuple[Kind, ...] = ("embedding",)
"""Kinds of heads that show by config.json alone."""
EMBEDDING_POOLINGS: tuple[Pooling, ...] = ("mean", "row", "max")
FREE = "pretune"
"""The model type of files that are pretune's own, which transformers has no class for."""
Problem = Literal["single_label_classification", "regression", "multi_label_classification"]
PROBLEMS: tuple[Problem, ...] = get_args(Problem)


@dataclass(frozen=True)
class HeadSpec:
    """A head as a request and as a record.

    labels: the classes' names in order, or one name for a value; those of `PRETRAINING` have none.
    pooling: of "sequence" and "choice"; None: the family's default. With one that the family's files do not know the
    head is saved under our own names, and transformers opens the rest. Of "embedding"; None: mean, as its paper has it.
    dropout: before the last linear map; None: the family's default.
    normalize: of "embedding": vectors have length 1; None: as the files have it, else not.
    Raises InputError for a kind that does not exist and for labels that do not fit it.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    problem: Problem = "single_label_classification"
    pooling: Pooling | None = None
    dropout: float | None = None
    normalize: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of head", self.kind, KINDS)
        if self.problem not in PROBLEMS:
            raise unknown("problem_type", self.problem, PROBLEMS)
        if self.pooling not in (None, *get_args(Pooling)):
            raise unknown("pooling", str(self.pooling), get_args(Pooling))
        if self.kind == "embedding" and self.pooling not in (None, *EMBEDDING_POOLINGS):
            raise unknown("pooling of an embedding", str(self.pooling), EMBEDDING_POOLINGS)
        if (self.kind in LABELLED) != bool(self.labels):
            raise InputError(f'a head of kind "{self.kind}" has {"no " * bool(self.labels)}labels')
        if len(set(self.labels)) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise InputError(f"the label {twice!r} occurs twice: labels must differ")

    @property
    def reads_text(self) -> bool:
        """Whether its kind reads a text as a whole, and so pools."""
        return self.kind in ("sequence", "choice")

    @property
    def has_settings(self) -> bool:
        """Whether files say how its kind pools and drops out."""
        return self.kind not in (*PRETRAINING, "crf", "embedding", "siamese")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model from files. specs: its heads, in the model's order.

    fresh: our names of the tensors no file gave, which only a head that was asked for may have.
    unread: the file's names of weights of heads that nobody asked for.
    kept: keys of config.json that change no numbers here and are written again by `to_hf`.
    """

    model: Model
    specs: tuple[HeadSpec, ...]
    fresh: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict)


class Family(Protocol):
    """One model family. Sizes in `presets`: {size: settings}, the settings `config` takes."""

    @property
    def name(self) -> str: ...
    @property
    def presets(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def published(self) -> Mapping[str, int]:
        """{size: parameters as the paper rounds them}, where there is a paper of this size."""

    @property
    def has_pooler(self) -> bool:
        """Whether the family's files keep a layer between body and heads (`pooler_of`)."""

    @property
    def token_ids(self) -> Mapping[str, str | tuple[str, ...]]:
        """{key of config.json: role of the special token whose id it holds}; of several roles the first there is."""

    def config(self, size: str | Mapping[str, Any], vocab_size: int, **changes: Any) -> TransformerConfig:
        """A body's config from a preset's name or a mapping of settings, with changes. InputError for unknown ones."""

    def build(self, config: TransformerConfig, seed: int = 0) -> Body:
        """A body with fresh weights; it knows its family and can make the family's heads (`body.family_head`)."""

    def head(
        self,
        kind: str,
        body: Body,
        num_labels: int | None = None,
        *,
        seed: int = 0,
        pooling: Pooling | None = None,
        dropout: float | None = None,
        normalize: bool | None = None,
    ) -> nn.Module:
        """A head with fresh weights. `num_labels` for kinds with labels (`LABELLED`)."""

    def head_of(self, spec: HeadSpec, body: Body, seed: int = 0) -> nn.Module:
        """The head a spec asks for, with fresh weights."""

    def pooler_of(self, body: Body, seed: int = 0) -> nn.Module:
        """The layer that the family's files keep between body and heads, attached to the body where it has none yet.
        InputError where the family has no such layer."""

    def for_tokenizer(self, special_ids: Mapping[str, int]) -> Mapping[str, Any]:
        """Settings that a body must have to go with a tokenizer: {dotted path: value}."""

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """Where special tokens and spans go. InputError for a tokenizer without the tokens it needs."""

    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        """The longest sequence, special tokens included."""

    def reads(self, hf: Mapping[str, Any]) -> bool:
        """Whether a config.json is of this family."""

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """A model from config.json and weights. heads: None for those of the file, else exactly these.

        Raises InputError for settings that pretune does not compute, for missing and for unknown weights.
        """

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """config.json and weights. Raises InputError for a model the family's files cannot express."""


def ids_told(family: Family, special_ids: Mapping[str, int]) -> dict[str, int | None]:
    """The keys of config.json that hold ids of special tokens, with a tokenizer's; None where it has no such token."""
    return {
        key: next((special_ids[role] for role in roles if role in special_ids), None)
        for key, roles in roles_of(family).items()
    }


def roles_of(family: Family) -> dict[str, tuple[str, ...]]:
    """`token_ids` with several roles everywhere."""
    return {key: (role,) if isinstance(role, str) else role for key, role in family.token_ids.items()}


def open_family(name: str) -> Family:
    """The family of a name, or of `package.module:name` from outside. InputError names what there is."""
    family: Family = find(__package__, "family", name)
    return family


def family_of(hf: Mapping[str, Any]) -> Family:
    """The family that reads a config.json. InputError names the model types there are."""
    for name in entries(__package__):
        family = open_family(name)
        if family.reads(hf):
            return family
    raise InputError(
        f"config.json: model_type is {hf.get('model_type')!r}: pretune's families are {', '.join(entries(__package__))}"
    )
