"""The rule language for weight names: one description of what a tensor is called here and there, read both ways.

A rule says that the tensor `ours` of a model equals the tensor `theirs` of a file, or several of the file's, stacked
along the first dimension (queries, keys and values are one matrix here, three in BERT's files; in equal parts unless
the model says of how many rows each is). `{n}` in a name stands for each layer. A rule for a tensor the model does not
have (a bias that is switched off) is passed over.

    body.layers.{n}.attention.qkv.weight  <->  encoder.layer.{n}.attention.self.(query + key + value).weight
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pretune.core.errors import InputError


@dataclass(frozen=True)
class Rule:
    """`ours` equals `theirs`, stacked along dimension 0 where there are several.

    is_transposed: the file has it as [in, out], as GPT's linear maps are (transformers' Conv1D); alone, not stacked.
    copies: further names under which a file may repeat the tensor (weights that are tied there). They are not written;
    where a file has one it must be equal, for we tie it.
    """

    ours: str
    theirs: tuple[str, ...]
    copies: tuple[str, ...] = ()
    is_transposed: bool = False


def same(ours: str, theirs: str, *copies: str) -> list[Rule]:
    """One tensor under two names.

    >>> (rule,) = same("decoder.bias", "cls.predictions.bias")
    >>> rule.ours, rule.theirs
    ('decoder.bias', ('cls.predictions.bias',))
    """
    return [Rule(ours, (theirs,), copies)]


def module(ours: str, *theirs: str) -> list[Rule]:
    """The weight and the bias of a linear layer or a norm; several of theirs are stacked in ours."""
    return [Rule(f"{ours}.{part}", tuple(f"{name}.{part}" for name in theirs)) for part in ("weight", "bias")]


def transposed(ours: str, theirs: str) -> list[Rule]:
    """The weight and the bias of a linear layer that the file keeps as transformers' Conv1D does: [in, out].

    >>> [rule.is_transposed for rule in transposed("output", "c_proj")]
    [True, False]
    """
    return [Rule(f"{ours}.weight", (f"{theirs}.weight",), is_transposed=True), *same(f"{ours}.bias", f"{theirs}.bias")]


def expand(rules: Iterable[Rule], num_layers: int, known: Iterable[str]) -> list[Rule]:
    """Rules for the tensors of one model: `{n}` filled in, and only those whose `ours` is in `known`."""
    names, found = set(known), []
    for rule in rules:
        for layer in range(num_layers if "{n}" in rule.ours else 1):
            filled = Rule(
                rule.ours.replace("{n}", str(layer)),
                tuple(name.replace("{n}", str(layer)) for name in rule.theirs),
                tuple(name.replace("{n}", str(layer)) for name in rule.copies),
                rule.is_transposed,
            )
            if filled.ours in names:
                found.append(filled)
    return found


def part_rows(rule: Rule, num_rows: int, fused: Mapping[str, Sequence[int]]) -> list[int]:
    """How many of ours' rows each of theirs has. fused: {ours: rows a part}, where a model knows it.

    >>> (rule,) = [Rule("qkv", ("q", "k", "v"))]
    >>> part_rows(rule, 6, {}), part_rows(rule, 6, {"qkv": (4, 1, 1)})
    ([2, 2, 2], [4, 1, 1])
    """
    told = fused.get(rule.ours, ())
    return list(told) if len(told) == len(rule.theirs) else [num_rows // len(rule.theirs)] * len(rule.theirs)


def to_theirs(
    rules: Sequence[Rule], state: Mapping[str, Tensor], fused: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    """The file's tensors from ours: fp32, on the CPU, contiguous, no two sharing memory. `rules` are expanded."""
    file: dict[str, Tensor] = {}
    for rule in rules:
        tensor = state[rule.ours].detach().to("cpu", torch.float32)
        tensor = (tensor.t() if rule.is_transposed else tensor).contiguous()
        if len(rule.theirs) > 1:
            parts = [part.clone() for part in torch.split(tensor, part_rows(rule, len(tensor), fused))]
        else:
            parts = [tensor]
        file |= zip(rule.theirs, parts, strict=True)
    return file


def to_ours(rules: Sequence[Rule], file: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors from the file's, for every expanded rule all of whose tensors the file has.

    Raises InputError where a file has some parts of a stacked tensor and lacks others, and where a copy of a tied
    weight differs from the weight.
    """
    state: dict[str, Tensor] = {}
    for rule in rules:
        lacking = [name for name in rule.theirs if name not in file]
        if len(lacking) == len(rule.theirs):
            continue
        if lacking:
            raise InputError(f"the weights lack {', '.join(lacking)}")
        parts = [file[name] for name in rule.theirs]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        state[rule.ours] = whole.t() if rule.is_transposed and whole.ndim == 2 else whole
        for copy in rule.copies:
            if copy in file and not _equal(file[copy], state[rule.ours]):
                raise InputError(f"{copy} differs from {rule.theirs[0]}, to which it should be tied: not supported")
    return state


def _equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second)


def names_read(rules: Iterable[Rule]) -> set[str]:
    """Every name in a file that the expanded rules account for."""
    return {name for rule in rules for name in (*rule.theirs, *rule.copies)}
