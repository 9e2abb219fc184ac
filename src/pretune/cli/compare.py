"""pretune compare: recipes, or variants of one, on equal terms."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pretune.cli.options import Json, Out, Threads
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("compare")(compare)


def compare(
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory of a corpus.")],
    out: Out,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE|KEY=VALUE]",
            help="Recipes, a row each, and settings of every row: of its pre-training, and finetune.KEY=VALUE.",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", help="Real tokens that each row sees.")] = None,
    flops: Annotated[
        float | None, typer.Option("--flops", help="FLOPs that each row gets, in place of --tokens.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Train and fine-tune each row with seeds 1 to this.")] = 2,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", help="Score on this suite; several times, or between commas.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Directory with the suite's files; of several, NAME=DIR for each."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="blimp: the first so many pairs of each set; default: all.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", help="A row for each value: model.num_layers=1,2,4. Several times: all combinations."),
    ] = None,
    bodies: Annotated[
        Literal["common", "faithful"],
        typer.Option("--bodies", help="common: rows differ by the objective. faithful: each recipe whole."),
    ] = "common",
    body: Annotated[
        str, typer.Option("--body", help="The recipe with a size that a common body and its settings are taken from.")
    ] = "modern",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Trains and scores recipes from the same corpus, budget and order of data; rerunning continues."""
    from pretune.verbs.compare import compare as run

    result = run(
        [word for word in words or [] if "=" not in word],
        corpus=corpus,
        out=out,
        tokens=tokens,
        flops=flops,
        seeds=seeds,
        suites=list(suite or []),
        data=list(data or []),
        limit=limit,
        vary=list(vary or []),
        bodies=bodies,
        body=body,
        settings=[word for word in words or [] if "=" in word],
        threads=threads,
    )
    emit(result, result["text"], as_json)
