"""Token stream: all documents end to end, an end token behind each, cut wherever a sample is full.

Radford et al. 2019 (GPT-2); Brown et al. 2020 (GPT-3), appendix B: samples are always full, documents in them are
"delimited with a special end of text token" and seen across it. An arrangement: `add(token_stream(), causal_lm())` is
GPT-2's pre-training, and teaches a model to end its texts. The end token is the tokenizer's end of text, or its [SEP];
objectives that go from left to right predict it, others leave it alone.

Deviation: documents follow each other in the order of the corpus, and samples do not overlap, so that where the
template puts no token first, the first token of each is never predicted.

Dimensions: D documents that are not empty; places of the stream count the end tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.marks import END, SPECIAL
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Segments, Span
from pretune.core.vocab import Vocab
from pretune.objectives.arrangements import CHUNK, MIN_TOKENS, OnlyArranges, check_number, room_of, some_places


@dataclass(frozen=True)
class TokenStream(OnlyArranges):
    """`token_stream()` makes one."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a max_length without room, a corpus without text and a tokenizer without an end."""
        _end_of(corpus.vocab)
        room = room_of(max_length, num_special[0])
        if not corpus.num_tokens:
            return some_places(0)
        full, rest = divmod(int(_ends(corpus)[-1]) + 1, room)
        return some_places(full + (rest >= MIN_TOKENS))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """One span. Raises IndexError for a number the corpus does not have."""
        room = room_of(context.max_length, context.num_special[0])
        check_number(number, self.samples(corpus, context.max_length, context.num_special))
        ends = _ends(corpus)
        start, stop = number * room, min((number + 1) * room, int(ends[-1]) + 1)
        first, last = ends.searchsorted([start, stop]).tolist()  # documents that ended before each
        tokens = start - first, stop - last
        at = ends[first:last] - start - np.arange(last - first)
        ids_P = np.insert(corpus.ids(*tokens), at, _end_of(context.vocab))
        return Segments([Span(ids_P, np.insert(corpus.marks(*tokens), at, SPECIAL | END))])


def _ends(corpus: TokenStore) -> NDArray[np.int64]:
    """[D] places of the end tokens in the stream."""

    def ends(corpus: TokenStore) -> Iterator[NDArray[np.int64]]:
        done = 0
        for at in range(0, corpus.num_documents, CHUNK):
            starts = corpus.document_starts[at : at + CHUNK + 1]
            ends_D = starts[1:][np.diff(starts) > 0]
            yield ends_D + np.arange(done, done + len(ends_D))
            done += len(ends_D)

    return corpus.table("token-stream-ends", ends)


def _end_of(vocab: Vocab) -> int:
    if vocab.end_id is None:
        raise InputError("token_stream needs a tokenizer with an end of text or [SEP]: choose another arrangement")
    return vocab.end_id


def token_stream() -> TokenStream:
    """Documents end to end as an arrangement.

    Two documents, 4 to 7 and 8 to 12; with room for five, an end (2) stands behind each (the last alone is no sample):

    >>> from pretune.core.marks import WORD_START
    >>> class Memory:
    ...     num_documents, num_tokens, ids_T = 2, 9, np.arange(4, 13, dtype=np.int32)
    ...     document_starts = np.array([0, 4, 9])
    ...     vocab = Vocab(size=13, is_special_V=np.arange(13) < 4, cls_id=1, sep_id=2, mask_id=3)
    ...     def ids(self, start, end): return self.ids_T[start:end]
    ...     def marks(self, start, end): return np.full(end - start, WORD_START, np.uint8)
    ...     def table(self, name, compute): return np.concatenate(list(compute(self)))
    >>> for number in range(token_stream().samples(Memory(), 7)):
    ...     token_stream().arrange(Memory(), number, Context(Memory.vocab, 7, np.random.default_rng(0))).spans[0].ids_P
    array([4, 5, 6, 7, 2], dtype=int32)
    array([ 8,  9, 10, 11, 12], dtype=int32)
    """
    return TokenStream()
