"""Whole tensors and the parts of them that this process has: FSDP2 keeps each parameter as a DTensor in shards of rows.

A checkpoint holds whole tensors, so that it is the same for any number of processes: they are gathered to process 0
one by one on the way out, and handed out one by one on the way in. Plain tensors (one process, DDP) pass through.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from pretune.train.distribute import Processes

META = "$meta"


def whole(tensor: Tensor) -> Tensor:
    """The full tensor, gathered where it is sharded. Collective."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor, where it lies; maybe no row at all."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def first_row(tensor: Tensor) -> int:
    """The number of the first row of this process's part. Rows are dealt out as `torch.chunk` does."""
    if not isinstance(tensor, DTensor):
        return 0
    num_each = -(-tensor.shape[0] // tensor.device_mesh.size())
    return min(tensor.device_mesh.get_local_rank() * num_each, tensor.shape[0])


def part_like(full: Tensor, like: Tensor) -> Tensor:
    """Of a full tensor that every process has, the rows that this process has of `like`, as a tensor of its kind."""
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def gathered(weights: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole copies on the CPU, one tensor after the other; kept where asked, empty elsewhere. Tied ones once."""
    copies: dict[tuple[Any, ...], Tensor] = {}
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        own = part(tensor)
        place = (own.data_ptr() if own.numel() else id(tensor), tuple(own.shape), tuple(tensor.shape))
        if not isinstance(tensor, DTensor) and not keep:
            continue
        full = whole(tensor.detach())  # collective even where it was seen: which are tied is seen by each for itself
        if keep:
            found[name] = copies.setdefault(place, full if full.is_meta else full.to("cpu", copy=True))
    return found


def restore(weights: Mapping[str, Tensor], saved: Mapping[str, Tensor], receive: Callable[[Tensor], Tensor]) -> None:
    """Fills `weights` in place from whole ones. RuntimeError where names or shapes differ; nothing is changed then.

    receive: makes of process 0's tensor everybody's; elsewhere `saved` may hold meta tensors.
    """
    missing = [name for name in weights if name not in saved]
    foreign = [name for name in saved if name not in weights]
    shapes = [
        f"{name} is {tuple(saved[name].shape)} and not {tuple(tensor.shape)}"
        for name, tensor in weights.items()
        if name in saved and saved[name].shape != tensor.shape
    ]
    if missing or foreign or shapes:
        raise RuntimeError("; ".join([*(f"no {name}" for name in missing), *(f"a {n} too" for n in foreign), *shapes]))
    with torch.no_grad():
        for name, tensor in weights.items():
            full = receive(saved[name])
            tensor.copy_(part_like(full.to(tensor.dtype), tensor))


def outline(state: Any) -> Any:
    """A state with its tensors replaced by their shapes and types, as JSON goes."""
    if isinstance(state, Tensor):
        return {META: [list(state.shape), str(state.dtype).removeprefix("torch.")]}
    if isinstance(state, Mapping):
        return {key: outline(value) for key, value in state.items()}
    return [outline(value) for value in state] if isinstance(state, list | tuple) else state


def from_outline(told: Any) -> Any:
    """The state again, with meta tensors where there were tensors."""
    if isinstance(told, dict):
        if META in told:
            shape, dtype = told[META]
            return torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        return {key: from_outline(value) for key, value in told.items()}
    return [from_outline(value) for value in told] if isinstance(told, list) else told


def share_state(processes: Processes, state: Any) -> Any:
    """Process 0's state; elsewhere with meta tensors, to be filled by `receive_all` or one by one by `broadcast`."""
    told = processes.broadcast_json(outline(state) if processes.is_first else None)
    return state if processes.is_first else from_outline(told)


def receive_all(processes: Processes, state: Any) -> Any:
    """A shared state with all its tensors."""
    if isinstance(state, Tensor):
        return processes.broadcast(state)
    if isinstance(state, dict):
        return {key: receive_all(processes, value) for key, value in state.items()}
    return [receive_all(processes, value) for value in state] if isinstance(state, list) else state
