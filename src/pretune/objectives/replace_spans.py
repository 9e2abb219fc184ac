"""Replaced spans: random tokens are taken out, each run of them becomes a sentinel, and what stood there is written.

Raffel et al. 2020, "T5", section 3.3.2 ("i.i.d. noise, replace spans"), its baseline (section 3.1.4): 15 % of the
tokens, each as likely as any other. The number is exact, as in `mlm`; the code draws for each token. [UNK] is never
taken out.
"""

from pretune.objectives.selectors import exactly
from pretune.objectives.taken_out import TakeOut
from pretune.objectives.text_to_text import TextToText


def replace_spans(masking_rate: float = 0.15) -> TextToText:
    """Replaced spans as an objective. InputError for a wrong rate, and for a tokenizer with too few sentinels.

    >>> import numpy as np
    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(31, np.arange(31) > 26, sentinel_ids=(30, 29, 28, 27))
    >>> replace_spans(0.3).corruption(bidirectional(np.arange(11)), vocab, np.random.default_rng(2), 0.0)
    (array([ 0,  1,  2, 30,  4,  5, 29,  8,  9, 10]), array([30,  3, 29,  6,  7, 28]))
    """
    select = exactly(masking_rate)
    return TextToText(TakeOut(select, select.budget))
