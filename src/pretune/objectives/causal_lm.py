"""The next token, from left to right: a language model (GPT), and on an encoder "LTR & No NSP" of BERT's ablation.

Radford et al. 2018, section 3.1; Devlin et al. 2019, section 5.1: a left-context-only model, trained to predict each
next token, the constraint kept at fine-tuning. Every ordinary token is predicted, at the row before it, from [CLS] and
what stands before, and the end of a document where more follows (`token_stream`); [CLS], [SEP] and [UNK] are not. The
stream is marked causal, so any body that keeps to visibility learns what is meant; besides, `pretrain` makes the body
itself causal (`attention.causal`), and its files say so, so that fine-tuning and everything after keep the constraint.
Whole texts are then read at their last row, for the first one sees nothing.

With a decoder beside an encoder the encoder reads an empty text, the template's tokens alone, and the decoder writes
all (Lewis et al. 2020, section 2.2: "in the extreme case, where all information about the source is lost, BART is
equivalent to a language model"), the template's tokens too.

The BiLSTM that the paper puts on top for some tasks (its "+ BiLSTM" row) belongs to fine-tuning: `top=bilstm`.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.marks import END
from pretune.core.protocols import Context, TokenStore
from pretune.core.stream import Batch, Example, Segments, Stream, Targets, left_to_right
from pretune.core.vocab import Vocab
from pretune.objectives.arrangements import Arrangement, Contiguous
from pretune.objectives.bodies import ONE, TWO
from pretune.objectives.selectors import maskable
from pretune.objectives.text_to_text import around, to_write

HEAD = "lm"


@dataclass(frozen=True)
class CausalLM:
    """`causal_lm()` makes one. Loss "lm": cross-entropy in nats, the mean over predicted tokens."""

    arrangement: Arrangement = Contiguous()
    streams: ClassVar[tuple[str, ...]] = (ONE, TWO)

    @property
    def body_needs(self) -> dict[str, Any]:
        """Changes to the config of a body that is made for this objective."""
        return {"attention.causal": True}

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        return self.arrangement.samples(corpus, max_length, num_special)

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        return self.arrangement.arrange(corpus, number, context)

    def corrupt(self, example: Example, context: Context) -> Example:
        """Marks the source causal and adds targets "lm". InputError where another objective predicts something: its
        rows would see a part of the text only, and what it hides would be hidden from this one."""
        if example.predict:
            raise InputError(f"causal_lm does not go with what predicts {', '.join(example.predict)}: leave one out")
        source = example.source
        if example.target is not None:
            before, _, behind = around(source)
            return to_write(example, np.concatenate([before, behind]), source.ids_T, context)
        predict = {HEAD: next_tokens(source, context.vocab, 1)}
        return replace(example, source=left_to_right(source), predict=predict)

    def heads(self, body: Any) -> dict[str, nn.Module]:
        return {HEAD: body.family_head("lm")}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {HEAD: weight_sum(batch.predict[HEAD])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        return {HEAD: cross_entropy(model(batch)[HEAD], batch.predict[HEAD])}


def next_tokens(source: Stream, vocab: Vocab, first: int) -> Targets:
    """The tokens of one sequence from the row `first` on, each at the row before it: ordinary ones and ends of
    documents."""
    told_T = maskable(source, vocab) | (source.marks_T & END).astype(np.bool_)
    rows_M = np.flatnonzero(told_T[first:]) + first - 1
    return Targets(rows_M[:, None], source.ids_T[rows_M + 1], np.ones(len(rows_M), np.float32))


def causal_lm() -> CausalLM:
    """The next token as an objective.

    [CLS] 4 5 6 [SEP]: at row 0 the next is 4, at row 1 it is 5, at row 2 it is 6; a row sees itself and what is before.

    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> example = Example(bidirectional(np.array([1, 4, 5, 6, 2])))
    >>> corrupted = causal_lm().corrupt(example, Context(vocab, 8, np.random.default_rng(0)))
    >>> corrupted.source.ids_T, corrupted.source.sees_up_to_T
    (array([1, 4, 5, 6, 2]), array([0, 1, 2, 3, 4]))
    >>> corrupted.predict["lm"].at_MK.ravel(), corrupted.predict["lm"].gold_M
    (array([0, 1, 2]), array([4, 5, 6]))
    """
    return CausalLM()
