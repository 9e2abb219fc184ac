"""pretune recipes | objectives | families | tasks: what there is, without importing torch."""

from typing import Annotated, Any

import typer

from pretune.cli.options import Json
from pretune.cli.output import emit
from pretune.core.registry import entries


def register(app: typer.Typer) -> None:
    app.command("recipes")(recipes)
    for kind in ("objectives", "tasks"):
        _register_one(app, kind)
    app.command("families")(families)


def _register_one(app: typer.Typer, kind: str) -> None:
    def listing(as_json: Json = False) -> None:
        _list(kind, as_json)

    app.command(kind, help=f"Lists the {kind}, a line each.")(listing)


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="One of them, with its sources.")] = None,
    as_json: Json = False,
) -> None:
    """Shows in what the recipes differ, or one recipe with its settings and their sources."""
    from pretune.verbs import recipes as verb

    found = verb.recipes() if name is None else verb.describe(name)
    emit(found, verb.as_tables(found) if name is None else verb.as_page(found), as_json)


def families(
    vocab_size: Annotated[
        int | None,
        typer.Option("--parameters", metavar="VOCAB_SIZE", help="Count every preset's parameters with so many pieces."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Lists the families, a line each, or the parameters of their presets beside the published figures."""
    if vocab_size is None:
        _list("families", as_json)
        return
    from pretune.evaluate.table import Table, as_text
    from pretune.families.counts import count_parameters, table
    from pretune.families.family import open_family

    rows: list[dict[str, Any]] = [
        {
            "preset": f"{family}-{size}",
            "body": count_parameters(family, size, vocab_size, pooler=open_family(family).has_pooler),
            "with_lm_head": exact,
            "published": published,
        }
        for family in entries("pretune.families")
        for size, exact, published in table(family, vocab_size)
    ]
    notes = (f"{vocab_size:,} pieces; bodies with their pooler. Published: rounded, with the published vocabulary.",)
    columns = ("preset", "body", "with LM head", "published")
    text = as_text(Table(columns, tuple(tuple(row.values()) for row in rows), notes=notes))
    emit({"vocab_size": vocab_size, "presets": rows}, text, as_json)


def _list(kind: str, as_json: bool) -> None:
    found = entries(f"pretune.{kind}")
    width = max(map(len, found), default=0)
    emit(found, "\n".join(f"{name:<{width}}  {line}" for name, line in found.items()), as_json)
