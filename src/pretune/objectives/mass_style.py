"""MASS-style masking: random tokens become the mask, and the whole text is written again (T5's table 3).

Raffel et al. 2020, "T5", section 3.3.1: BERT-style without the random tokens, after Song et al. 2019 ("MASS"), whose
own objective, one long span and only that written, it is not. 15 % of the tokens, each of which becomes [MASK], or T5's
first sentinel where the vocabulary has no [MASK].
"""

from pretune.objectives.text_to_text import TextToText, denoise
from pretune.objectives.token_masks import mask_tokens


def mass_style(masking_rate: float = 0.15) -> TextToText:
    """MASS-style masking as an objective; `token_masking` at T5's rate.

    >>> mass_style() == denoise(mask_tokens(0.15))
    True
    """
    return denoise(mask_tokens(masking_rate))
