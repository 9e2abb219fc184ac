"""pretune tokenizer train: a vocabulary from text."""

from pathlib import Path
from typing import Annotated

import typer

from pretune.cli.options import Column, Json, OnError
from pretune.cli.output import emit
from pretune.text.documents import Documents
from pretune.tokenizers.pipelines import Algorithm

app = typer.Typer(help="Train tokenizers.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def tokenizer() -> None:
    """Train tokenizers."""


@app.command("train")
def train(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="txt, jsonl, csv, tsv or parquet; plain, .gz or .zst.")
    ],
    algorithm: Annotated[
        Algorithm, typer.Option("--algorithm", help="wordpiece, bpe, byte-bpe, unigram, word, char or byte.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")],
    vocab_size: Annotated[
        int | None,
        typer.Option("--vocab-size", help="Number of pieces, special tokens included; byte and char need none."),
    ] = None,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Lower-case and strip accents, as BERT uncased does.")
    ] = False,
    min_pair_count: Annotated[
        int | None, typer.Option("--min-pair-count", help="wordpiece: merge only pairs seen at least this often.")
    ] = None,
    sentinels: Annotated[
        int,
        typer.Option(
            "--sentinels",
            help="So many special tokens <extra_id_0>, <extra_id_1> ... for span corruption and its like (T5: 100).",
        ),
    ] = 0,
    documents: Annotated[
        Documents, typer.Option("--documents", help="What a document of a txt file is: blank-line, line or file.")
    ] = "line",
    column: Column = "text",
    on_error: OnError = "raise",
    as_json: Json = False,
) -> None:
    """Trains a tokenizer and prints fertility, unknown rate and bytes a piece on held-out text."""
    from pretune.verbs.tokenizer import train_tokenizer

    result = train_tokenizer(
        files,
        algorithm=algorithm,
        vocab_size=vocab_size,
        out=out,
        lowercase=lowercase,
        min_pair_count=min_pair_count,
        sentinels=sentinels,
        documents=documents,
        column=column,
        on_error=on_error,
    )
    emit(result, result["text"], as_json)
