"""pretune settings: what `KEY=VALUE` can set, with defaults and descriptions."""

from typing import Annotated, Any

import typer

from pretune.cli.options import Json
from pretune.cli.output import emit
from pretune.core.config import fields
from pretune.core.errors import unknown


def register(app: typer.Typer) -> None:
    app.command("settings")(settings)


def settings(
    verb: Annotated[
        str,
        typer.Argument(
            metavar="VERB", help="pretrain, finetune, curve, compare, evaluate, check, generate, suite-blimp."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Lists the settings of a verb; a recipe has its own defaults, written down in each run's run.yaml."""
    from pretune.verbs.settings import SETTINGS

    if verb not in SETTINGS:
        raise unknown("verb with settings,", verb, SETTINGS)
    found: dict[str, dict[str, Any]] = {}
    for key, (_, default, description) in fields(SETTINGS[verb]).items():
        found[key] = {"default": default, "description": description}
    text = "\n".join(f"{key}={_shown(one['default'])}\n    {one['description']}" for key, one in found.items())
    emit(found, text, as_json)


def _shown(default: Any) -> str:
    return "" if default is None else str(list(default) if isinstance(default, tuple) else default)
