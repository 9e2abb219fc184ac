"""pretune fill: the most probable words for [MASK], JSONL out."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Model, OutFile
from pretune.cli.output import emit_lines


def register(app: typer.Typer) -> None:
    app.command("fill")(fill)


def fill(
    model: Model,
    file: Annotated[
        Path, typer.Argument(metavar="[FILE|-]", help="A text with [MASK] a line; - reads standard input.")
    ] = Path("-"),
    top_k: Annotated[int, typer.Option("--top-k", help="How many candidates a blank.")] = 5,
    out: OutFile = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Fills the blanks of each line, one JSON list a line."""
    from pretune.verbs.predict import fill_file

    emit_lines(fill_file(model=model, file=file, top_k=top_k, allow_pickle=allow_pickle), out)
