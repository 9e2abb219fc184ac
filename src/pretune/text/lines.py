"""Bytes to checked lines: plain, .gz and .zst files, one line at a time, in bounded memory.

A line ends at a line feed (a carriage return before it is dropped); other Unicode line separators are ordinary white
space. A UTF-8 byte order mark at the start of a file is dropped.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from pretune.core.errors import InputError, bad_line, need_extra
from pretune.text.faults import Faults

MAX_LINE_BYTES = 64 << 20
COMPRESSED = {".gz", ".zst"}
_BUFFER = 1 << 20


def plain_suffix(path: str | Path) -> str:
    """The suffix that tells the format, in lower case, without a compression suffix.

    >>> plain_suffix("a/b.CSV.gz")
    '.csv'
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_bytes(path: str | Path) -> Iterator[IO[bytes]]:
    """A buffered binary stream of the uncompressed content. InputError where it cannot be opened or is damaged."""
    file = Path(path)
    if not file.exists():
        raise InputError(f"{path}: no such file")
    if file.is_dir():
        raise InputError(f"{path}: is a directory: name the files in it")
    damaged: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    try:
        with file.open("rb", buffering=_BUFFER) as raw:
            stream: IO[bytes] = raw
            if file.suffix.lower() == ".gz":
                stream = cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), _BUFFER))
            elif file.suffix.lower() == ".zst":
                zstandard = need_extra("zstandard", "data")
                damaged = (*damaged, zstandard.ZstdError)
                reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
                stream = io.BufferedReader(reader, _BUFFER)
            yield stream
    except damaged as error:
        raise InputError(f"{path}: the compressed file is damaged or cut off ({error}): make it anew") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def read_lines(
    path: str | Path, faults: Faults, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, str | None]]:
    """(line number from 1, the line without its end), or (line number, None) for a line that was skipped."""
    with open_bytes(path) as stream:
        yield from checked_lines(stream, path, faults, max_line_bytes)


def checked_lines(
    stream: IO[bytes], path: str | Path, faults: Faults, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, str | None]]:
    """`read_lines` of a stream that is open already; path: what errors call it."""
    number = 0
    while raw := stream.readline(max_line_bytes + 1):
        number += 1
        if number == 1:
            raw = _without_mark(path, raw)
        if len(raw) > max_line_bytes and not raw.endswith(b"\n"):
            faults.report(path, number, "line too long", f"more than {max_line_bytes:,} bytes")
            _drop_rest(stream)
            yield number, None
        elif b"\0" in raw:
            faults.report(path, number, "NUL byte", f"at byte {raw.index(0)} of the line")
            yield number, None
        else:
            yield number, _decode(path, number, raw, faults)


def _decode(path: str | Path, number: int, raw: bytes, faults: Faults) -> str | None:
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        faults.report(path, number, "invalid UTF-8", f"byte 0x{raw[error.start]:02x} at byte {error.start} of the line")
        return None


def _without_mark(path: str | Path, raw: bytes) -> bytes:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise bad_line(path, 1, "UTF-16 text", "convert the file to UTF-8")
    return raw.removeprefix(b"\xef\xbb\xbf")


def _drop_rest(stream: IO[bytes]) -> None:
    while (rest := stream.readline(_BUFFER)) and not rest.endswith(b"\n"):
        pass
