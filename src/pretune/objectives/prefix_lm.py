"""Prefix language model: a text is cut in two; the first part is seen as a whole, the second is written.

Raffel et al. 2020, "T5", sections 3.2.1 and 3.3.1 (table 3), after Liu et al. 2018: the cut is drawn anew for each
sample, any length of the second part from one token to all but one as likely as any other
(t5/data/preprocessors.py, random_prefix_noise_mask).

A body of one stream sees the prefix, and [CLS] before it, from both sides and the rest from left to right (`prefix` in
the visibility of `core/stream.py`), and predicts the ordinary tokens of the rest, each at the row before it. `pretrain`
says in its files that the body may go on with a text (`attention.prefix`). With a decoder beside an encoder, the
encoder reads the prefix and the decoder writes the rest, its end too.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pretune.core.continuation import prefix_seen
from pretune.core.errors import InputError
from pretune.core.protocols import Context
from pretune.core.stream import Example
from pretune.objectives.causal_lm import HEAD, CausalLM, next_tokens
from pretune.objectives.text_to_text import around, to_write


@dataclass(frozen=True)
class PrefixLM(CausalLM):
    """`prefix_lm()` makes one. Loss "lm": cross-entropy in nats, the mean over the tokens behind the prefix."""

    @property
    def body_needs(self) -> dict[str, Any]:
        """Changes to the config of a body of one stream that is made for this objective."""
        return {"attention.prefix": True}

    def corrupt(self, example: Example, context: Context) -> Example:
        """Cuts the text and adds targets "lm". InputError where another objective predicts something."""
        if example.predict:
            raise InputError(f"prefix_lm does not go with what predicts {', '.join(example.predict)}: leave one out")
        source = example.source
        before, text, behind = around(source)
        num_seen = max(len(text) - int(context.rng.integers(1, max(len(text), 2))), 0)
        if example.target is not None:
            ids_S, gold_P = (np.concatenate([before, part, behind]) for part in np.split(text, [num_seen]))
            return to_write(example, ids_S, gold_P, context)
        first = len(before) + num_seen
        predict = {HEAD: next_tokens(source, context.vocab, max(first, 1))}
        return replace(example, source=prefix_seen(source, first), predict=predict)


def prefix_lm() -> PrefixLM:
    """The rest of a text as an objective.

    [CLS] 4 5 6 7 8 [SEP]: [CLS] and three tokens see each other, then 7 and 8 are predicted, each at the row before:

    >>> from pretune.core.assemble import Template, assemble
    >>> from pretune.core.stream import Segments, Span
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> text = Segments([Span(np.arange(4, 9), np.zeros(5, np.uint8))])
    >>> example = assemble(text, Template({"cls": 1, "sep": 2}))
    >>> corrupted = prefix_lm().corrupt(example, Context(vocab, 8, np.random.default_rng(1)))
    >>> corrupted.source.ids_T, corrupted.source.sees_up_to_T
    (array([1, 4, 5, 6, 7, 8, 2]), array([0, 0, 0, 0, 4, 5, 6]))
    >>> corrupted.predict["lm"].at_MK.ravel(), corrupted.predict["lm"].gold_M
    (array([3, 4]), array([7, 8]))

    With a decoder beside the encoder, whose texts begin with 0, the same cut:

    >>> example = assemble(text, Template({"cls": 1, "sep": 2, "pad": 0}, start="pad"))
    >>> corrupted = prefix_lm().corrupt(example, Context(vocab, 8, np.random.default_rng(1), start_id=0))
    >>> corrupted.source.ids_T, corrupted.target.ids_T, corrupted.predict["lm"].gold_M
    (array([1, 4, 5, 6, 2]), array([0, 1, 7, 8]), array([1, 7, 8, 2]))
    """
    return PrefixLM()
