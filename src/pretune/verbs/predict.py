"""predict, fill and embed over files of any size: read, computed and written block by block.

Memory does not depend on the file: a block is some thousand lines or characters, and a line has at most 64 MiB
(`text.lines`). Results come in the order of the lines, and those before a bad line come before its error.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import parse_assignments
from pretune.core.errors import InputError, unknown
from pretune.verbs.console import say
from pretune.verbs.ensemble import Ensemble, Models
from pretune.verbs.inputs import Line, line_blocks, name_of, read_texts, record_blocks
from pretune.verbs.outputs import NumpyRows
from pretune.verbs.pretrained import Floats, Pretrained, TextError, load


def predict_file(
    task: str,
    *,
    model: Models,
    file: str | Path,
    settings: Sequence[str] | Mapping[str, Any] = (),
    allow_pickle: bool = False,
) -> Iterator[Any]:
    """A prediction for each record of a file, or of standard input, `-`, in order, as they come.

    model: several are an ensemble (`ensemble.py`). settings: columns.* and task.* as `finetune` has them.
    Raises InputError for bad lines and a model of another task.
    How many texts were cut is told on standard error at the end.
    """
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    for key in given.keys() - {"columns", "task"}:
        raise unknown("setting of predict,", key, ["columns", "task"])
    columns, changes = given.get("columns", {}), given.get("task", {})
    if not isinstance(columns, Mapping):
        raise InputError(f"columns is {columns!r}: name them one by one, for example columns.text=sentence")
    if not isinstance(changes, Mapping):
        raise InputError(f"task is {changes!r}: name settings one by one, for example task.num_best=3")
    ensemble = Ensemble(model, task, changes, allow_pickle=allow_pickle)
    num_records = num_cut = 0
    try:
        for block in record_blocks(file, {name: str(column) for name, column in columns.items()}):
            refused: InputError | None = None
            try:
                predictions, cut = ensemble.predict_records(block)
            except InputError as error:
                block, refused = block[: ensemble.num_accepted(block)], error
                predictions, cut = ensemble.predict_records(block) if block else ([], 0)
            num_records, num_cut = num_records + len(block), num_cut + cut
            yield from predictions
            if refused is not None:
                raise refused
    finally:
        if num_cut:
            say(f"{num_cut:,} of {num_records:,} texts were longer than {ensemble.longest} tokens and were cut")


def fill_file(*, model: str, file: str | Path, top_k: int = 5, allow_pickle: bool = False) -> Iterator[Any]:
    """The most probable pieces for the blanks of each line. InputError that names a line without a blank."""
    pretrained = load(model, allow_pickle=allow_pickle)
    for number, text in read_texts(file):
        try:
            yield pretrained.fill(text, top_k=top_k)
        except TextError as error:
            raise InputError(f"{name_of(file)}:{number}: the text {error.what}") from error
        except InputError as error:
            raise InputError(f"{name_of(file)}:{number}: {error}") from error


def embed_file(
    *,
    model: str,
    file: str | Path,
    pooling: str | None = None,
    out: str | Path | None = None,
    truncate: bool = False,
    allow_pickle: bool = False,
) -> Iterator[list[float]]:
    """A vector for each line; with `out` they go there as one array and nothing is yielded.

    pooling: as `Pretrained.embed` has it.
    Raises InputError that names the line of a text the model cannot take whole, unless `truncate` cuts it.
    """
    pretrained = load(model, allow_pickle=allow_pickle)
    if out is None:
        for vectors_ND in _vectors(pretrained, file, pooling, truncate):
            yield from (row.tolist() for row in vectors_ND)
        return
    with NumpyRows(out, pretrained.model.body.config.hidden_size) as rows:
        for vectors_ND in _vectors(pretrained, file, pooling, truncate):
            rows.write(vectors_ND)


def _vectors(pretrained: Pretrained, file: str | Path, pooling: str | None, truncate: bool) -> Iterator[Floats]:
    """The vectors of each block of lines; where one cannot be embedded, those of its block before it come first."""
    for block in line_blocks(file):
        try:
            yield _embedded(pretrained, block, pooling, truncate)
        except TextError as error:
            if error.number:
                yield _embedded(pretrained, block[: error.number], pooling, truncate)
            raise InputError(f"{name_of(file)}:{block[error.number][0]}: the text {error.what}") from error


def embedded(pretrained: Pretrained, block: Sequence[Line], file: str | Path, truncate: bool) -> Floats:
    """The vectors of some lines of a file, as the model was trained. InputError that names the line of a bad one."""
    try:
        return _embedded(pretrained, block, None, truncate)
    except TextError as error:
        raise InputError(f"{name_of(file)}:{block[error.number][0]}: the text {error.what}") from error


def _embedded(pretrained: Pretrained, block: Sequence[Line], pooling: str | None, truncate: bool) -> Floats:
    return pretrained.embed([text for _, text in block], pooling=pooling, truncate=truncate)
