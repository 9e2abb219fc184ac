"""Dropped tokens: random tokens are left out, and they alone are written, in their order, without sentinels.

Raffel et al. 2020, "T5", section 3.3.2 ("i.i.d. noise, drop tokens"): 15 % of the tokens, each as likely as any other.
The number is exact, as in `mlm`; the code draws for each token. [UNK] is never dropped.
"""

from pretune.objectives.selectors import exactly
from pretune.objectives.taken_out import TakeOut
from pretune.objectives.text_to_text import TextToText


def drop_tokens(masking_rate: float = 0.15) -> TextToText:
    """Dropped tokens as an objective. InputError for a wrong rate.

    The paper's table 3, with a generator that drops its three words:

    >>> import numpy as np
    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> words = np.array("Thank you for inviting me to your party last week .".split())
    >>> vocab, rng = Vocab(11, np.zeros(11, bool)), np.random.default_rng(55)
    >>> rest, target = drop_tokens(0.3).corruption(bidirectional(np.arange(11)), vocab, rng, 0.0)
    >>> print(" ".join(words[rest]), "->", " ".join(words[target]))
    Thank you me to your party week . -> for inviting last
    """
    select = exactly(masking_rate)
    return TextToText(TakeOut(select, select.budget, sentinels=False))
