"""Results of any number to a file, as they come: beside its name first, renamed when it is whole. Imports no torch."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pretune.core.npy import GrowingArray


def beside(path: str | Path) -> Path:
    """Where a file is written before it is whole."""
    return Path(f"{path}.partial")


class WholeFile:
    """Bytes to `PATH.partial`, which becomes PATH when the `with` block ends well.

    What a failure leaves stays under the other name, if it can be read (`keeps`), and the next run writes over it.
    """

    keeps = True

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.file = beside(path).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self.file:
            if kind is None:
                self.finish()
                self.file.flush()
                os.fsync(self.file.fileno())
        if kind is None:
            os.replace(beside(self.path), self.path)
        elif not self.keeps:
            beside(self.path).unlink()

    def finish(self) -> None:
        """What remains to be written when all is there."""


class JsonLines(WholeFile):
    """A value a line."""

    def write(self, value: Any) -> None:
        self.file.write((json.dumps(value, ensure_ascii=False) + "\n").encode())


class NumpyRows(WholeFile):
    """float32 rows of one .npy array, whose number is not known before the end."""

    keeps = False

    def __init__(self, path: str | Path, width: int) -> None:
        super().__init__(path)
        self.rows = GrowingArray(self.file, np.dtype("<f4"), (width,))

    def write(self, rows_ND: NDArray[np.float32]) -> None:
        self.rows.write(rows_ND)

    def finish(self) -> None:
        self.rows.finish()
