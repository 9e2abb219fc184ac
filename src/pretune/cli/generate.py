"""pretune generate: texts from prompts, JSONL out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Model, OutFile
from pretune.cli.output import emit_lines
from pretune.core.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("generate")(generate)


def generate(
    model: Model,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="[FILE|-]", help="JSONL, CSV, TSV, txt (a prompt a line); - reads standard input: prompts or JSONL."
        ),
    ] = Path("-"),
    settings: Assignments = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print each text as it is written, without JSON; a .txt file or -.")
    ] = False,
    out: OutFile = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Writes a text for each prompt, one JSON object a line; num_beams=4, do_sample=true ... say how."""
    from pretune.verbs.generate_file import generate_file, stream_lines

    assignments = list(settings or [])
    if "=" in str(file) and not file.exists():
        assignments.insert(0, str(file))
        file = Path("-")
    if not stream:
        rows = generate_file(model=model, file=file, settings=assignments, allow_pickle=allow_pickle)
        emit_lines(rows, out)
        return
    if out is not None:
        raise InputError("--stream prints to standard output: leave --out out, or --stream")
    for part in stream_lines(model=model, file=file, settings=assignments, allow_pickle=allow_pickle):
        sys.stdout.write(part)
        sys.stdout.flush()
