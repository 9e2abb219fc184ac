"""pretune perplexity: what a language model loses on a corpus's held-out text."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import AllowPickle, Assignments, Json, Model, Threads
from pretune.cli.output import emit


def register(app: typer.Typer) -> None:
    app.command("perplexity")(perplexity)


def perplexity(
    model: Model,
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory of a corpus with the model's tokenizer.")],
    settings: Assignments = None,
    split: Annotated[str, typer.Option("--split", help="valid, or train.")] = "valid",
    threads: Threads = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Scores a language model on the held-out text of a corpus, with an interval."""
    from pretune.verbs.perplexity import perplexity as run

    words = list(settings or [])
    result = run(model=model, corpus=corpus, split=split, settings=words, threads=threads, allow_pickle=allow_pickle)
    emit(result, result["text"], as_json)
