"""pretune finetune: a model for a task, from labelled files."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Config, DiskFull, Json, Model, Out, Threads
from pretune.cli.output import emit
from pretune.cli.torchrun import warn_of_restarts


def register(app: typer.Typer) -> None:
    app.command("finetune")(finetune)


def finetune(
    task: Annotated[str, typer.Argument(metavar="TASK", help="From `pretune tasks`.")],
    model: Model,
    train: Annotated[
        Path, typer.Option("--train", help="Labelled examples: JSONL, CSV, TSV, Parquet, CoNLL or SQuAD JSON.")
    ],
    out: Out,
    settings: Assignments = None,
    valid: Annotated[
        Path | None, typer.Option("--valid", help="Labelled examples to choose the best epoch by.")
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Labelled examples scored once, at the end.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="A tokenizer's directory, for a preset with fresh weights.")
    ] = None,
    config: Config = None,
    threads: Threads = None,
    allow_pickle: AllowPickle = False,
    on_disk_full: DiskFull = "stop",
    as_json: Json = False,
) -> None:
    """Fine-tunes a model and scores it beside simple baselines."""
    from pretune.verbs.finetune import finetune as run

    warn_of_restarts()
    result = run(
        task,
        model=model,
        train=train,
        valid=valid,
        test=test,
        out=out,
        tokenizer=tokenizer,
        config=config,
        settings=list(settings or []),
        threads=threads,
        allow_pickle=allow_pickle,
        on_disk_full=on_disk_full,
    )
    emit(result, result.get("text", ""), as_json)
