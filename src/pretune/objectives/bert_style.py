"""BERT-style denoising: tokens become the mask or a random token, and the whole text is written again (T5's table 3).

Raffel et al. 2020, "T5", section 3.3.1: 15 % of the tokens are corrupted; 90 % of these become a mask token, 10 % a
random one. (BERT predicts the corrupted ones only, and leaves some as they are: Devlin et al. 2019.) The mask is
[MASK], or T5's first sentinel where the vocabulary has no [MASK].
"""

from pretune.objectives.text_to_text import TextToText, denoise
from pretune.objectives.token_masks import mask_tokens


def bert_style(masking_rate: float = 0.15, random: float = 0.1) -> TextToText:
    """BERT-style denoising as an objective. random: share of the corrupted tokens that become a random token.

    Of ten tokens half are corrupted, and at the third of these is a random one:

    >>> import numpy as np
    >>> from pretune.core.marks import WORD_START
    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=40, is_special_V=np.arange(40) < 4, mask_id=3)
    >>> text = bidirectional(np.arange(10, 20), marks_T=np.full(10, WORD_START, np.uint8))
    >>> bert_style(0.5, random=0.3).corruption(text, vocab, np.random.default_rng(21), 0.0)[0]
    array([ 3,  3, 12, 13, 39, 15,  3,  3, 18, 19])
    """
    return denoise(mask_tokens(masking_rate, random))
