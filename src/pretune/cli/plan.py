"""pretune plan: what a pre-training run will take, before it is begun."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Config, Json, Threads, recipe_or_setting
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)


def plan(
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory of a corpus.")],
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]", help="A recipe with a size: bert-mini. Default: that of --config, or modern."
        ),
    ] = None,
    settings: Assignments = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run's directory: plan.json is left there for its report.")
    ] = None,
    init: Annotated[str | None, typer.Option("--init", help="Start from this model instead of fresh weights.")] = None,
    config: Config = None,
    threads: Threads = None,
    price_per_hour: Annotated[float | None, typer.Option("--price-per-hour", help="Of the machine, as rented.")] = None,
    price_per_kwh: Annotated[float | None, typer.Option("--price-per-kwh", help="Of electricity.")] = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Predicts memory, time, disk, energy and price of `pretrain` with the same words, from 20 steps of it."""
    from pretune.verbs.plan import plan as run

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
        price_per_hour=price_per_hour,
        price_per_kwh=price_per_kwh,
    )
    emit(result, result.get("text", ""), as_json)
