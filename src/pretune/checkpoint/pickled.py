"""Weights in pickles (`pytorch_model.bin`), for models that have no others: only on request, and only tensors.

The one place of pretune that opens a pickle. `torch.load(weights_only=True)` builds tensors and plain containers and
calls nothing else a file names; the ways around it that are known were closed by torch 2.6 (CVE-2025-32434) and torch
2.10 (memory corruption by crafted storages), so an older torch is refused. What remains is torch's own parser reading
hostile bytes: prefer safetensors, and convert where you trust the file:

    pretune.load("DIR", allow_pickle=True).save("CONVERTED")
"""

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from pickletools import genops
from typing import IO

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from pretune.core.errors import InputError

BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SINCE = "2.10"
"""The first torch whose restricted reader is trusted here."""

MAX_NAME = 4096
MAX_PICKLED = 2**26
"""Bytes of pickles, which hold names and shapes and no numbers."""

NUM_OLD_PARTS = 5
"""Pickles at the start of torch's format before the zip: magic number, protocol, system, state, keys of the data."""


def read_pickle(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a pickled state dict. InputError, naming the file, for anything else it holds."""
    if TorchVersion(torch.__version__) < SINCE:
        raise InputError(f"{path}: pickles are read with torch {SINCE} or newer, and this is {torch.__version__}")
    if not path.is_file():
        raise InputError(f"{path}: {'not an ordinary file' if path.exists() else 'missing'}")
    _refuse_bombs(path)
    _refuse_long_names(path)
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


def _refuse_long_names(path: Path) -> None:
    """torch searches its message about a name that it refuses in time that grows with the square of the name."""
    try:
        is_long = any(len(name) > MAX_NAME for name in _names(path))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: not read: damaged, or no pickle of torch ({error!s:.200})") from error
    if is_long:
        raise InputError(f"{path}: not read: it holds a name of more than {MAX_NAME:,} characters")


def _names(path: Path) -> Iterator[str | bytes]:
    """Everything of some length that the pickles of a file name, without building anything."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = [part for part in archive.infolist() if part.filename.endswith("/data.pkl")]
            pickled = [_head(archive.open(part)) for part in parts]
    else:
        pickled = [_head(path.open("rb"))] * NUM_OLD_PARTS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of escapes that a name should not have
        for stream in pickled:
            if stream.tell() < len(stream.getbuffer()):
                yield from (named for _, named, _ in genops(stream) if isinstance(named, str | bytes))


def _head(stream: IO[bytes]) -> BytesIO:
    """The pickles of a stream: in memory, because a file is asked for as many bytes as a pickle says."""
    with stream:
        return BytesIO(stream.read(MAX_PICKLED))


def _plain(path: Path, name: str, value: object) -> Tensor:
    """A tensor whose numbers are all in the file: no views that repeat one number, no devices, no layouts."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.device.type != "cpu":
        raise InputError(f"{path}: {name!r:.80}: expected a plain tensor, found {type(value).__name__}")
    if value.is_quantized or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise InputError(f"{path}: {name!r:.80}: a tensor of shape {list(value.shape)} with fewer numbers than that")
    return value.detach()
