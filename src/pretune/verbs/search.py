"""search: for each query the texts of a file whose vectors are nearest to its own. Every text is compared.

Queries are held in memory with their best texts; the file of texts is read once, in blocks, so it may have any size.
Who searches a file often keeps its vectors (`pretune embed --out`) and names them: they are memory-mapped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pretune.core.errors import InputError
from pretune.verbs.inputs import Line, line_blocks, read_texts
from pretune.verbs.nearest import TopK
from pretune.verbs.predict import embedded
from pretune.verbs.pretrained import Floats, load


def search_file(
    *,
    model: str,
    texts: str | Path,
    queries: str | Path = "-",
    k: int = 10,
    vectors: str | Path | None = None,
    truncate: bool = False,
    allow_pickle: bool = False,
) -> Iterator[list[dict[str, Any]]]:
    """For each query, a line of a file or of standard input: [{"line": from 1, "text", "score": cosine}, ...].

    vectors: those of the texts, as `embed_file` wrote them with the same model. Raises InputError that names the line
    of a text the model cannot take whole, unless `truncate` cuts it, and for vectors that are not of these texts.
    """
    if str(texts) == "-":
        raise InputError("--texts - : standard input is for the queries; name a file of texts")
    pretrained = load(model, allow_pickle=allow_pickle)
    kept = None if vectors is None else open_vectors(vectors, pretrained.model.body.config.hidden_size)
    asked = list(read_texts(queries))
    found = TopK(embedded(pretrained, asked, queries, truncate), k)
    lines: dict[int, Line] = {}
    for block in line_blocks(texts):
        first = found.num_seen
        found.add(embedded(pretrained, block, texts, truncate) if kept is None else _part(kept, first, block, vectors))
        lines |= dict(enumerate(block, first))
        lines = {number: lines[number] for number in found.numbers()}
    if kept is not None and len(kept) != found.num_seen:
        raise _other_vectors(vectors, len(kept), f"{found.num_seen:,}")
    if not found.num_seen:
        raise InputError(f"{texts}: no text in it")
    for row in found.rows():
        yield [{"line": lines[number][0], "text": lines[number][1], "score": score} for number, score in row]


def open_vectors(path: str | Path, width: int) -> Floats:
    """A .npy file of float32 vectors, memory-mapped. InputError where it holds something else."""
    try:
        vectors_ND: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a .npy file of vectors ({error}): write it with pretune embed --out") from error
    shape, kind = getattr(vectors_ND, "shape", None), getattr(vectors_ND, "dtype", None)
    if kind != np.float32 or shape is None or len(shape) != 2 or shape[1] != width:
        raise InputError(f"{path}: holds {kind} {shape}: expected float32 [texts, {width}], as this model's are")
    return vectors_ND  # type: ignore[no-any-return]


def _part(kept: Floats, first: int, block: list[Line], path: str | Path | None) -> Floats:
    if len(kept) < first + len(block):
        raise _other_vectors(path, len(kept), "more")
    return kept[first : first + len(block)]


def _other_vectors(path: str | Path | None, number: int, there: str) -> InputError:
    return InputError(f"{path}: {number:,} vectors, and there are {there} texts: they are not of this file")
