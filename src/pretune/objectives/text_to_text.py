"""Text to text: an encoder reads a corrupted text, and a decoder beside it writes what is wanted.

What the objectives of Lewis et al. 2020 ("BART", section 2.2) and Raffel et al. 2020 ("T5", section 3.3) share: a
corruption makes the encoder's text and the text to write (`Corruption`); special tokens of the template stand around
both, and all of the second is predicted, its end too, from what stands before it and all that the encoder reads. [UNK]
alone is never predicted: nobody wants it written.

Dimensions: T tokens of a sample, S of the corrupted text, P of the text to write.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pretune.core.assemble import decoder_input
from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.marks import SPECIAL
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments, Span, Stream, Targets, bidirectional
from pretune.core.vocab import Vocab
from pretune.objectives.arrangements import Arrangement, Contiguous, room_of
from pretune.objectives.bodies import TWO
from pretune.objectives.edits import Edit, in_turn, unedited

HEAD = "lm"

Ids = NDArray[np.int64]


class Corruption(Protocol):
    def check(self, vocab: Vocab, room: int) -> None:
        """InputError where a text of `room` tokens could not be corrupted."""

    def __call__(self, source: Stream, vocab: Vocab, rng: np.random.Generator, progress: float) -> tuple[Ids, Ids]:
        """ids_S that the encoder reads and gold_P that the decoder writes, with the template's tokens around both."""


@dataclass(frozen=True)
class TextToText:
    """What `text_infilling(...)`, `span_corruption(...)` and the like make. Loss "lm": cross-entropy in nats, the mean
    over the tokens written."""

    corruption: Corruption
    arrangement: Arrangement = Contiguous()
    streams: ClassVar[tuple[str, ...]] = (TWO,)

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        self.check(corpus, max_length, num_special)
        return self.arrangement.samples(corpus, max_length, num_special)

    def check(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int]) -> None:
        """InputError where a sample of this corpus could not be corrupted, before any is."""
        self.corruption.check(corpus.vocab, room_of(max_length, num_special[0]))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        return self.arrangement.arrange(corpus, number, context)

    def corrupt(self, example: Example, context: Context) -> Example:
        """InputError for a family without a decoder beside its encoder, and beside another objective."""
        ids_S, gold_P = self.corruption(example.source, context.vocab, context.rng, context.progress)
        return to_write(example, ids_S, gold_P, context)

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {HEAD: body.family_head("lm")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {HEAD: cross_entropy(model(batch)[HEAD], batch.predict[HEAD])}

    def then(self, other: "TextToText") -> "TextToText":
        """Both corruptions, one after another, of one text. InputError unless both write the whole text."""
        if not isinstance(self.corruption, Denoise) or not isinstance(other.corruption, Denoise):
            raise InputError("only objectives that write the whole text again go together: leave one out")
        return replace(self, corruption=Denoise((*self.corruption.edits, *other.corruption.edits)))


@dataclass(frozen=True)
class Denoise:
    """A corruption by edits, one after another; the whole original is written. Each stretch of text between special
    tokens is edited by itself, so that nothing crosses a document's border."""

    edits: tuple[Edit, ...]

    def check(self, vocab: Vocab, room: int) -> None:
        pass

    def __call__(self, source: Stream, vocab: Vocab, rng: np.random.Generator, progress: float) -> tuple[Ids, Ids]:
        edit, ids_T, marks_T = in_turn(*self.edits), source.ids_T, source.marks_T
        parts: list[Ids] = []
        done = 0
        for start, end in stretches(marks_T):
            text = unedited(Span(ids_T[start:end], marks_T[start:end]))
            parts += [ids_T[done:start], edit(text, vocab, rng).ids_P]
            done = end
        return np.concatenate([*parts, ids_T[done:]]), ids_T


def denoise(*edits: Edit) -> TextToText:
    """The objective of undoing some edits."""
    return TextToText(Denoise(edits))


def to_write(example: Example, ids_S: Ids, gold_P: Ids, context: Context) -> Example:
    """An Example whose encoder reads ids_S and whose decoder writes gold_P, from the one of a sample.

    InputError for a family without a decoder beside its encoder, and where another objective predicts something.
    """
    if example.predict:
        names = ", ".join(example.predict)
        raise InputError(f"an objective that writes texts does not go with what predicts {names}: leave one out")
    if context.start_id is None:
        raise InputError("writing a text needs a family with a decoder beside its encoder (bart, t5)")
    unknown = context.vocab.unk_id
    if unknown is None or unknown in (context.vocab.eos_id, context.vocab.sep_id):  # GPT-2's are one token
        unknown = -1
    rows_M = np.flatnonzero(gold_P != unknown)
    targets = Targets(rows_M[:, None], gold_P[rows_M].astype(np.int64), np.ones(len(rows_M), np.float32))
    first = int(example.source.positions_T[0])
    return replace(
        example,
        source=bidirectional(ids_S, first_position=first),
        target=decoder_input(gold_P, context.start_id),
        predict={HEAD: targets},
    )


def stretches(marks_T: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Rows [start, end) of the text between special tokens.

    >>> stretches(np.array([SPECIAL, 0, 0, SPECIAL, SPECIAL, 0, SPECIAL], np.uint8))
    [(1, 3), (5, 6)]
    """
    is_text_T = np.concatenate([[False], (marks_T & SPECIAL) == 0, [False]])
    edges = np.flatnonzero(is_text_T[1:] != is_text_T[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def around(source: Stream) -> tuple[Ids, Ids, Ids]:
    """The template's tokens before the text of a sample, the text, and those behind it.

    >>> stream = bidirectional(np.array([1, 7, 8, 2]), marks_T=np.array([SPECIAL, 0, 0, SPECIAL], np.uint8))
    >>> around(stream)
    (array([1]), array([7, 8]), array([2]))
    """
    found = stretches(source.marks_T)
    start, end = (found[0][0], found[-1][1]) if found else (source.num_tokens, source.num_tokens)
    return source.ids_T[:start], source.ids_T[start:end], source.ids_T[end:]
