"""pretune pretrain: a model from a corpus."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Config, DiskFull, Json, Out, Threads, recipe_or_setting
from pretune.cli.output import emit
from pretune.cli.torchrun import warn_of_restarts


def register(app: typer.Typer) -> None:
    app.command("pretrain")(pretrain)


def pretrain(
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory of a corpus.")],
    out: Out,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]", help="A recipe with a size: bert-mini. Default: that of --config, or modern."
        ),
    ] = None,
    settings: Assignments = None,
    init: Annotated[str | None, typer.Option("--init", help="Start from this model instead of fresh weights.")] = None,
    config: Config = None,
    threads: Threads = None,
    allow_pickle: AllowPickle = False,
    on_disk_full: DiskFull = "stop",
    as_json: Json = False,
) -> None:
    """Pre-trains a model; the same command continues an interrupted run."""
    from pretune.verbs.pretrain import pretrain as run

    warn_of_restarts()
    recipe, assignments = recipe_or_setting(recipe, settings)
    result = run(
        recipe,
        corpus=corpus,
        out=out,
        init=init,
        config=config,
        settings=assignments,
        threads=threads,
        allow_pickle=allow_pickle,
        on_disk_full=on_disk_full,
    )
    emit(result, result.get("text", ""), as_json)
