"""Muon: momentum whose update is orthogonalised, for hidden matrices (Jordan et al. 2024).

Each update is Nesterov momentum put through five Newton-Schulz iterations of an odd quintic polynomial, which bring all
singular values near 1 (between about 0.7 and 1.2). It is scaled by 0.2 * sqrt(max(rows, columns)) as Liu et al. 2025
(section 2.2) do, not by Jordan's sqrt(max(1, rows / columns)): the root mean square of an update is then near that of
AdamW's, so that one learning rate and one weight decay serve both optimizers and carry over from AdamW.

A fused matrix (queries, keys and values in one; gate and value of a GLU) is orthogonalised part by part along its rows.
Matrices of one shape, transposed where needed, are orthogonalised in one batched product: on CPU most hidden matrices
are small. Of a sharded parameter (FSDP2) the direction is gathered, orthogonalised whole in every process, and each
adds its own rows; for this as many matrices are taken at a time as stay below MAX_ELEMENTS. fp32 on CPU, where bf16
products are slow, bf16 on CUDA as published. Vectors, embeddings and heads are not for Muon (`optim.py` gives them to
AdamW).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pretune.train.shards import first_row, part, whole

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of X, X X' X and X X' X X' X: steepest at zero while staying near 1 (Jordan et al. 2024)."""
NUM_ITERATIONS = 5
MAX_ELEMENTS = 1 << 26
"""Numbers in the matrices that are orthogonalised at a time: 256 MB in fp32."""


def orthogonalise(matrices_NRC: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nearly the closest orthogonal matrix of each of N matrices, R <= C: U V' of the singular value decomposition."""
    x = matrices_NRC.to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.to(matrices_NRC.dtype)


@dataclass(frozen=True)
class Part:
    """Rows [start, end) of a matrix that are orthogonalised together."""

    parameter: Tensor
    start: int
    end: int

    def rows(self, tensor: Tensor) -> Tensor:
        return tensor[self.start : self.end]

    @property
    def shape(self) -> tuple[int, int]:
        """The wide form: fewer rows than columns."""
        rows, columns = self.end - self.start, int(self.parameter.shape[1])
        return min(rows, columns), max(rows, columns)

    @property
    def is_tall(self) -> bool:
        return self.end - self.start > self.parameter.shape[1]


class Muon(torch.optim.Optimizer):
    """Muon over matrices. rows: {id of a parameter: row counts of its fused parts}; one not in it is a single part."""

    def __init__(
        self,
        params: Sequence[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        rows: dict[int, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.rows = rows or {}
        for group in self.param_groups:
            for parameter in group["params"]:
                _parts(parameter, self.rows)  # refuses what is not a matrix now, not at the first step

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        directions = self._directions(params, group["momentum"])
        by_shape: dict[tuple[Any, ...], list[tuple[Part, Tensor]]] = defaultdict(list)
        for parameter, direction in zip(params, directions, strict=True):
            for piece in _parts(parameter, self.rows):
                by_shape[(piece.shape, parameter.device, parameter.dtype)].append((piece, direction))
        for (shape, *_), members in by_shape.items():
            at_once = max(1, MAX_ELEMENTS // math.prod(shape))
            for start in range(0, len(members), at_once):
                _update(members[start : start + at_once], shape, -group["lr"] * 0.2 * math.sqrt(max(shape)))

    def _directions(self, params: list[Tensor], momentum: float) -> list[Tensor]:
        """Nesterov momentum of each gradient, as exponential averages."""
        for parameter in params:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        averages = [self.state[parameter]["momentum"] for parameter in params]
        gradients = [parameter.grad for parameter in params if parameter.grad is not None]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, averages, momentum))


def _update(members: Sequence[tuple[Part, Tensor]], shape: tuple[int, int], scale: float) -> None:
    """Adds the orthogonalised directions of parts of one shape, times `scale`, to their parameters."""
    wide = torch.stack([_wide(piece, piece.rows(whole(direction))) for piece, direction in members])
    dtype = torch.bfloat16 if wide.device.type == "cuda" else torch.float32
    for (piece, _), update in zip(members, orthogonalise(wide, dtype), strict=True):
        first, own = first_row(piece.parameter), part(piece.parameter)
        start, end = max(piece.start - first, 0), min(piece.end - first, own.shape[0])
        if start < end:
            rows = _wide(piece, update)[start + first - piece.start : end + first - piece.start]
            own[start:end].add_(rows, alpha=scale)


def _wide(piece: Part, rows: Tensor) -> Tensor:
    """A part turned so that it is wide, or turned back."""
    return rows.mT if piece.is_tall else rows


def _parts(parameter: Tensor, rows: dict[int, tuple[int, ...]]) -> list[Part]:
    if parameter.ndim != 2:
        raise ValueError(f"Muon is for matrices, not for a parameter of shape {tuple(parameter.shape)}")
    sizes = rows.get(id(parameter), (int(parameter.shape[0]),))
    if sum(sizes) != parameter.shape[0]:
        raise ValueError(f"fused parts of {sizes} rows do not make up a matrix of {parameter.shape[0]} rows")
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [Part(parameter, end - size, end) for size, end in zip(sizes, ends, strict=True)]
