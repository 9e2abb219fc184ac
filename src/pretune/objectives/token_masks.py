"""One token in the place of each chosen one, or of each chosen span: what BART and T5 write into a text.

The token is [MASK], or where the vocabulary has none, its first sentinel, as in T5's code, whose vocabulary has no
[MASK] (`t5.data.preprocessors.noise_token_to_sentinel`).
"""

from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.core.vocab import Vocab
from pretune.objectives.edits import Edited
from pretune.objectives.rewriters import draw_ids
from pretune.objectives.selectors import Budget, budget


@dataclass(frozen=True)
class MaskTokens:
    """An edit: as many tokens as the budget says become the mask, or, a share `random` of them, a random token."""

    budget: Budget
    random: float = 0.0

    def __call__(self, text: Edited, vocab: Vocab, rng: np.random.Generator) -> Edited:
        rows = np.sort(rng.permutation(len(text))[: self.budget.of(len(text))])
        choice, which = rng.random((2, len(rows)))
        text = text.with_ids(rows, mask_of(vocab))
        random_rows = choice < self.random
        if not random_rows.any():
            return text
        return text.with_ids(rows[random_rows], draw_ids(vocab, which[random_rows], "uniform"))


def mask_tokens(masking_rate: float, random: float = 0.0) -> MaskTokens:
    """InputError for a rate outside (0, 1] and a share outside [0, 1]."""
    if not 0 <= random <= 1:
        raise InputError(f"random is {random}: it must be a share from 0 to 1")
    return MaskTokens(budget(masking_rate), random)


def mask_of(vocab: Vocab) -> int:
    """The id that stands for what is hidden. InputError for a vocabulary without one."""
    found = (vocab.mask_id, *vocab.sentinel_ids[:1])
    number = next((each for each in found if each is not None), None)
    if number is None:
        raise InputError("the tokenizer has neither [MASK] nor sentinels: train one that has (--sentinels)")
    return number
