"""Sentence order: do two spans stand in their order? 0: they do, 1: they were swapped.

Lan et al. 2020 ("ALBERT"), section 3.1; details from google-research/albert, create_pretraining_data.py. Positive and
negative pairs are both two spans that follow each other in a document, so the topic does not tell, as it does in
`next_sentence`. As there: a random number of whole sentences in the first span, 10 % short pairs, tokens of the longer
span are cut off where a pair is too long.

Deviations: a place of one sentence is cut at a word inside it and swapped half of the time like any other (the code
gives it a second span from another document, label 1); a pair is cut to its length before it is swapped, so that what
is cut off does not tell; the short length is drawn for each sample.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments
from pretune.objectives.arrangements import room_of, some_places, span
from pretune.objectives.draws import check_copies, generator
from pretune.objectives.sentence_pairs import check_short_rate, cut_pair, truncate
from pretune.objectives.sentence_units import units

HEAD = "sentence_order"
IN_ORDER, SWAPPED = 0, 1


@dataclass(frozen=True)
class SentenceOrder:
    """`sentence_order(...)` makes one. Loss "sentence_order": cross-entropy in nats, the mean over pairs."""

    short_rate: float = 0.1
    copies: int | None = None

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a max_length without room, and where no document has two tokens."""
        return some_places(len(units(corpus, room_of(max_length, num_special[1])).places))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """Two spans and their label. Raises IndexError for a number the corpus does not have."""
        room = room_of(context.max_length, context.num_special[1])
        rng = generator(context, self.copies, HEAD)
        swap_u, short_u, length_u, cut_u = rng.random(4).tolist()
        pair = cut_pair(corpus, units(corpus, room), number, room, self.short_rate, (short_u, length_u, cut_u))
        spans = [span(corpus, *place) for place in truncate(pair.first, pair.second, room, rng)]
        return Segments(spans, {HEAD: IN_ORDER}) if swap_u < 0.5 else Segments(spans[::-1], {HEAD: SWAPPED})

    def corrupt(self, example: Example, context: Context) -> Example:
        """Nothing: the label is in the arrangement. InputError where another objective arranged the sample."""
        if HEAD not in example.predict:
            raise InputError("sentence_order must arrange the sample: name it first, add(sentence_order(), ...)")
        return example

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {HEAD: body.family_head("sentence_order")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {HEAD: cross_entropy(model(batch)[HEAD], batch.predict[HEAD])}


def sentence_order(short_rate: float = 0.1, copies: int | None = None) -> SentenceOrder:
    """Sentence order prediction as an objective; settings as in `next_sentence`. InputError for a wrong one.

    A document of two sentences, 4 5 | 6 7:

    >>> import numpy as np
    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.vocab import Vocab
    >>> class Memory:
    ...     num_documents, num_tokens, ids_T = 1, 4, np.array([4, 5, 6, 7], np.int32)
    ...     document_starts, sentence_starts = np.array([0, 4]), np.array([0, 2])
    ...     def ids(self, start, end): return self.ids_T[start:end]
    ...     def marks(self, start, end): return np.full(end - start, WORD_START, np.uint8)
    ...     def table(self, name, compute): return np.concatenate(list(compute(self)))
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4)
    >>> for seed in (0, 2):
    ...     context = Context(vocab, 16, np.random.default_rng(seed))
    ...     segments = sentence_order(short_rate=0).arrange(Memory(), 0, context)
    ...     print([span.ids_P.tolist() for span in segments.spans], segments.labels)
    [[6, 7], [4, 5]] {'sentence_order': 1}
    [[4, 5], [6, 7]] {'sentence_order': 0}
    """
    check_short_rate(short_rate)
    check_copies(copies)
    return SentenceOrder(short_rate, copies)
