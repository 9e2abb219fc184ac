"""Weights in pickles (`pytorch_model.bin`), for models that have no others: only on request, and only tensors.

The one place of pretune that opens a pickle. `torch.load(weights_only=True)` builds tensors and plain containers and
calls nothing else a file names; the ways around it that are known were closed by torch 2.6 (CVE-2025-32434) and torch
2.10 (memory corruption by crafted storages), so an older torch is refused. What remains is torch's own parser reading
hostile bytes: prefer safetensors, and convert where you trust the file:

    pretune.load("DIR", allow_pickle=True).save("CONVERTED")
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from pretune.core.errors import InputError

BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SINCE = "2.10"
"""The first torch whose restricted reader is trusted here."""


def read_pickle(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a pickled state dict. InputError, naming the file, for anything else it holds."""
    if TorchVersion(torch.__version__) < SINCE:
        raise InputError(f"{path}: pickles are read with torch {SINCE} or newer, and this is {torch.__version__}")
    if not path.is_file():
        raise InputError(f"{path}: {'not an ordinary file' if path.exists() else 'missing'}")
    _refuse_bombs(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's parser meets in hostile bytes, MemoryError included
        first = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"{path}: not read: it holds more than tensors, or is damaged ({first:.200})") from error
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{path}: not read: expected names and tensors, found {type(state).__name__}")
    return {name: _plain(path, name, value) for name, value in state.items()}


def _refuse_bombs(path: Path) -> None:
    """torch writes its zip files uncompressed; a compressed one could unfold without bound."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RecursionError) as error:
        raise InputError(f"{path}: not read: a damaged zip file ({error})") from error
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise InputError(f"{path}: not read: its parts are compressed, which torch never does")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise InputError(f"{path}: not read: its parts say they are larger than the file")


def _plain(path: Path, name: str, value: object) -> Tensor:
    """A tensor whose numbers are all in the file: no views that repeat one number, no devices, no layouts."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.device.type != "cpu":
        raise InputError(f"{path}: {name!r:.80}: expected a plain tensor, found {type(value).__name__}")
    if value.is_quantized or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise InputError(f"{path}: {name!r:.80}: a tensor of shape {list(value.shape)} with fewer numbers than that")
    return value.detach()
