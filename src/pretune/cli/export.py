"""pretune export: a model's directory for other libraries."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Json, Model
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    model: Model,
    format: Annotated[str, typer.Option("--format", help="huggingface or sentence-transformers.")],
    out: Annotated[Path, typer.Option("--out", help="Directory to write; what pretune wrote there is replaced.")],
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Writes a model so that another library opens it."""
    from pretune.verbs.export import export as run

    result = run(model=model, format=format, out=out, allow_pickle=allow_pickle)
    emit(result, result["text"], as_json)
