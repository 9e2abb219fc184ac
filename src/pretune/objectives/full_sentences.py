"""Full sentences: a sample is as many whole sentences as fit, going on in the next document behind a separator.

Liu et al. 2019 ("RoBERTa"), section 4.2, FULL-SENTENCES. An arrangement: `add(full_sentences(), mlm())` is RoBERTa's
pre-training, and any corruption goes in the place of `mlm`; alone it predicts nothing. The separator is the [SEP] of
the tokenizer; no objective predicts it. A sentence longer than a sample is cut into pieces.

Deviation: documents follow each other in the order of the corpus (the paper does not say in which order they are
joined), and samples are cut once, not anew in each epoch.
"""

from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Segments, Span
from pretune.objectives.arrangements import OnlyArranges, check_number, room_of, some_places
from pretune.objectives.whole_sentences import sentence_places


@dataclass(frozen=True)
class FullSentences(OnlyArranges):
    """`full_sentences()` makes one."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a max_length without room and for a corpus without text."""
        return some_places(len(sentence_places(corpus, room_of(max_length, num_special[0]), across=True)))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """One span. IndexError for a number the corpus does not have, InputError for a tokenizer without [SEP]."""
        places = sentence_places(corpus, room_of(context.max_length, context.num_special[0]), across=True)
        check_number(number, len(places))
        start, end = places[number].tolist()
        ids_P, marks_P = corpus.ids(start, end), corpus.marks(start, end)
        first, stop = corpus.document_starts.searchsorted([start + 1, end])
        borders = np.unique(corpus.document_starts[first:stop]) - start  # empty documents begin where the next one does
        if len(borders):
            if context.vocab.sep_id is None:
                raise InputError("full_sentences needs a tokenizer with a [SEP] token: choose document_sentences")
            ids_P = np.insert(ids_P, borders, context.vocab.sep_id)
            marks_P = np.insert(marks_P, borders, SPECIAL)
        return Segments([Span(ids_P, marks_P)])


def full_sentences() -> FullSentences:
    """Whole sentences across documents as an arrangement.

    Two documents, 4 5 | 6 7 and 8 9 | 10 11 12; with room for six, [SEP] (2) stands between them, and 10 11 12 follow:

    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.vocab import Vocab
    >>> class Memory:
    ...     num_documents, num_tokens, ids_T = 2, 9, np.arange(4, 13, dtype=np.int32)
    ...     document_starts, sentence_starts = np.array([0, 4, 9]), np.array([0, 2, 4, 6])
    ...     def ids(self, start, end): return self.ids_T[start:end]
    ...     def marks(self, start, end): return np.full(end - start, WORD_START, np.uint8)
    ...     def table(self, name, compute): return np.concatenate(list(compute(self)))
    >>> vocab = Vocab(size=13, is_special_V=np.arange(13) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> for number in range(full_sentences().samples(Memory(), 9)):
    ...     full_sentences().arrange(Memory(), number, Context(vocab, 9, np.random.default_rng(0))).spans[0].ids_P
    array([4, 5, 6, 7, 2, 8, 9], dtype=int32)
    array([10, 11, 12], dtype=int32)
    """
    return FullSentences()
