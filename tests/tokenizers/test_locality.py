"""A long text, encoded part by part, has the pieces of the text encoded at once."""

import random
from pathlib import Path

import numpy as np
import pytest

from pretune.tokenizers import tokenizer as tokenizer_module
from pretune.tokenizers.locality import Cutter
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

TEXT = "The cat, the dog's den & Zoë's naïve 3.14 — 中文字 and\ttabs. Ünïted states of 12 e\u0301lite cats\u00a0here! "
WORDS = [*TEXT.split(" "), "", "\n", "\n\n ", "[MASK]", "x[SEP]y", "\u0301", "\x1c", "中文", "字", "a b"]


def random_text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 60)))


@pytest.mark.parametrize("name", [*ALGORITHMS, "wordpiece+lower", "byte-bpe+lower", "char+lower"])
def test_parts_give_the_pieces_of_the_whole(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind, _, case = name.partition("+")
    tokenizer, _ = train_tokenizer([TEXT * 20], algorithm=kind, vocab_size=320, lowercase=case == "lower")
    cutter, rng = Cutter(tokenizer._json), random.Random(0)
    assert cutter.is_local
    texts = [random_text(rng) for _ in range(150)]
    whole = [tokenizer.encode(text) for text in texts]
    lengths = []
    for size in (1, 7, 40):
        monkeypatch.setattr(tokenizer_module, "PART_CHARS", size)
        for text, expected in zip(texts, whole, strict=True):
            parts = list(cutter.parts_of(text, size))
            lengths.append(len(parts))
            assert "".join(part for _, part in parts) == text
            assert all(text.startswith(part, start) for start, part in parts)
            found = tokenizer.encode(text)
            for column in ("ids_P", "marks_P", "offsets_P2", "words_P"):
                np.testing.assert_array_equal(getattr(found, column), getattr(expected, column), err_msg=repr(text))
                assert getattr(found, column).dtype == getattr(expected, column).dtype
    assert max(lengths) > 10


def test_a_tokenizer_that_reaches_over_spaces_takes_a_text_whole(tmp_path: Path) -> None:
    tokenizer, _ = train_tokenizer([TEXT * 20], algorithm="wordpiece", vocab_size=320)
    layout = dict(tokenizer._json)
    spaced = {"content": "the dog", "special": True, "normalized": False}
    spaced |= {"lstrip": False, "rstrip": False, "single_word": False}
    reaching = Cutter(layout | {"added_tokens": [*layout["added_tokens"], spaced]})
    assert len(list(reaching.parts_of("a b the dog c d", 3))) == 1
    assert len(list(reaching.parts_of("a b the cat c d", 3))) > 1
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    assert len(list(Cutter(layout | {"pre_tokenizer": metaspace}).parts_of("a b c d", 1))) == 1
    assert [start for start, _ in Cutter(layout).parts_of("中文中文字", 2)] == [0, 2, 4]


def test_the_library_never_sees_more_than_about_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, _ = train_tokenizer([TEXT * 20], algorithm="wordpiece", vocab_size=320)
    seen: list[int] = []

    class Spy:
        def encode(self, text: str, **settings: bool) -> object:
            seen.append(len(text))
            return backend.encode(text, **settings)

    assert tokenizer._cutter.is_local
    backend, tokenizer.backend = tokenizer.backend, Spy()  # type: ignore[assignment]
    assert len(Tokenizer.encode(tokenizer, "the cat and " * 50_000)) == 150_000
    assert len(seen) == 5 and max(seen) < tokenizer_module.PART_CHARS + 10


def test_the_start_of_a_text_and_how_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, _ = train_tokenizer([TEXT * 20], algorithm="wordpiece", vocab_size=320)
    rng = random.Random(1)
    texts = [random_text(rng) for _ in range(50)]
    whole = [tokenizer.encode(text) for text in texts]
    monkeypatch.setattr(tokenizer_module, "PART_CHARS", 5)
    for text, expected in zip(texts, whole, strict=True):
        for wanted in (0, 1, 8, 1000):
            found, total = tokenizer.encode_start(text, wanted)
            assert total == len(expected) and len(found) >= min(wanted, total)
            for column in ("ids_P", "marks_P", "offsets_P2", "words_P"):
                np.testing.assert_array_equal(getattr(found, column), getattr(expected, column)[: len(found)])
