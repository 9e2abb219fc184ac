"""Document rotation: the text begins at a random token and goes round, and is written as it was (BART).

Lewis et al. 2020, "BART", section 2.2: the model learns to find where the document starts. A document here is what a
sample has of it.
"""

from pretune.objectives.edits import Rotate
from pretune.objectives.text_to_text import TextToText, denoise


def document_rotation() -> TextToText:
    """Document rotation as an objective.

    >>> import numpy as np
    >>> from pretune.core.stream import bidirectional
    >>> document_rotation().corruption(bidirectional(np.arange(10, 16)), None, np.random.default_rng(0), 0.0)[0]
    array([15, 10, 11, 12, 13, 14])
    """
    return denoise(Rotate())
