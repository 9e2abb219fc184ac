"""pretune embed: a vector a text, JSONL out or a .npy file."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Model
from pretune.cli.output import emit_lines


def register(app: typer.Typer) -> None:
    app.command("embed")(embed)


def embed(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="[FILE|-]", help="A text a line; - reads standard input.")] = Path(
        "-"
    ),
    pooling: Annotated[
        str | None, typer.Option("--pooling", help="mean, cls or max; default: as the model was trained, else mean.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write one float32 array [n, hidden_size] here instead (.npy).")
    ] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut texts that are too long, not refuse them.")] = False,
    allow_pickle: AllowPickle = False,
) -> None:
    """Embeds each line, one JSON list of numbers a line."""
    from pretune.verbs.predict import embed_file

    vectors = embed_file(model=model, file=file, pooling=pooling, out=out, truncate=truncate, allow_pickle=allow_pickle)
    if out is None:
        emit_lines(vectors)
    else:
        list(vectors)  # nothing comes: the vectors go to the file
