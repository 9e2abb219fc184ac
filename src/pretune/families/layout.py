"""What a family's weight files look like: names of the body, the pooler and each head, and transformers' classes.

A head that transformers has no class for, or whose names another head of the file already uses, is written under our
own names behind `pretune.`; transformers opens such a file and reports the names as unexpected.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pretune.families.family import PRETRAINING, HeadSpec, Kind
from pretune.families.weights import Rule, expand, module, names_read, same
from pretune.nn.config import TransformerConfig
from pretune.nn.initial import Linear
from pretune.nn.model import Model
from pretune.nn.pooling import Pooling

OWN = "pretune."
GENERIC_HEADS = ("classifier.",)
"""Where transformers' classes keep heads of many kinds, some of which we do not read."""
RENAMED = ((".gamma", ".weight"), (".beta", ".bias"))
"""Norms as TensorFlow, and so the oldest converted files, name them."""
ENCODER_CLASSES: Mapping[str, tuple[Kind, ...]] = {
    "Model": (),
    "ForMaskedLM": ("lm",),
    "ForSequenceClassification": ("sequence",),
    "ForTokenClassification": ("token",),
    "ForMultipleChoice": ("choice",),
    "ForQuestionAnswering": ("answer",),
}
"""The classes that transformers has of encoder families: the ends of their names, and the kinds of their heads."""
IGNORED = (".position_ids", ".token_type_ids", ".inv_freq", ".attn.bias", ".attn.masked_bias")
"""Buffers that old files hold: counters, tables and masks (GPT's attn.bias) that follow from the config."""


@dataclass(frozen=True)
class Part:
    """Tensors a file has all of or none of. output: the last map of a head, whose size is that of its labels."""

    rules: tuple[Rule, ...]
    output: bool = False


@dataclass(frozen=True)
class Layout:
    """class_name: as transformers' classes begin. prefix: before the body's names in a file with heads.

    body, pooler: rules with `ours` beginning with "body."; heads: with the kind. architectures: {end of a class's name:
    kinds of its heads}. poolings: those that config.json can say.
    Where the family's bodies have no map between embeddings and layers, a generator's is under our own name.
    """

    class_name: str
    prefix: str
    body: Part
    heads: Mapping[Kind, tuple[Part, ...]]
    architectures: Mapping[str, tuple[Kind, ...]]
    pooler: Part | None = None
    poolings: tuple[Pooling, ...] = ("row",)

    def __post_init__(self) -> None:
        own_map = module("body.embedding_map", OWN + "embedding_map")
        if {rule.ours for rule in own_map}.isdisjoint(rule.ours for rule in self.body.rules):
            object.__setattr__(self, "body", Part((*self.body.rules, *own_map), self.body.output))


def tensors_of(model: Model) -> dict[str, Tensor]:
    """Our names of a model's tensors, "body.…" and "lm.…"; what a head shares with the body is the body's."""
    found: dict[str, Tensor] = {f"body.{name}": tensor for name, tensor in model.body.named_parameters()}
    shared = {id(tensor) for tensor in found.values()}
    for kind, head in model.heads.items():
        found |= {f"{kind}.{name}": tensor for name, tensor in head.named_parameters() if id(tensor) not in shared}
    return found


def fused_rows(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """{name of a weight or bias: rows of each map that is fused in it} of a model's linear maps."""
    fused = {name: part.fused_rows for name, part in model.named_modules() if isinstance(part, Linear)}
    return {f"{name}.{end}": rows for name, rows in fused.items() if rows for end in ("weight", "bias")}


def num_layers(config: TransformerConfig) -> int:
    """How many layers names may count: of the deeper stack where there are two."""
    return max(config.num_layers, config.decoder.num_layers if config.decoder else 0)


def normal_names(layout: Layout, file: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors without the body's prefix, without ignorable buffers, and with today's names of norms."""
    found: dict[str, Tensor] = {}
    for name, tensor in file.items():
        plain = name.removeprefix(layout.prefix)
        for old, new in RENAMED:
            plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
        if not f".{plain}".endswith(IGNORED):
            found[plain] = tensor
    return found


def is_native(layout: Layout, spec: HeadSpec) -> bool:
    """Whether transformers has a class with this head, as it pools."""
    return spec.kind in layout.heads and spec.pooling in (None, *layout.poolings)


def own_part(kind: str, ours: Iterable[str]) -> Part:
    """A whole head under our own names."""
    return Part(tuple(rule for name in ours if name.startswith(f"{kind}.") for rule in same(name, OWN + name)), True)


def top_part(ours: Iterable[str]) -> Part:
    """What stands on top of a body, under our own names: transformers has no such body."""
    return own_part("body.top", ours)


def raw_names(parts: Iterable[Part]) -> set[str]:
    """Every name the parts of a head can have in a file."""
    return {name for part in parts for name in names_read(part.rules)}


def native_kinds(layout: Layout, architectures: Sequence[str], names: Iterable[str]) -> list[Kind]:
    """The kinds of heads a file has under the family's names: those its class has, and others that show by their names.

    A `classifier` is what the class says it is, and of no kind we know where the class is none of ours.
    """
    found = list(class_kinds(layout, architectures) or ())
    there = set(names)
    for kind, parts in layout.heads.items():
        if kind not in found and there & raw_names(parts[-1:]) and not _is_generic(parts):
            found.append(kind)
    return found


def class_kinds(layout: Layout, architectures: Sequence[str]) -> tuple[Kind, ...] | None:
    """The kinds of heads of the first class in `architectures` that we know; None where there is none of these."""
    for name in architectures:
        if name.removeprefix(layout.class_name) in layout.architectures:
            return layout.architectures[name.removeprefix(layout.class_name)]
    return None


def choose_class(layout: Layout, kinds: Sequence[Kind]) -> tuple[str, list[Kind]]:
    """The class that opens a file with heads of these kinds, and which of them can keep the family's names."""
    exact = [end for end, of in layout.architectures.items() if set(of) == set(kinds)]
    order: tuple[Kind, ...] = ("sequence", "token", "choice", "answer", "lm", *PRETRAINING)
    first = next((kind for kind in order if kind in kinds and kind in layout.heads), None)
    if exact:
        end = exact[0]
    else:
        alone = {of: end for end, of in reversed(list(layout.architectures.items())) if len(of) <= 1}
        end = alone[()] if first is None else alone.get((first,), alone[()])
    native: list[Kind] = list(layout.architectures[end])
    taken = raw_names(part for kind in native for part in layout.heads[kind])
    for kind in kinds:
        names = raw_names(layout.heads.get(kind, ()))
        if kind not in native and names and not names & taken and not _is_generic(layout.heads[kind]):
            native.append(kind)
            taken |= names
    return layout.class_name + end, native


def _is_generic(parts: Sequence[Part]) -> bool:
    """Whether a head's output map has a name that only the class explains."""
    return any(name.startswith(GENERIC_HEADS) for name in raw_names(parts[-1:]))


def expanded(part: Part, num_layers: int, ours: Iterable[str]) -> list[Rule]:
    """The part's rules for one model's tensors."""
    return expand(part.rules, num_layers, ours)
