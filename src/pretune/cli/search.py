"""pretune search: the nearest texts of a file for each query, JSONL out."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Model, OutFile
from pretune.cli.output import emit_lines


def register(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    model: Model,
    texts: Annotated[Path, typer.Option("--texts", help="What is searched: a text a line.")],
    queries: Annotated[
        Path, typer.Argument(metavar="[QUERIES|-]", help="A query a line; - reads standard input.")
    ] = Path("-"),
    top_k: Annotated[int, typer.Option("--top-k", help="How many texts a query.")] = 10,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", help="The texts' vectors (.npy), as pretune embed --out wrote them with this model."),
    ] = None,
    out: OutFile = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut texts that are too long, not refuse them.")] = False,
    allow_pickle: AllowPickle = False,
) -> None:
    """Finds the texts most similar to each query, one JSON list a line, best first."""
    from pretune.verbs.search import search_file

    rows = search_file(
        model=model,
        texts=texts,
        queries=queries,
        k=top_k,
        vectors=vectors,
        truncate=truncate,
        allow_pickle=allow_pickle,
    )
    emit_lines(rows, out)
