"""Corpus and PretrainingSource: places, tables, pickling, samples as functions of (seed, epoch, number)."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Example, Segments, Span
from pretune.corpus.build import build_corpus
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from timing import fastest


@pytest.fixture
def corpus(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> Corpus:
    build_corpus([text_file], tokenizer_dir, tmp_path / "corpus", valid_fraction=0.1)
    return Corpus.open(tmp_path / "corpus")


def test_it_is_a_token_store(corpus: Corpus) -> None:
    store: TokenStore = corpus
    assert store.ids(3, 7).dtype == np.int32 and store.marks(3, 7).dtype == np.uint8
    assert store.document_starts[0] == 0 and store.document_starts[-1] == store.num_tokens
    assert len(store.document_starts) == store.num_documents + 1
    assert store.vocab.unigram_V is not None and abs(store.vocab.unigram_V.sum() - 1) < 1e-12
    assert 0 < store.vocab.unigram_entropy() < np.log(store.vocab.size)
    for start, end in ((-1, 3), (5, 4), (0, store.num_tokens + 1)):
        with pytest.raises(ValueError):
            store.ids(start, end)
    again = pickle.loads(pickle.dumps(corpus))
    assert again.fingerprint == corpus.fingerprint and again.ids(3, 7).tolist() == corpus.ids(3, 7).tolist()
    assert Corpus.open(corpus.folder, "valid").fingerprint == corpus.fingerprint


def test_tables_are_computed_once_and_kept(corpus: Corpus) -> None:
    calls = []

    def compute(store: TokenStore) -> Iterator[np.ndarray[Any, Any]]:
        calls.append(1)
        yield np.arange(5)
        yield np.arange(5, 12)

    assert corpus.table("a/b: 3", compute).tolist() == list(range(12))
    assert corpus.table("a/b: 3", compute) is corpus.table("a/b: 3", compute) and len(calls) == 1
    fresh = Corpus.open(corpus.folder)
    assert fresh.table("a/b: 3", compute).shape == (12,) and len(calls) == 1
    Corpus.open(corpus.folder, "valid").table("a/b: 3", compute)
    fresh.table("other", lambda _: [np.zeros(0, np.int64)])
    assert Corpus.open(corpus.folder).table("other", compute).shape == (0,) and len(calls) == 2
    for path in (corpus.folder / "tables").iterdir():
        path.write_bytes(path.read_bytes()[:-9] if path.stat().st_size > 140 else b"")
    assert Corpus.open(corpus.folder).table("a/b: 3", compute).shape == (12,) and len(calls) == 3


def test_tables_stay_in_memory_where_nothing_can_be_written(corpus: Corpus) -> None:
    (corpus.folder / "tables").write_text("in the way")
    assert corpus.table("x", lambda _: [np.arange(3)]).tolist() == [0, 1, 2]


@dataclass(frozen=True)
class Windows:
    """A tiny objective: windows of the text; `corrupt` draws a number."""

    stride: int = 1

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return corpus.num_tokens // (max_length - num_special[0])

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        room = context.max_length - context.num_special[0]
        start, end = number * room, number * room + room
        return Segments([Span(corpus.ids(start, end), corpus.marks(start, end))])

    def corrupt(self, example: Example, context: Context) -> Example:
        ids_T = example.source.ids_T.copy()
        ids_T[1] = context.rng.integers(1000)
        return replace(example, source=replace(example.source, ids_T=ids_T))

    def heads(self, body: Any) -> dict[str, Any]:
        return {}

    def counts(self, batch: Any) -> dict[str, float]:
        return {}

    def loss(self, model: Any, batch: Any) -> dict[str, Any]:
        return {}


def test_samples_depend_on_seed_epoch_and_number_alone(corpus: Corpus) -> None:
    template = Template(corpus.tokenizer.special_ids)
    source = PretrainingSource(Windows(), corpus, template, 64, seed=1)
    assert len(source) == corpus.num_tokens // 62
    example = source.example(5, 0, 0.5)
    assert example.num_tokens == 64 and example.origin_E.tolist() == [5]
    assert example.source.ids_T[2:-1].tolist() == corpus.ids(311, 372).tolist()
    source.example(9, 3, 0.0)
    again = pickle.loads(pickle.dumps(source))
    assert again.example(5, 0, 0.0).source.ids_T.tolist() == example.source.ids_T.tolist()
    drawn = {int(PretrainingSource(Windows(), corpus, template, 64, s).example(n, e).source.ids_T[1]) for s, n, e in
             [(1, 5, 0), (2, 5, 0), (1, 5, 1), (1, 6, 0)]}  # fmt: skip
    assert len(drawn) == 4
    others = [
        source,
        PretrainingSource(Windows(2), corpus, template, 64, 1),
        PretrainingSource(Windows(), corpus, template, 32, 1),
        PretrainingSource(Windows(), corpus, replace(template, first_position=2), 64, 1),
        PretrainingSource(Windows(), Corpus.open(corpus.folder, "valid"), template, 64, 1),
    ]
    assert len({other.fingerprint for other in others}) == 5 and again.fingerprint == source.fingerprint
    with pytest.raises(InputError, match="gives no sample"):
        len(PretrainingSource(Windows(), corpus, template, 10**6, 1))


def test_an_example_costs_little(corpus: Corpus) -> None:
    source = PretrainingSource(Windows(), corpus, Template(corpus.tokenizer.special_ids), 64, seed=1)
    numbers = [number % len(source) for number in range(300)]
    assert fastest(lambda: [source.example(number, 0) for number in numbers]) / 300 < 300e-6  # 60 seen
