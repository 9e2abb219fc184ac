"""pretune curve: the score against the number of labelled records."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Json, Model, Out, Threads
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("curve")(curve)


def curve(
    task: Annotated[str, typer.Argument(metavar="TASK", help="From `pretune tasks`.")],
    model: Model,
    train: Annotated[Path, typer.Option("--train", help="Labelled examples to draw from.")],
    test: Annotated[Path, typer.Option("--test", help="Labelled examples that every model is scored on.")],
    out: Out,
    settings: Assignments = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", help="Numbers of examples, as 16,64,256,all; default: four times as many each."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of each size, with seeds 1 to this.")] = 3,
    systems: Annotated[
        str, typer.Option("--systems", help="pretrained, scratch, frozen: what is trained, between commas.")
    ] = "pretrained,scratch",
    threads: Threads = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Learning curve of a pre-trained model, the same from scratch, and simple methods; rerunning continues."""
    from pretune.verbs.curve import curve as run

    result = run(
        task,
        model=model,
        train=train,
        test=test,
        out=out,
        sizes=sizes,
        seeds=seeds,
        systems=[name.strip() for name in systems.split(",")],
        settings=list(settings or []),
        threads=threads,
        allow_pickle=allow_pickle,
    )
    emit(result, result["text"], as_json)
