"""pretune corpus build | verify: ids on disk."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import Column, Json, OnError
from pretune.cli.output import emit
from pretune.text.documents import Documents

app = typer.Typer(help="Build and verify corpora.", no_args_is_help=True, rich_markup_mode=None)


@app.command("build")
def build(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="txt, jsonl, csv, tsv or parquet; plain, .gz or .zst.")
    ],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="Directory of a tokenizer.")],
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")],
    documents: Annotated[
        Documents, typer.Option("--documents", help="What a document of a txt file is: blank-line, line or file.")
    ] = "blank-line",
    valid_fraction: Annotated[float, typer.Option("--valid-fraction", help="Share of the tokens held out.")] = 0.01,
    workers: Annotated[int, typer.Option("--workers", help="Processes; the bytes are the same for any number.")] = 1,
    language: Annotated[
        str | None, typer.Option("--language", help="Language of the text, for sentence splitting.")
    ] = None,
    column: Column = "text",
    on_error: OnError = "raise",
    as_json: Json = False,
) -> None:
    """Tokenises text into a memory-mapped corpus with document, sentence and word marks."""
    from pretune.verbs.corpus import build_corpus

    result = build_corpus(
        files,
        tokenizer=tokenizer,
        out=out,
        documents=documents,
        column=column,
        valid_fraction=valid_fraction,
        workers=workers,
        language=language,
        on_error=on_error,
    )
    emit(result, result["text"], as_json)


@app.command("verify")
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a corpus.")],
    as_json: Json = False,
) -> None:
    """Hashes every file of a corpus again; a damaged one is named and the exit status is 1; 2 if it is the manifest."""
    from pretune.verbs.corpus import verify_corpus

    result = verify_corpus(directory)
    emit(result, result["text"], as_json)
