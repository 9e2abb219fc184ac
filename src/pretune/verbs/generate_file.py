"""generate over files of any size: JSONL out in the order of the lines, or the texts themselves as they are written.

As in `predict.py`, a block of the file is held at a time, and results before a bad line come before its error.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import parse_assignments
from pretune.core.errors import InputError
from pretune.core.stream import Example
from pretune.decode.generate import PromptError, Writer
from pretune.decode.settings import Generation
from pretune.decode.stops import Written
from pretune.tasks.texts import text_of
from pretune.text.records import Record
from pretune.verbs.generate import generation, prompted, stream, writer_of
from pretune.verbs.inputs import name_of, read_texts, record_blocks
from pretune.verbs.pretrained import load

PROMPTS_AT_ONCE = 256
"""Results come after so many prompts."""


def generate_file(
    *,
    model: str,
    file: str | Path,
    settings: Sequence[str] | Mapping[str, Any] = (),
    allow_pickle: bool = False,
) -> Iterator[dict[str, Any]]:
    """{"prompt", "text", "ended_by"} for each record of a file or of standard input, `-`, in order; of beam search
    also "score"; with several texts a prompt {"prompt", "texts": [{"text", ...}, ...]}.

    settings: those of `Generation`, and columns.text for another column than text. InputError names the bad line.
    """
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    columns = given.pop("columns", {})
    if not isinstance(columns, Mapping) or columns.keys() - {"text"}:
        raise InputError(f"columns is {columns!r}: a prompt has one column, for example columns.text=question")
    wanted = generation(given)
    bundle = load(model, allow_pickle=allow_pickle).bundle
    writer = writer_of(bundle)
    for block in record_blocks(file, {name: str(column) for name, column in columns.items()}):
        for start in range(0, len(block), PROMPTS_AT_ONCE):
            yield from _rows(bundle, writer, block[start : start + PROMPTS_AT_ONCE], wanted)


def _rows(bundle: Bundle, writer: Writer, records: Sequence[Record], settings: Generation) -> Iterator[dict[str, Any]]:
    """The rows of some records; where one cannot be gone on from, those before it, then its error."""
    prompts: list[str] = []
    examples: list[Example] = []
    failed: InputError | None = None
    for record in records:
        try:
            prompt = text_of(record, "text")
            examples.append(prompted(bundle, prompt))
            prompts.append(prompt)
        except InputError as error:
            failed = _named(record, error)
            break
    try:
        found = writer.write(examples, settings)
    except PromptError as error:
        failed = _named(records[error.number], error)
        found = writer.write(examples[: error.number], settings)
    for prompt, texts in zip(prompts, found, strict=False):
        rows = [_told(text) for text in texts]
        yield {"prompt": prompt, **(rows[0] if settings.num_return_sequences == 1 else {"texts": rows})}
    if failed is not None:
        raise failed


def _named(record: Record, error: InputError) -> InputError:
    """The error with the record's place, where it does not say it."""
    if not isinstance(error, PromptError):
        return error
    return InputError(f"{record.path}:{record.line}: the text {error.what}")


def _told(written: Written) -> dict[str, Any]:
    score = {} if written.score is None else {"score": written.score}
    return {"text": written.text, "ended_by": written.ended_by, **score}


def stream_lines(
    *, model: str, file: str | Path, settings: Sequence[str] = (), allow_pickle: bool = False
) -> Iterator[str]:
    """The text for each line in parts, as they are written, and a line end behind it. InputError names a bad line."""
    given = parse_assignments(settings)
    generation(given)
    bundle = load(model, allow_pickle=allow_pickle).bundle
    for number, text in read_texts(file):
        try:
            yield from stream(bundle, text, given)
        except PromptError as error:
            raise InputError(f"{name_of(file)}:{number}: the text {error.what}") from error
        yield "\n"
