"""Next sentence: does the second span follow the first? 0: it does, 1: it is from another document.

Devlin et al. 2019, section 3.1 and appendix A.2; details from google-research/bert, create_pretraining_data.py. As
there: spans of whole sentences, a random number of them in the first; the random span starts at a random sentence of a
random document and ends with it at the latest; a pair that is too long loses tokens of the longer span, a coin says for
each whether at the front or the back; 10 % of the pairs aim at a random shorter length. Label 0 is "next".

Deviations: a sample is a numbered place in the corpus, so what the first span leaves of it when the second is random is
not put back (another epoch cuts elsewhere); the short length is drawn for each sample, not for each document; the other
document is never the same one (the code tries ten times); a place of one sentence is cut at a word inside it, then the
random span starts inside a sentence too, where the code makes every such pair random, so that here half are.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments
from pretune.objectives.arrangements import MIN_TOKENS, room_of, some_places, span
from pretune.objectives.draws import check_copies, generator
from pretune.objectives.sentence_pairs import Pair, Place, check_short_rate, cut_pair, truncate, word_inside
from pretune.objectives.sentence_units import Units, units

HEAD = "next_sentence"
IS_NEXT, IS_RANDOM = 0, 1


@dataclass(frozen=True)
class NextSentence:
    """`next_sentence(...)` makes one. Loss "next_sentence": cross-entropy in nats, the mean over pairs."""

    short_rate: float = 0.1
    copies: int | None = None

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        """Raises InputError for a corpus without two documents, and for a max_length without room."""
        return some_places(len(_units(corpus, room_of(max_length, num_special[1])).places))

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        """Two spans and their label. Raises IndexError for a number the corpus does not have."""
        room = room_of(context.max_length, context.num_special[1])
        found = _units(corpus, room)
        rng = generator(context, self.copies, HEAD)
        label_u, short_u, length_u, cut_u, *other_u = rng.random(7).tolist()
        pair = cut_pair(corpus, found, number, room, self.short_rate, (short_u, length_u, cut_u))
        a, b, label = pair.first, pair.second, IS_NEXT
        if label_u >= 0.5:
            b, label = _elsewhere(corpus, found, pair, room, other_u), IS_RANDOM
        a, b = truncate(a, b, room, rng)
        return Segments([span(corpus, *a), span(corpus, *b)], {HEAD: label})

    def corrupt(self, example: Example, context: Context) -> Example:
        """Nothing: the label is in the arrangement. InputError where another objective arranged the sample."""
        if HEAD not in example.predict:
            raise InputError("next_sentence must arrange the sample: name it first, add(next_sentence(), ...)")
        return example

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {HEAD: body.family_head("next_sentence")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {HEAD: cross_entropy(model(batch)[HEAD], batch.predict[HEAD])}


def _units(corpus: TokenStore, room: int) -> Units:
    found = units(corpus, room)
    if len(found.documents) < 2:
        raise InputError(
            f"next_sentence needs two documents of {MIN_TOKENS} tokens or more; the corpus has "
            f"{len(found.documents)}: build it with another --documents, or choose an objective without next_sentence"
        )
    return found


def _elsewhere(corpus: TokenStore, found: Units, pair: Pair, room: int, uniforms: list[float]) -> Place:
    """A span of another document that makes up a pair's target with its first span.

    From a sentence's start where the pair was cut at one, else from a word inside one: else the cut would tell. Where
    the pair is a piece of a sentence longer than the room, as many tokens as its second span has: else the length would
    tell.
    """
    which_u, unit_u, word_u = uniforms
    (start, border), num_next = pair.first, pair.second[1] - pair.second[0]
    own = int(corpus.document_starts.searchsorted(start, "right")) - 1
    which = int(which_u * (len(found.documents) - 1))
    which += which >= int(found.documents.searchsorted(own))
    document = int(found.documents[which])
    first, limit = int(found.of_document[document]), int(found.of_document[document + 1])
    unit = first + int(unit_u * (limit - first))
    begin = int(found.starts[unit])
    end = int(found.starts[found.reach(unit, max(pair.target - (border - start), 1), limit)])
    if pair.whole:
        return begin, end
    begin = word_inside(corpus, (begin, int(found.starts[unit + 1])), word_u)
    if border - start + num_next < room:
        return begin, end
    return begin, min(begin + num_next, int(found.starts[limit]))


def next_sentence(short_rate: float = 0.1, copies: int | None = None) -> NextSentence:
    """Next sentence prediction as an objective.

    short_rate: share of pairs that aim at a length drawn uniformly from 2 tokens to the room there is.
    copies: as in `mlm`; composed with it, what one has holds for both. InputError for a wrong setting.

    Two documents, 4 5 | 6 7 and 8 9; the sample is the first, cut at its sentences:

    >>> import numpy as np
    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.vocab import Vocab
    >>> class Memory:
    ...     num_documents, num_tokens, ids_T = 2, 6, np.array([4, 5, 6, 7, 8, 9], np.int32)
    ...     document_starts, sentence_starts = np.array([0, 4, 6]), np.array([0, 2, 4])
    ...     def ids(self, start, end): return self.ids_T[start:end]
    ...     def marks(self, start, end): return np.full(end - start, WORD_START, np.uint8)
    ...     def table(self, name, compute): return np.concatenate(list(compute(self)))
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4)
    >>> for seed in (0, 2):
    ...     segments = next_sentence(short_rate=0).arrange(Memory(), 0, Context(vocab, 16, np.random.default_rng(seed)))
    ...     print([span.ids_P.tolist() for span in segments.spans], segments.labels)
    [[4, 5], [8, 9]] {'next_sentence': 1}
    [[4, 5], [6, 7]] {'next_sentence': 0}
    """
    check_short_rate(short_rate)
    check_copies(copies)
    return NextSentence(short_rate, copies)
