"""Differentiable moves of rows whose backward moves rows too, and adds nothing up: each row goes to one place.

Dimensions: T packed tokens, R rows read, C maps (queries, keys, values), H heads, E head size; N sequences of a group
padded to W.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pretune.nn.layout import Side


def take(x_TD: Tensor, rows_R: Tensor) -> Tensor:
    """Rows of x_TD, [R, D]. The rows must be unique: where one is taken twice, its gradient would be one of two."""
    return _Take.apply(x_TD, rows_R)  # type: ignore[no-any-return, no-untyped-call]


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, rows_R: Tensor) -> Tensor:
        ctx.save_for_backward(rows_R)
        ctx.shape = x_TD.shape
        return x_TD.index_select(0, rows_R)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None]:
        (rows_R,) = ctx.saved_tensors
        return grad_RD.new_zeros(ctx.shape).index_copy_(0, rows_R, grad_RD), None


def spread(x_TCHE: Tensor, sides: tuple[Side, ...]) -> list[list[Tensor]]:
    """Each group's C maps as [N, H, W, E], ready for attention. Groups without padding are views."""
    num_maps = x_TCHE.shape[1]
    parts = _Spread.apply(x_TCHE, sides) if sides else ()  # type: ignore[no-untyped-call]
    return [list(parts[first : first + num_maps]) for first in range(0, len(parts), num_maps)]


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TCHE: Tensor, sides: tuple[Side, ...]) -> tuple[Tensor, ...]:
        ctx.sides = sides
        ctx.shape = x_TCHE.shape
        parts: list[Tensor] = []
        for side in sides:
            rows = x_TCHE[side.start : side.end]
            if side.taken_P is not None:
                rows = rows.index_select(0, side.taken_P)
            parts += rows.view(side.num, side.width, *ctx.shape[1:]).transpose(1, 3).unbind(2)
        return tuple(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        num_maps = ctx.shape[1]
        covered = sum(side.end - side.start for side in ctx.sides) == ctx.shape[0]
        grad_TCHE = grads[0].new_empty(ctx.shape) if covered else grads[0].new_zeros(ctx.shape)
        for index, side in enumerate(ctx.sides):
            rows = grad_TCHE[side.start : side.end]
            for number, grad_NHWE in enumerate(grads[index * num_maps : (index + 1) * num_maps]):
                grad_NWHE = grad_NHWE.transpose(1, 2)
                if side.place_T is not None:
                    rows[:, number] = grad_NWHE.flatten(0, 1).index_select(0, side.place_T)
                else:
                    rows.view(side.num, side.width, *ctx.shape[1:])[:, :, number] = grad_NWHE
        return grad_TCHE, None


def collect(parts: list[Tensor], sides: tuple[Side, ...], num_rows: int) -> Tensor:
    """The packed rows [num_rows, H, E] of groups' [N, H, W, E]; a single group without padding is a view."""
    if len(sides) == 1 and sides[0].place_T is None:
        return parts[0].transpose(1, 2).flatten(0, 1)
    return _Collect.apply(sides, num_rows, *parts)  # type: ignore[no-any-return, no-untyped-call]


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sides: tuple[Side, ...], num_rows: int, *parts: Tensor) -> Tensor:
        ctx.sides = sides
        heads, size = parts[0].shape[1], parts[0].shape[3]
        x_THE = parts[0].new_empty(num_rows, heads, size)
        for side, part_NHWE in zip(sides, parts, strict=True):
            rows = x_THE[side.start : side.end]
            part_NWHE = part_NHWE.transpose(1, 2)
            if side.place_T is not None:
                torch.index_select(part_NWHE.flatten(0, 1), 0, side.place_T, out=rows)
            else:
                rows.view(side.num, side.width, heads, size).copy_(part_NWHE)
        return x_THE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_THE: Tensor) -> tuple[Tensor | None, ...]:
        grads: list[Tensor | None] = [None, None]
        for side in ctx.sides:
            rows = grad_THE[side.start : side.end]
            if side.place_T is not None:
                places = rows.new_zeros(side.num * side.width, *rows.shape[1:])
                rows = places.index_copy_(0, side.place_T, rows)
            grads.append(rows.view(side.num, side.width, *grad_THE.shape[1:]).transpose(1, 2))
        return tuple(grads)
