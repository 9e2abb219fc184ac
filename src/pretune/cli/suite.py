"""pretune suite: a model on a suite of labelled sets."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Json, Model, Out, Threads
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("suite")(suite)


def suite(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="glue, superglue, squad, swag, sts, conll, ud, multi30k, scitldr or blimp."
        ),
    ],
    model: Model,
    data: Annotated[Path, typer.Option("--data", help="Directory with the suite's files, as they are published.")],
    out: Out,
    settings: Assignments = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Fine-tune with seeds 1 to this; default: 3.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="blimp: the first so many pairs of each set; default: all.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="The --out directory of another model's suite, to compare with.")
    ] = None,
    threads: Threads = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Scores a model on every set of a suite whose files are there, fine-tuned on each (blimp: as it is); resumes."""
    from pretune.verbs.suite import suite as run

    result = run(
        name,
        model=model,
        data=data,
        out=out,
        seeds=seeds,
        limit=limit,
        against=against,
        settings=list(settings or []),
        threads=threads,
        allow_pickle=allow_pickle,
    )
    emit(result, result["text"], as_json)
