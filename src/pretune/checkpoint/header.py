"""The header of a safetensors file, checked before anything is read by it.

Format (huggingface/safetensors, README, "Format"): 8 bytes with the header's length, little endian; a JSON object of
that many bytes, {name: {"dtype", "shape", "data_offsets"}} and perhaps "__metadata__" (texts to texts); then the data.
The tensors' bytes must lie end to end, without gap or overlap, up to the end of the file. The library checks most of
this too; here each fault is named with its tensor, and the shapes are known before a byte of data is touched.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError
from pretune.core.strict_json import parse_object

MAX_HEADER_BYTES = 100_000_000
"""The library's own limit."""
ADVICE = "fetch or write it again"
BYTES = {
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"], 1),
    **dict.fromkeys(["U16", "I16", "F16", "BF16"], 2),
    **dict.fromkeys(["U32", "I32", "F32"], 4),
    **dict.fromkeys(["U64", "I64", "F64"], 8),
}
"""Bytes of a number of each dtype that torch can hold."""


@dataclass(frozen=True)
class Entry:
    """One tensor of the file: its bytes are [start, end) of the data."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, Entry]:
    """{name: Entry} of a safetensors file. InputError `file: tensor: what is wrong` for a header that lies."""
    told, data_bytes = _read_json(path)
    told.pop("__metadata__", None)
    entries = {name: _entry(path, name, value) for name, value in told.items()}
    reached = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != reached:
            what = "overlaps the tensor before it" if entry.start < reached else "leaves a gap before it"
            raise _wrong(path, f"{name!r:.80} {what}: bytes {entry.start:,} to {entry.end:,}")
        reached = entry.end
    if reached != data_bytes:
        raise _wrong(path, f"{data_bytes:,} bytes of data, its header says {reached:,}")
    return entries


def _wrong(path: Path, what: str) -> InputError:
    return InputError(f"{path}: not a whole safetensors file ({what}): {ADVICE}")


def _read_json(path: Path) -> tuple[dict[str, Any], int]:
    """The header's object, and how many bytes of data follow it."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: {'not an ordinary file' if path.exists() else 'missing'}: {ADVICE}")
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise _wrong(path, f"a header of {length:,} bytes in a file of {size:,}")
            raw = file.read(length)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}): {ADVICE}") from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(path, f"the header is no text: {error.reason} at byte {error.start}") from error
    return parse_object(path, text, ADVICE), size - 8 - length


def _entry(path: Path, name: str, value: Any) -> Entry:
    def wrong(what: str) -> InputError:
        return _wrong(path, f"{name!r:.80}: {what}")

    if not isinstance(value, Mapping) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong("not described by dtype, shape and data_offsets alone")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise wrong(f"dtype is {dtype!r:.40}, expected one of {', '.join(BYTES)}")
    if not _are_counts(shape):
        raise wrong(f"shape is {shape!r:.60}, expected whole numbers from 0")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise wrong(f"data_offsets are {offsets!r:.60}, expected a start and an end behind it")
    if (needed := math.prod(shape) * BYTES[dtype]) != offsets[1] - offsets[0]:
        raise wrong(f"{dtype} of shape {shape!r:.60} needs {needed:,} bytes and has {offsets[1] - offsets[0]:,}")
    return Entry(dtype, tuple(shape), *offsets)


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 8
        and all(type(number) is int and 0 <= number < 1 << 48 for number in value)
    )
