"""Taking out: the encoder reads a text without some of its tokens, and the decoder writes only what is missing (T5).

Raffel et al. 2020, "T5", sections 3.1.4 and 3.3.2. With sentinels, each run of tokens that are taken out becomes
another sentinel, in their order, and the target is each sentinel and what stood there, "plus a final sentinel token".
Without, the rest is closed up, and the target is what was taken out.

Deviation: the code (`t5.data.preprocessors.nonnoise_span_to_unique_sentinel`) writes the final sentinel only where the
text does not end with a span, and none before a span that the text begins with; here, as the paper says, every span
stands behind the sentinel that stands for it, and the final one is always there.

Dimensions: T tokens of a sample, P of the text to write, M taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.core.stream import Stream
from pretune.core.vocab import Vocab
from pretune.objectives.rewriters import runs_of
from pretune.objectives.selectors import Budget, Selector, maskable
from pretune.objectives.text_to_text import Ids, around


@dataclass(frozen=True)
class TakeOut:
    """A corruption by a selector, which chooses as many tokens as `budget` says, of `num_tokens` in at most
    `num_tokens / mean_length` spans and as many as `more_spans` besides."""

    select: Selector
    budget: Budget
    sentinels: bool = True
    mean_length: float = 1.0
    more_spans: int = 0

    def check(self, vocab: Vocab, room: int) -> None:
        """InputError for too few sentinels for the worst case, and for a rate with which the decoder would write more
        tokens than a sample has."""
        if not self.sentinels:
            return
        number = min(self.budget.of(room), room - 1)
        spans = min(max(1, round(number / self.mean_length)) + self.more_spans, number, room - number + 1)
        if spans + 1 > len(vocab.sentinel_ids):
            raise InputError(
                f"{room} tokens of text may have {spans} spans taken out, which need {spans + 1} sentinels, and the "
                f"tokenizer has {len(vocab.sentinel_ids)}: train one with --sentinels {spans + 1} (T5 has 100), and "
                "build the corpus with it"
            )
        if number + spans + 1 > room:
            raise InputError(
                f"of {room} tokens {number} would be taken out and up to {number + spans + 1} be written: "
                "lower masking_rate, or raise max_length"
            )

    def __call__(self, source: Stream, vocab: Vocab, rng: np.random.Generator, progress: float) -> tuple[Ids, Ids]:
        rows_M = self.select(source, maskable(source, vocab), rng, progress)
        before, _, behind = around(source)
        if not self.sentinels:
            rest, taken = np.delete(source.ids_T, rows_M), source.ids_T[rows_M]
        else:
            rest, taken = with_sentinels(source.ids_T, rows_M, vocab.sentinel_ids)
        return rest, np.concatenate([before, taken, behind])


def with_sentinels(ids_T: Ids, rows_M: NDArray[np.int64], sentinel_ids: Sequence[int]) -> tuple[Ids, Ids]:
    """The text with a sentinel for each run of rows, and each sentinel with its run, and the final one.

    InputError for more runs than there are sentinels. The paper's figure 1:

    >>> words = np.array("Thank you for inviting me to your party last week .".split() + ["<X>", "<Y>", "<Z>"])
    >>> for taken in ([2, 3, 8], [2, 3, 4, 6, 7, 8]):
    ...     rest, target = with_sentinels(np.arange(11), np.array(taken), [11, 12, 13])
    ...     print(" ".join(words[rest]), "->", " ".join(words[target]))
    Thank you <X> me to your party <Y> week . -> <X> for inviting <Y> last <Z>
    Thank you <X> to <Y> week . -> <X> for inviting me <Y> your party last <Z>
    """
    firsts = np.unique(runs_of(rows_M)[0])
    if len(firsts) + 1 > len(sentinel_ids):
        raise InputError(f"{len(firsts)} spans need {len(firsts) + 1} sentinels, and there are {len(sentinel_ids)}")
    sentinels = np.array(sentinel_ids[: len(firsts) + 1], np.int64)
    rest_T = ids_T.astype(np.int64)
    rest_T[rows_M[firsts]] = sentinels[:-1]
    rest = np.delete(rest_T, np.delete(rows_M, firsts))
    target = np.insert(ids_T[rows_M].astype(np.int64), np.append(firsts, len(rows_M)), sentinels)
    return rest, target
