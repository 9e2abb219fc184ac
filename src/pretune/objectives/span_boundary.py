"""Span boundary: each token of a masked span from the two tokens just outside it and its place in it, beside the MLM.

Joshi et al. 2020, "SpanBERT", section 3.2: for the span (s, e) token i is predicted by f(x_(s-1), x_(e+1), p_(i-s+1)),
where x are the encoder's outputs; the loss is the sum of both, L_MLM + L_SBO (section 3.3). The masking is `span_mask`,
the head `nn.heads.SpanBoundaryHead`. It is for pre-training only: SpanBERT's published files leave it out; ours keep it
under our own names (`pretune.span_boundary.*`), so that `--init` goes on with it, and other programs pass it over.

Paper and code: positions are told apart up to 20 tokens (facebookresearch/SpanBERT, `max_pair_targets`); what comes
after in a longer span is predicted by the MLM alone, as in the code. Spans that touch are one, so a boundary is never a
predicted token. A span at a text's end has [CLS] or [SEP] for its boundary, as the paper's formula says; the code
leaves such spans out.

Dimensions: M masked tokens, B of them with a boundary prediction.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.marks import SPECIAL
from pretune.core.protocols import Context
from pretune.core.stream import Batch, Example, Targets
from pretune.objectives import mlm, span_mask
from pretune.objectives.rewriters import Replacement, runs_of

HEAD = "span_boundary"
MAX_POSITIONS = 20
"""Tokens of a span that the head tells apart."""


@dataclass(frozen=True)
class SpanBoundary(mlm.MaskedLM):
    """`span_boundary(...)` makes one. Losses "lm" and "span_boundary", each a mean over its predictions."""

    def corrupt(self, example: Example, context: Context) -> Example:
        """Targets "lm" as the masking makes them, and "span_boundary": K = 2 rows, given the place in the span.

        Raises InputError for a stream that begins or ends with text: a span there has no token outside it.
        """
        if HEAD in example.predict:
            raise InputError(f"two objectives predict with the head {HEAD!r}: leave one out")
        if not (example.source.marks_T[[0, -1]] & SPECIAL).all():
            raise InputError(
                "span_boundary needs a token before and behind the text, such as [CLS] and [SEP], and the text of this "
                "model has none there: choose span_mask, or a model that reads both ways (bert, roberta, modern)"
            )
        example = super().corrupt(example, context)
        masked = example.predict[mlm.HEAD]
        rows_M = masked.at_MK[:, 0]
        starts_M, ends_M = (rows_M[index_M] for index_M in runs_of(rows_M))
        near_M = rows_M - starts_M < MAX_POSITIONS
        boundary = Targets(
            at_MK=np.stack([starts_M - 1, ends_M + 1], axis=1)[near_M],
            gold_M=masked.gold_M[near_M],
            weight_M=masked.weight_M[near_M],
            given_M=(rows_M - starts_M)[near_M],
        )
        return replace(example, predict={**example.predict, HEAD: boundary})

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {**super().heads(body), HEAD: body.family_head("span_boundary")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {**super().counts(batch), HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        logits = model(batch)
        return {name: cross_entropy(logits[name], batch.predict[name]) for name in (mlm.HEAD, HEAD)}


def span_boundary(
    masking_rate: float = 0.15,
    geometric_p: float = 0.2,
    max_words: int = 10,
    mask: float = 0.8,
    random: float = 0.1,
    replacement: Replacement = "uniform",
    copies: int | None = None,
    final_masking_rate: float | None = None,
) -> SpanBoundary:
    """Masked spans and their boundaries as an objective; settings as in `span_mask`.

    Of six words the span 6 7 8 is masked: each is predicted at its own row (3, 4, 5) and from the rows 2 and 6.

    >>> from pretune.core.marks import SPECIAL, WORD_START
    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=20, is_special_V=np.arange(20) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> marks = np.array([SPECIAL, *[WORD_START] * 6, SPECIAL], np.uint8)
    >>> example = Example(bidirectional(np.array([1, 4, 5, 6, 7, 8, 9, 2]), marks_T=marks))
    >>> corrupted = span_boundary(0.5).corrupt(example, Context(vocab, 8, np.random.default_rng(2)))
    >>> corrupted.source.ids_T
    array([1, 4, 5, 3, 3, 3, 9, 2])
    >>> boundary = corrupted.predict["span_boundary"]
    >>> boundary.at_MK.tolist(), boundary.given_M.tolist(), boundary.gold_M.tolist()
    ([[2, 6], [2, 6], [2, 6]], [0, 1, 2], [6, 7, 8])
    """
    masked = span_mask.span_mask(
        masking_rate, geometric_p, max_words, mask, random, replacement, copies, final_masking_rate
    )
    return SpanBoundary(masked.select, masked.rewrite, copies)
