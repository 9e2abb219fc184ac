"""pretune predict: what a fine-tuned model says of new texts, JSONL out."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Models, OutFile
from pretune.cli.output import emit_lines


def register(app: typer.Typer) -> None:
    app.command("predict")(predict)


def predict(
    task: Annotated[str, typer.Argument(metavar="TASK", help="From `pretune tasks`.")],
    model: Models,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="[FILE|-]",
            help="JSONL, CSV, TSV, SQuAD JSON, txt (a text a line); - reads standard input: texts or JSONL.",
        ),
    ] = Path("-"),
    settings: Assignments = None,
    out: OutFile = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Predicts for each input, one JSON object a line, in the order given."""
    from pretune.verbs.predict import predict_file

    assignments = list(settings or [])
    if "=" in str(file) and not file.exists():
        assignments.insert(0, str(file))
        file = Path("-")
    rows = predict_file(task, model=model, file=file, settings=assignments, allow_pickle=allow_pickle)
    emit_lines(rows, out)
