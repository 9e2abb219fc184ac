"""pretune check: problems of labelled files by line, label balance, duplicates, leakage; of corpora and of runs.

Exit status: 0 where there is nothing, or remarks alone; 1 where there are warnings or errors; 2 where the request is
wrong (no such file, no such column). `finetune` refuses what is an error here.
"""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Json
from pretune.cli.output import emit

FOUND = 1
"""Exit status where there are warnings or errors."""


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [KEY=VALUE]...",
            help="Training files: JSONL, CSV, TSV, Parquet, CoNLL; settings as columns.text=sentence. Or the directory "
            "of a corpus or of a pre-training run.",
        ),
    ],
    task: Annotated[
        str | None, typer.Option("--task", help="From `pretune tasks`; without it the usual columns are looked at.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Whose tokenizer and length say what is cut; else it is estimated.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="A tokenizer's directory, for a preset with fresh weights.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", help="Longest sequence, special tokens included. Default: 128.")
    ] = None,
    valid: Annotated[Path | None, typer.Option("--valid", help="The validation file that belongs to them.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="The test file that belongs to them.")] = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Looks for what is wrong with labelled files, with a corpus, or with a pre-training run (their directories); exit
    status 1 where there are warnings or errors."""
    from pretune.core.errors import InputError
    from pretune.verbs.check import check as run

    settings = [word for word in files if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in files if word not in settings]
    if not paths:
        raise InputError("no file to check: name at least one")
    result = run(
        paths,
        task=task,
        model=model,
        tokenizer=tokenizer,
        max_length=max_length,
        valid=valid,
        test=test,
        settings=settings,
        allow_pickle=allow_pickle,
    )
    emit(result, result["text"], as_json)
    if result["worst"] in ("error", "warning"):
        raise typer.Exit(FOUND)
