"""Weights from a file into a model: every tensor accounted for, what is missing or unknown named."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pretune.core.errors import InputError
from pretune.families import layout as files
from pretune.families.family import PRETRAINING, HeadSpec
from pretune.families.layout import GENERIC_HEADS, OWN, Layout, Part
from pretune.families.present import Present
from pretune.families.weights import Rule, names_read, part_rows, to_ours
from pretune.nn.model import Model


def read_weights(
    layout: Layout,
    model: Model,
    file: Mapping[str, Tensor],
    specs: Sequence[HeadSpec],
    present: Sequence[Present],
    *,
    may_be_fresh: bool,
) -> tuple[list[str], list[str]]:
    """Fills the model's tensors in place. Returns our names of tensors left fresh, and the file's names left unread.

    file: with normal names. specs: the model's heads; present: the file's. A head's output map is read only if the file
    has the same labels in the same order. may_be_fresh: the heads were asked for, so one the file lacks stays fresh.
    """
    tensors = files.tensors_of(model)
    num_layers = files.num_layers(model.body.config)
    fresh: list[str] = []
    used: set[str] = set()
    covered: set[str] = set()
    parts = [(part, True) for part in (layout.body, layout.pooler) if part is not None]
    top = files.top_part(tensors)
    parts += [(top, True)] if top.rules else []
    parts += [part for spec in specs for part in _head_parts(layout, tensors, spec, present)]
    for part, is_read in parts:
        rules = files.expanded(part, num_layers, tensors)
        covered |= {rule.ours for rule in rules}
        given = to_ours(rules, file if is_read else {})
        missing = [rule for rule in rules if rule.ours not in given]
        is_optional = may_be_fresh and part is not layout.body and part is not top
        if missing and not (is_optional and len(missing) == len(rules)):
            raise InputError(f"the weights lack {_listed(name for rule in missing for name in rule.theirs)}")
        _fill(rules, tensors, given)
        fresh += [rule.ours for rule in missing]
        used |= names_read(rules) if is_read else set()
    assert covered == tensors.keys(), f"no rule fills {sorted(tensors.keys() - covered)}"
    asked = files.raw_names(part for part, is_read in parts if is_read)
    return fresh, _unread(layout, file.keys() - used, asked, may_be_fresh)


def check_sizes(layout: Layout, body: nn.Module, file: Mapping[str, Tensor]) -> None:
    """InputError where the file lacks a tensor of the body or has it in another shape.

    body: may be on the meta device, so that a config that lies about sizes is found out before memory is taken for it.
    """
    tensors = {f"body.{name}": tensor for name, tensor in body.named_parameters()}
    fused = {f"body.{name}": rows for name, rows in files.fused_rows(body).items()}
    for rule in files.expanded(layout.body, files.num_layers(body.config), tensors):  # type: ignore[arg-type]
        if lacking := [name for name in rule.theirs if name not in file]:
            raise InputError(f"the weights lack {_listed(lacking)}")
        shape, parts = tensors[rule.ours].shape, [file[name].shape for name in rule.theirs]
        for name, part, rows in zip(rule.theirs, parts, part_rows(rule, shape[0], fused), strict=True):
            expected = [rows, *shape[1:]][::-1] if rule.is_transposed else [rows, *shape[1:]]
            if list(part) != expected:
                raise _other_shape(name, part, expected)


def _other_shape(name: str, found: Sequence[int], expected: Sequence[int]) -> InputError:
    return InputError(f"{name} has shape {list(found)}: config.json asks for {list(expected)}")


def _head_parts(
    layout: Layout, ours: Iterable[str], spec: HeadSpec, present: Sequence[Present]
) -> list[tuple[Part, bool]]:
    """A head's parts, and whether to read each: an output map is read where the file's labels are the wanted ones."""
    of_file = next((each for each in present if each.spec.kind == spec.kind), None)
    fits = spec.kind in PRETRAINING or (of_file is not None and of_file.fits(spec))
    if files.is_native(layout, spec) and not (fits and of_file is not None and of_file.is_own):
        parts = layout.heads[spec.kind]
    else:
        parts = (files.own_part(spec.kind, ours),)
        fits = fits and of_file is not None and of_file.is_own
    return [(part, fits or not part.output) for part in parts]


def _fill(rules: Iterable[Rule], tensors: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    for rule in rules:
        if rule.ours not in given:
            continue
        tensor, value = tensors[rule.ours], given[rule.ours]
        if tensor.shape != value.shape:
            raise _other_shape(" + ".join(rule.theirs), value.shape, tensor.shape)
        if not value.is_floating_point():
            raise InputError(f"{' + '.join(rule.theirs)} holds {value.dtype}: expected floating-point numbers")
        with torch.no_grad():
            tensor.copy_(value)


def _unread(layout: Layout, left: set[str], asked: set[str], may_be_fresh: bool) -> list[str]:
    """What is left of a file after reading: names of heads nobody asked for. Anything else is an InputError."""
    others = {name for parts in layout.heads.values() for name in files.raw_names(parts)} - asked
    of_heads = (*GENERIC_HEADS, OWN) if may_be_fresh else ()
    if foreign := sorted(name for name in left - others if not name.startswith(of_heads)):
        raise InputError(f"the weights have {_listed(foreign)}, which this model has no place for")
    return sorted(left)


def _listed(names: Iterable[str], most: int = 8) -> str:
    """Names, the first of them spelled out.

    >>> _listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more
