"""Masked tokens: some positions are hidden, swapped or kept, and the model says what stood there.

Devlin et al. 2019, section 3.1 and appendix A.1. `ngram`: n-grams of whole words (Lan et al. 2020, section 3.1; of the
same words `whole_word` is the case n = 1). `final_masking_rate`: a rate that changes over the run (`selectors.Budget`).
Masks are drawn anew in every epoch (Liu et al. 2019, section 4.1), or
with `copies` repeat, as in the original code. Deviations: see `selectors.Exactly` (what 15 % counts) and
`rewriters.MaskRandomKeep` (no special tokens). Text is cut as `arrangements.Contiguous` says.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments, Targets
from pretune.objectives.arrangements import Arrangement, Contiguous
from pretune.objectives.draws import check_copies, generator
from pretune.objectives.rewriters import Replacement, Rewriter, mask_random_keep
from pretune.objectives.selectors import Selector, budget, exactly, maskable
from pretune.objectives.word_spans import WordSpans, ngram_lengths

HEAD = "lm"


@dataclass(frozen=True)
class MaskedLM:
    """`mlm(...)` makes one. Loss "lm": cross-entropy in nats, the mean over predicted tokens."""

    select: Selector
    rewrite: Rewriter
    copies: int | None = None
    arrangement: Arrangement = Contiguous()

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return self.arrangement.samples(corpus, max_length, num_special)

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        return self.arrangement.arrange(corpus, number, context)

    def corrupt(self, example: Example, context: Context) -> Example:
        """Rewrites the source and adds targets "lm": M may be 0. InputError where "lm" is predicted already."""
        if HEAD in example.predict:
            raise InputError(f"two objectives predict with the head {HEAD!r}: leave one out")
        rng = generator(context, self.copies, HEAD)
        source = example.source
        rows_M = self.select(source, maskable(source, context.vocab), rng, context.progress)
        targets = Targets(rows_M[:, None], source.ids_T[rows_M], np.ones(len(rows_M), np.float32))
        rewritten = replace(source, ids_T=self.rewrite(source.ids_T, rows_M, context.vocab, rng))
        return replace(example, source=rewritten, predict={**example.predict, HEAD: targets})

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {HEAD: body.family_head("lm")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {HEAD: cross_entropy(model(batch)[HEAD], batch.predict[HEAD])}


def mlm(
    masking_rate: float = 0.15,
    mask: float = 0.8,
    random: float = 0.1,
    replacement: Replacement = "uniform",
    copies: int | None = None,
    max_predictions: int | None = None,
    final_masking_rate: float | None = None,
    ngram: int | None = None,
) -> MaskedLM:
    """Masked tokens as an objective.

    masking_rate: share of the ordinary tokens that are predicted; final_masking_rate: at the end of the run, with a
    straight line to it; none: no change. ngram: n-grams of 1 to so many whole words, not single tokens.
    mask, random: shares of these that become [MASK] and a random token; the rest stays. replacement: random tokens
    uniform over ordinary ids, or by unigram frequency. copies: None, new masks each epoch; 10, static masks that repeat
    after ten epochs, as the original code has them. max_predictions: at most so many in a sample (the original code: 20
    at length 128). InputError for a wrong setting.

    Of six tokens, 5 becomes a random one, 6 stays and 8 is masked; these three are predicted:

    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> example = Example(bidirectional(np.array([1, 4, 5, 6, 7, 8, 9, 2])))   # [CLS] and six tokens and [SEP]
    >>> corrupted = mlm(masking_rate=0.5).corrupt(example, Context(vocab, 8, np.random.default_rng(9)))
    >>> corrupted.source.ids_T
    array([1, 4, 6, 6, 7, 3, 9, 2])
    >>> corrupted.predict["lm"].at_MK.ravel(), corrupted.predict["lm"].gold_M
    (array([2, 3, 5]), array([5, 6, 8]))
    """
    check_copies(copies)
    rewrite = mask_random_keep(mask, random, replacement)
    if ngram is None:
        return MaskedLM(exactly(masking_rate, max_predictions, final_masking_rate), rewrite, copies)
    words = WordSpans(budget(masking_rate, final_masking_rate, max_predictions), ngram_lengths(ngram))
    return MaskedLM(words, rewrite, copies)
