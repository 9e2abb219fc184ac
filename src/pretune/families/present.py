"""Which heads a Hugging Face file has, as specs: from the class it names, the names of its weights and its labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from torch import Tensor

from pretune.core.errors import InputError
from pretune.families import layout as files
from pretune.families.family import KINDS, PRETRAINING, WITHOUT_WEIGHTS, HeadSpec, Kind
from pretune.families.labels import read_labels, read_problem
from pretune.families.layout import GENERIC_HEADS, OWN, Layout
from pretune.families.settings import rate
from pretune.nn.pooling import Pooling

HeadSettings = Callable[[Kind], tuple[Pooling, float | None]]
"""How config.json says that a head of a kind pools, and its dropout."""


@dataclass(frozen=True)
class Present:
    """A head of a file. is_own: under our names, behind `pretune.`."""

    spec: HeadSpec
    is_own: bool = False

    def fits(self, wanted: HeadSpec) -> bool:
        """Whether its output map is the one that is wanted: the same labels in the same order, and for a head under our
        names the same pooling, on which its other weights depend."""
        same_pooling = not self.is_own or wanted.pooling in (None, self.spec.pooling)
        return self.spec.labels == wanted.labels and self.spec.problem == wanted.problem and same_pooling


def heads_in(
    layout: Layout,
    hf: Mapping[str, Any],
    file: Mapping[str, Tensor],
    head_settings: HeadSettings,
    all_wanted: bool,
) -> list[Present]:
    """The heads of a file with normal names.

    all_wanted: the caller wants all of them, so a head of a kind pretune does not read is an InputError.
    """
    architectures = hf.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise InputError(f"config.json: architectures is {architectures!r}: expected a list of class names")
    kinds = files.native_kinds(layout, architectures, file)
    if all_wanted:
        _refuse_other_heads(layout, architectures, kinds, file)
    there = [kind for kind in kinds if kind in PRETRAINING or _output_map(layout, kind) in file]
    specs = [_spec(layout, kind, hf, file) for kind in there]
    own = [kind for kind in KINDS if any(name.startswith(f"{OWN}{kind}.") for name in file)]
    weightless = [*WITHOUT_WEIGHTS, *(kind for kind, parts in layout.heads.items() if not files.raw_names(parts))]
    own += [kind for kind in weightless if kind in told_heads(hf) and kind not in (*own, *there)]
    return [Present(complete(spec, head_settings)) for spec in specs] + [
        Present(_own_spec(kind, hf), True) for kind in own
    ]


def told_heads(hf: Mapping[str, Any]) -> Mapping[str, Any]:
    """What config.json says of heads under our own names; nothing where it says nothing that can be read."""
    ours = hf.get("pretune")
    heads = ours.get("heads") if isinstance(ours, Mapping) else None
    return heads if isinstance(heads, Mapping) else {}


def wanted_spec(spec: HeadSpec, present: Sequence[Present], head_settings: HeadSettings) -> HeadSpec:
    """What is asked for, with what it leaves open. A head that is trained anew reads one row unless told otherwise
    (where transformers takes the config's pooling); one that the file has keeps its own."""
    there = next((each.spec for each in present if each.spec.kind == spec.kind and each.fits(spec)), None)
    if there is not None and spec.kind == "embedding":
        how = there.normalize if spec.normalize is None else spec.normalize
        return replace(spec, pooling=there.pooling, normalize=how)
    settings: tuple[Pooling, float | None] = ("row", head_settings(spec.kind)[1])
    if there is not None:
        settings = (there.pooling or "row", there.dropout)
    return complete(spec, lambda _: settings)


def complete(spec: HeadSpec, head_settings: HeadSettings) -> HeadSpec:
    """A spec with the file's pooling and dropout where it leaves them open."""
    if spec.kind == "embedding":
        return replace(spec, pooling=spec.pooling or "mean", normalize=bool(spec.normalize))
    if not spec.has_settings:
        return spec
    pooling, dropout = head_settings(spec.kind)
    if spec.reads_text and spec.pooling is None:
        spec = replace(spec, pooling=pooling)
    return replace(spec, dropout=dropout) if spec.dropout is None else spec


def _spec(layout: Layout, kind: Kind, hf: Mapping[str, Any], file: Mapping[str, Tensor]) -> HeadSpec:
    if kind in (*PRETRAINING, "choice", "answer"):
        return HeadSpec(kind)
    name = _output_map(layout, kind)
    shape = file[name].shape
    if len(shape) != 2 or not shape[0]:
        raise InputError(f"{name} has shape {list(shape)}: expected [labels, hidden_size]")
    num_labels = shape[0]
    labels = read_labels(hf, num_labels)
    return HeadSpec(kind, labels, read_problem(hf, num_labels)) if kind == "sequence" else HeadSpec(kind, labels)


def _own_spec(kind: Kind, hf: Mapping[str, Any]) -> HeadSpec:
    try:
        told = hf["pretune"]["heads"][kind]
        labels, pooling = told["labels"], told["pooling"]
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise TypeError
        if pooling not in (None, *get_args(Pooling)):
            raise TypeError
        normalize = told.get("normalize")
        if normalize not in (None, True, False):
            raise TypeError
        return HeadSpec(kind, tuple(labels), told["problem"], pooling, rate(told, "dropout"), normalize)
    except (KeyError, TypeError) as error:
        raise InputError(f"config.json: pretune.heads.{kind} is missing or wrong, and the weights have it") from error


def _refuse_other_heads(
    layout: Layout, architectures: Sequence[str], kinds: Sequence[Kind], file: Mapping[str, Tensor]
) -> None:
    has_classifier = any(name.startswith(GENERIC_HEADS) for name in file)
    if has_classifier and not any(_output_map(layout, kind).startswith(GENERIC_HEADS) for kind in kinds):
        raise _unread_class(layout, architectures)
    if architectures and files.class_kinds(layout, architectures) is None:
        raise _unread_class(layout, architectures)
    for kind in kinds:
        name = _output_map(layout, kind)
        if kind not in PRETRAINING and name not in file:
            raise InputError(f"the weights lack {name}, and {', '.join(architectures)} has a {kind} head")


def _output_map(layout: Layout, kind: Kind) -> str:
    """The file's name of the weight of a head's last map; "" of one that is all the body's (GPT's language model)."""
    rules = layout.heads[kind][-1].rules
    return rules[0].theirs[0] if rules else ""


def _unread_class(layout: Layout, architectures: Sequence[str]) -> InputError:
    return InputError(
        f"config.json: architectures is {', '.join(architectures) or 'empty'}, and the file has a head: pretune reads "
        f"those of {', '.join(layout.class_name + end for end in layout.architectures)}. Name the heads you want, and "
        f"others are left out"
    )
