"""Options that several verbs share, declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pretune.text import faults

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
Out = Annotated[Path, typer.Option("--out", help="Directory to write; made if missing. Rerunning continues.")]
OutFile = Annotated[
    Path | None, typer.Option("--out", help="Write here instead of to standard output; named so when it is whole.")
]
Model = Annotated[str, typer.Option("--model", help="A directory, a hub name, or a preset such as bert-mini.")]
Models = Annotated[
    list[str], typer.Option("--model", help="A directory or a hub name; give it several times for an ensemble.")
]
AllowPickle = Annotated[
    bool,
    typer.Option("--allow-pickle", help="Read tensors from pytorch_model.bin where a model has no safetensors."),
]
Config = Annotated[Path | None, typer.Option("--config", help="A saved run.yaml whose settings to start from.")]
Assignments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="By dotted path, as optimizer.lr=3e-4; `pretune settings` lists them.",
        show_default=False,
    ),
]
OnError = Annotated[
    faults.OnError,
    typer.Option("--on-error", help="raise: stop at the first bad line. skip: leave it out and count it."),
]
Column = Annotated[str, typer.Option("--column", help="Where jsonl, csv, tsv and parquet files keep the text.")]
DiskFull = Annotated[
    Literal["stop", "wait"],
    typer.Option("--on-disk-full", help="stop: end the run, saying what is safe. wait: until there is room."),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Processor threads torch may use; default: all.")]


def recipe_or_setting(recipe: str | None, settings: list[str] | None) -> tuple[str | None, list[str]]:
    """The recipe and the settings: where the recipe is left out, the first KEY=VALUE stands in its place.

    >>> recipe_or_setting("steps=3", ["seed=1"])
    (None, ['steps=3', 'seed=1'])
    """
    if recipe is not None and "=" in recipe:
        return None, [recipe, *(settings or [])]
    return recipe, list(settings or [])
