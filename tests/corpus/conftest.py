"""A tokenizer and texts that the corpus tests share."""

import random
from pathlib import Path

import pytest

from pretune.tokenizers.train import train_tokenizer

WORDS = "the a cat dog house runs sees big small over under and then night day river".split()  # noqa: SIM905


def prose(seed: int, num_documents: int, sentences: int = 12) -> str:
    """Documents of a few lines of made-up sentences, with blank lines between."""
    rng = random.Random(seed)
    documents = []
    for _ in range(num_documents):
        told = [" ".join(rng.choices(WORDS, k=rng.randint(3, 12))).capitalize() + "." for _ in range(sentences)]
        documents.append("\n".join(" ".join(told[at : at + 4]) for at in range(0, sentences, 4)))
    return "\n\n".join(documents) + "\n"


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer, _ = train_tokenizer([prose(0, 20)], algorithm="wordpiece", vocab_size=200, lowercase=True)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(prose(1, 120))
    return path
