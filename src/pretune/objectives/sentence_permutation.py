"""Sentence permutation: the sentences of a document in a random order, and the whole text is written again (BART).

Lewis et al. 2020, "BART", section 2.2. Sentences are those that the corpus marks (the paper: full stops); where a
sample begins within one, what is left of it counts as one. With infilling, name this first, as the code orders them:
`objective.name=sentence_permutation+text_infilling` (facebookresearch/fairseq, denoising_dataset.py).
"""

from pretune.objectives.edits import ShuffleSentences
from pretune.objectives.text_to_text import TextToText, denoise


def sentence_permutation() -> TextToText:
    """Sentence permutation as an objective.

    >>> import numpy as np
    >>> from pretune.core.marks import SENTENCE_START
    >>> from pretune.core.stream import bidirectional
    >>> marks = np.array([1, 0, 0, 1, 0, 1, 0, 0], np.uint8) * SENTENCE_START
    >>> text = bidirectional(np.arange(10, 18), marks_T=marks)
    >>> sentence_permutation().corruption(text, None, np.random.default_rng(0), 0.0)[0]
    array([15, 16, 17, 10, 11, 12, 13, 14])
    """
    return denoise(ShuffleSentences())
