"""Token masking: random tokens become [MASK], and the whole text is written again (BART).

Lewis et al. 2020, "BART", section 2.2: "following BERT, random tokens are sampled and replaced with [MASK] elements".
Of the rate the paper says nothing; 15 % is BERT's. All chosen ones become [MASK]: no random ones, none kept.
`objective.name=token_masking+sentence_permutation` and the like corrupt one text one after another.
"""

from pretune.objectives.text_to_text import TextToText, denoise
from pretune.objectives.token_masks import mask_tokens


def token_masking(masking_rate: float = 0.15) -> TextToText:
    """Token masking as an objective. masking_rate: share of the tokens, as near as whole tokens come, at least one.

    The decoder begins with its start token (0 here) and writes all of the sample:

    >>> import numpy as np
    >>> from pretune.core.assemble import Template, assemble
    >>> from pretune.core.protocols import Context
    >>> from pretune.core.stream import Segments, Span
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> template = Template({"cls": 1, "sep": 2, "pad": 0}, start="pad")
    >>> example = assemble(Segments([Span(np.arange(4, 10), np.zeros(6, np.uint8))]), template)
    >>> corrupted = token_masking(0.3).corrupt(example, Context(vocab, 8, np.random.default_rng(1), start_id=0))
    >>> corrupted.source.ids_T, corrupted.target.ids_T
    (array([1, 3, 5, 6, 7, 3, 9, 2]), array([0, 1, 4, 5, 6, 7, 8, 9]))
    >>> corrupted.predict["lm"].gold_M
    array([1, 4, 5, 6, 7, 8, 9, 2])
    """
    return denoise(mask_tokens(masking_rate))
