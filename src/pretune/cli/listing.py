"""pretune recipes | objectives | families | tasks: what there is, a line each, read without importing the parts."""

import typer

from pretune.cli.options import Json
from pretune.cli.output import emit
from pretune.core.registry import entries


def register(app: typer.Typer) -> None:
    for kind in ("recipes", "objectives", "families", "tasks"):
        _register_one(app, kind)


def _register_one(app: typer.Typer, kind: str) -> None:
    def listing(as_json: Json = False) -> None:
        found = entries(f"pretune.{kind}")
        width = max(map(len, found), default=0)
        text = "\n".join(f"{name:<{width}}  {line}" for name, line in found.items())
        emit(found, text, as_json)

    app.command(kind, help=f"Lists the {kind}, a line each.")(listing)
