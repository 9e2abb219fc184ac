"""Masked words: all pieces of a word are predicted together (whole-word masking).

Google's update of May 2019 to google-research/bert (README, "Whole Word Masking"; create_pretraining_data.py); Cui et
al. 2021 for Chinese. As there: the rate counts pieces and stays 15 %, and each piece of a word becomes [MASK], random
or stays by a draw of its own. Deviations: a word is what the tokenizer's pre-tokenizer made of the text, not what "##"
shows, so it is right for byte-level BPE, unigram and character tokenizers; see `word_spans.py` for what does not fit.
"""

from pretune.objectives.draws import check_copies
from pretune.objectives.mlm import MaskedLM
from pretune.objectives.rewriters import Replacement, mask_random_keep
from pretune.objectives.selectors import budget
from pretune.objectives.word_spans import WordSpans


def whole_word(
    masking_rate: float = 0.15,
    mask: float = 0.8,
    random: float = 0.1,
    replacement: Replacement = "uniform",
    copies: int | None = None,
    max_predictions: int | None = None,
    final_masking_rate: float | None = None,
) -> MaskedLM:
    """Masked words as an objective; settings as in `mlm`. InputError for a wrong one.

    Three words, 4 5 | 6 | 7 8, and half of the five pieces to predict: the word drawn is hidden whole.

    >>> import numpy as np
    >>> from pretune.core.marks import SPECIAL, WORD_START
    >>> from pretune.core.protocols import Context
    >>> from pretune.core.stream import Example, bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> marks = np.array([SPECIAL, WORD_START, 0, WORD_START, WORD_START, 0, SPECIAL], np.uint8)
    >>> example = Example(bidirectional(np.array([1, 4, 5, 6, 7, 8, 2]), marks_T=marks))
    >>> for seed in (2, 0):
    ...     context = Context(vocab, 8, np.random.default_rng(seed))
    ...     whole_word(0.5, mask=1, random=0).corrupt(example, context).source.ids_T
    array([1, 3, 3, 6, 7, 8, 2])
    array([1, 4, 5, 6, 3, 3, 2])
    """
    check_copies(copies)
    select = WordSpans(budget(masking_rate, final_masking_rate, max_predictions))
    return MaskedLM(select, mask_random_keep(mask, random, replacement), copies)
