"""A .npy array written as it comes, whose number of rows is not known before the end, in bounded memory.

The header is written again in place at the end: NumPy leaves room in it for a first dimension of any size
(`numpy.lib.format`, since 1.23).
"""

import os
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """Rows of one shape and dtype to a binary file that is open for writing and can be sought in."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any], row_shape: tuple[int, ...] = ()) -> None:
        self.file, self.dtype, self.row_shape = file, dtype, row_shape
        self.num_rows = 0
        self._write_header()
        self._header_bytes = file.tell()

    def _write_header(self) -> None:
        shape = (self.num_rows, *self.row_shape)
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, described)

    def write(self, rows: NDArray[Any]) -> None:
        """Appends rows. ValueError for another shape."""
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]}, not {self.row_shape}")
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.num_rows += len(rows)

    def finish(self) -> None:
        """Writes how many rows there are, and all of it to the disk."""
        self.file.seek(0)
        self._write_header()
        assert self.file.tell() == self._header_bytes
        self.file.flush()
        os.fsync(self.file.fileno())
