"""pretune evaluate: scores of a fine-tuned model on a labelled file."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Json, Models
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    task: Annotated[str, typer.Argument(metavar="TASK", help="From `pretune tasks`.")],
    model: Models,
    data: Annotated[Path, typer.Option("--data", help="Labelled examples.")],
    train: Annotated[
        Path | None, typer.Option("--train", help="What a model that writes texts learnt from: how new are its texts?")
    ] = None,
    settings: Assignments = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Scores a fine-tuned model, with intervals."""
    from pretune.verbs.evaluate import evaluate as run

    words = list(settings or [])
    result = run(task, model=model, data=data, train=train, settings=words, allow_pickle=allow_pickle)
    emit(result, result["text"], as_json)
