"""train_tokenizer: a vocabulary from text files, measured on text it did not see."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pretune.tokenizers import train as trainers


def train_tokenizer(
    files: Sequence[str | Path],
    *,
    vocab_size: int,
    out: str | Path,
    algorithm: str = "wordpiece",
    lowercase: bool = False,
    min_pair_count: int | None = None,
    documents: str = "line",
    on_error: str = "raise",
) -> dict[str, Any]:
    """Trains a tokenizer, saves it to `out` and returns its report (fertility, unknown rate, bytes a piece; held-out text).

    algorithm: wordpiece (likelihood score), bpe, byte-bpe, unigram, word, char or byte. vocab_size counts special tokens.
    Raises InputError for unreadable text, an unknown algorithm or a size below the alphabet.
    """
