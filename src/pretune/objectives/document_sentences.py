"""Document sentences: a sample is as many whole sentences of one document as fit.

Liu et al. 2019 ("RoBERTa"), section 4.2, DOC-SENTENCES. An arrangement: `add(document_sentences(), span_mask())`, or
any other corruption; alone it predicts nothing. A sentence longer than a sample is cut into pieces.

Deviation: the paper enlarges a batch that has short samples, from the ends of documents, until it has about as many
tokens as with `full_sentences`. Here a step is a fixed number of samples; packed, short ones cost no padding.
"""

from dataclasses import dataclass

from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Segments
from pretune.objectives.arrangements import OnlyArranges, check_number, room_of, some_places, span
from pretune.objectives.whole_sentences import sentence_places


@dataclass(frozen=True)
class DocumentSentences(OnlyArranges):
    """`document_sentences()` makes one."""

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a max_length without room, and where no document has two tokens."""
        return some_places(len(sentence_places(corpus, room_of(max_length, num_special[0]), across=False)))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """One span. Raises IndexError for a number the corpus does not have."""
        places = sentence_places(corpus, room_of(context.max_length, context.num_special[0]), across=False)
        check_number(number, len(places))
        return Segments([span(corpus, *places[number].tolist())])


def document_sentences() -> DocumentSentences:
    """Whole sentences of a document as an arrangement.

    Two documents, 4 5 | 6 7 and 8 9 | 10 11 12 13; with room for five, 10 to 13 do not fit behind 8 9:

    >>> import numpy as np
    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.vocab import Vocab
    >>> class Memory:
    ...     num_documents, num_tokens, ids_T = 2, 10, np.arange(4, 14, dtype=np.int32)
    ...     document_starts, sentence_starts = np.array([0, 4, 10]), np.array([0, 2, 4, 6])
    ...     def ids(self, start, end): return self.ids_T[start:end]
    ...     def marks(self, start, end): return np.full(end - start, WORD_START, np.uint8)
    ...     def table(self, name, compute): return np.concatenate(list(compute(self)))
    >>> context = Context(Vocab(size=14, is_special_V=np.arange(14) < 4), 7, np.random.default_rng(0))
    >>> for number in range(document_sentences().samples(Memory(), 7)):
    ...     document_sentences().arrange(Memory(), number, context).spans[0].ids_P
    array([4, 5, 6, 7], dtype=int32)
    array([8, 9], dtype=int32)
    array([10, 11, 12, 13], dtype=int32)
    """
    return DocumentSentences()
