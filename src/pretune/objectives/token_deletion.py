"""Token deletion: random tokens are left out, and the whole text is written again (BART).

Lewis et al. 2020, "BART", section 2.2: "in contrast to token masking, the model must decide which positions are missing
inputs". Of the rate the paper says nothing; 15 % is that of its token masking here.
"""

from pretune.objectives.edits import Delete
from pretune.objectives.text_to_text import TextToText, denoise


def token_deletion(deletion_rate: float = 0.15) -> TextToText:
    """Token deletion as an objective. deletion_rate: share of the tokens, as near as whole tokens come.

    >>> import numpy as np
    >>> from pretune.core.marks import SPECIAL
    >>> from pretune.core.stream import bidirectional
    >>> marks = np.array([SPECIAL, 0, 0, 0, 0, 0, 0, SPECIAL], np.uint8)
    >>> text = bidirectional(np.array([1, 4, 5, 6, 7, 8, 9, 2]), marks_T=marks)
    >>> token_deletion(0.3).corruption(text, None, np.random.default_rng(1), 0.0)
    (array([1, 5, 6, 7, 9, 2]), array([1, 4, 5, 6, 7, 8, 9, 2]))
    """
    return denoise(Delete(deletion_rate))
