"""A nested state as JSON and tensors: what a training checkpoint's files hold.

Of {"model": {"weight": tensor}, "run": {"step": 7}}, the skeleton
{"model": {"weight": {"$tensor": ["model", "/weight"]}}, "run": {"step": 7}} is JSON, and the tensors are named by part:
{"model": {"/weight": tensor}}. A tensor met twice (tied weights) is written once and referred to. Without pickle: str
keys, numbers, texts, None, lists and tensors.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

TENSOR = "$tensor"

Tensors = dict[str, dict[str, torch.Tensor]]


def split(state: Mapping[str, Any]) -> tuple[dict[str, Any], Tensors]:
    """(skeleton, tensors by part as they are). Raises TypeError for what cannot be in a checkpoint."""
    tensors: Tensors = {}
    seen: dict[tuple[Any, ...], list[str]] = {}
    skeleton = {part: _split(value, part, "", tensors.setdefault(part, {}), seen) for part, value in state.items()}
    return skeleton, {part: named for part, named in tensors.items() if named}


def _split(
    value: Any, part: str, name: str, tensors: dict[str, torch.Tensor], seen: dict[tuple[Any, ...], list[str]]
) -> Any:
    if isinstance(value, torch.Tensor):
        place = (value.data_ptr(), tuple(value.shape), value.stride(), value.dtype, value.device)
        if value.numel() == 0 or place not in seen:
            seen[place] = [part, name]
            tensors[name] = value.detach()
        return {TENSOR: seen[place] if value.numel() else [part, name]}
    if isinstance(value, Mapping):
        if wrong := next((key for key in value if not isinstance(key, str) or key == TENSOR), None):
            raise TypeError(f"{wrong!r} cannot be a key in a checkpoint")
        return {key: _split(inner, part, f"{name}/{key}", tensors, seen) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_split(inner, part, f"{name}/{index}", tensors, seen) for index, inner in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{part}{name}: a {type(value).__name__} cannot be in a checkpoint")


def standalone(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """On the CPU, contiguous, each with a storage that is all its own: what safetensors writes."""
    found: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != tensor.numel() * tensor.element_size():
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        found[name] = tensor
    return found


def join(value: Any, tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> Any:
    """The state of a skeleton and its tensors; tuples are lists now."""
    if isinstance(value, dict):
        if TENSOR in value:
            part, name = value[TENSOR]
            return tensors[part][name]
        return {key: join(inner, tensors) for key, inner in value.items()}
    return [join(inner, tensors) for inner in value] if isinstance(value, list) else value


def each_tensor(tensors: Tensors) -> Iterator[torch.Tensor]:
    """All of them."""
    for named in tensors.values():
        yield from named.values()


def all_finite(tensors: Tensors) -> bool:
    """Whether no number in them is NaN or infinite; whole numbers always are finite."""
    floating = (one for one in each_tensor(tensors) if one.is_floating_point() or one.is_complex())
    return all(bool(torch.isfinite(one if one.element_size() > 1 else one.float()).all()) for one in floating)
