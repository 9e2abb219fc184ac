"""Masked spans of words (SpanBERT's masking): lengths from a geometric distribution, one 80/10/10 choice for a span.

Joshi et al. 2020, "SpanBERT", section 3.1: a length in words from Geo(0.2), at most 10; a start among the words; until
15 % of the tokens are spent; a whole span becomes [MASK] (80 %), random tokens (10 %) or stays (10 %). Spans that touch
count as one (facebookresearch/SpanBERT, masking.py, merge_intervals).

Paper and code differ, and the paper is followed: complete words (the code ends the last span inside a word when the
budget is spent, here it ends with the last word that fits); starts uniform over words (the code: over tokens, so long
words are likelier). The budget is rounded as in `mlm` (the code rounds up).
"""

from pretune.objectives.draws import check_copies
from pretune.objectives.mlm import MaskedLM
from pretune.objectives.rewriters import Replacement, mask_random_keep
from pretune.objectives.selectors import budget
from pretune.objectives.word_spans import WordSpans, geometric_lengths


def span_mask(
    masking_rate: float = 0.15,
    geometric_p: float = 0.2,
    max_words: int = 10,
    mask: float = 0.8,
    random: float = 0.1,
    replacement: Replacement = "uniform",
    copies: int | None = None,
    final_masking_rate: float | None = None,
) -> MaskedLM:
    """Masked spans as an objective.

    geometric_p, max_words: of the lengths of spans in words. The rest as in `mlm`. InputError for a wrong setting.

    Ten words of one piece, half of them to predict: 4 to 6 become [MASK], 8 and 9 random tokens.

    >>> import numpy as np
    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.protocols import Context
    >>> from pretune.core.stream import Example, bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=20, is_special_V=np.arange(20) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> example = Example(bidirectional(np.arange(4, 14), marks_T=np.full(10, WORD_START, np.uint8)))
    >>> corrupted = span_mask(0.5).corrupt(example, Context(vocab, 10, np.random.default_rng(38)))
    >>> corrupted.source.ids_T, corrupted.predict["lm"].gold_M
    (array([ 3,  3,  3,  7,  6, 13, 10, 11, 12, 13]), array([4, 5, 6, 8, 9]))
    """
    check_copies(copies)
    select = WordSpans(budget(masking_rate, final_masking_rate), geometric_lengths(geometric_p, max_words))
    return MaskedLM(select, mask_random_keep(mask, random, replacement, per="span"), copies)
