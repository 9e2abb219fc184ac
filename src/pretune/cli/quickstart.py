"""pretune quickstart: the whole main job on bundled real text."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import Json
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("quickstart")(quickstart)


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the run.")] = 1,
    pretrain_seconds: Annotated[float, typer.Option("--pretrain-seconds", help="Seconds of pre-training.")] = 100.0,
    as_json: Json = False,
) -> None:
    """Tokenizer, corpus, pre-training, fine-tuning and an honest table, in about four minutes on two cores."""
    from pretune.verbs.quickstart import quickstart as run

    result = run(out, seed=seed, pretrain_seconds=pretrain_seconds)
    emit(result, result["text"], as_json)
