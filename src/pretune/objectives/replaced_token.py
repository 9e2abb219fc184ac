"""Replaced tokens: a small generator fills masked positions, and the model says of every token whether it was replaced.

Clark et al. 2020, "ELECTRA", sections 2 and 3. The generator, a masked language model, is trained at the masked
positions; its samples stand there in the text that the discriminator reads. Nothing flows back through the sampling. A
sample that happens to be the original counts as original. The loss is L_MLM + 50 L_Disc (section 3.4).

Where paper and code (google-research/electra) differ we follow the code:
- The paper replaces all chosen tokens by [MASK]; the code 85 % and keeps 15 % (`pretrain_helpers.mask`). The generator
  predicts both, and its samples replace both.
- All embeddings are shared with the generator, segments and the norm over them too (`nn.generator`).
- The discriminator's loss is the mean over all real tokens of the step (`input_mask`), [CLS] and [SEP] among them,
  though these are never replaced.
Deviations: positions are chosen as in `mlm`, without repetition and never [UNK] (the code draws them with replacement);
weights and noise as in `gumbel`. Like the code's, samples may be any id of the vocabulary, special ones too.

It stands alone, or behind an arrangement: heads of other objectives would read a text with [MASK] that the
discriminator never sees.

Dimensions: T tokens, M masked ones, V vocabulary.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy, weight_sum
from pretune.core.protocols import Context
from pretune.core.stream import Batch, Example, Targets
from pretune.nn.config import TransformerConfig
from pretune.nn.generator import Generator, share_embeddings
from pretune.objectives import mlm
from pretune.objectives.gumbel import gumbel_sample, noise_keys
from pretune.objectives.rewriters import mask_random_keep
from pretune.objectives.selectors import exactly

HEAD = "replaced_token"
BASE = 768
"""The hidden size at which the paper's generator is a third as wide; at 256 and 1024 it is a quarter (table 6)."""


@dataclass(frozen=True)
class ReplacedToken(mlm.MaskedLM):
    """`replaced_token(...)` makes one. Losses "lm", the generator's, a mean over masked tokens, and "replaced_token",
    binary cross-entropy in nats, a mean over all tokens."""

    generator_size: float | None = None
    weight: float = 50.0

    def corrupt(self, example: Example, context: Context) -> Example:
        """The source as the generator reads it. Targets "lm", given numbers that its samples are drawn with, and
        "replaced_token" at every row, whose gold is the true token. InputError beside another objective."""
        if example.predict:
            raise InputError(
                f"replaced_token does not go with what predicts {', '.join(example.predict)}: leave one out"
            )
        if context.vocab.mask_id is None:
            raise InputError("the tokenizer has no [MASK] token, which the generator reads: train one that has")
        true_T = example.source.ids_T
        masked = super().corrupt(example, context)
        chosen = masked.predict[mlm.HEAD]
        chosen = replace(chosen, given_M=noise_keys(context.rng, len(chosen)))
        every = Targets(np.arange(len(true_T))[:, None], true_T.copy(), np.ones(len(true_T), np.float32))
        return replace(masked, predict={mlm.HEAD: chosen, HEAD: every})

    def heads(self, body: Any) -> dict[str, nn.Module]:
        """The discriminator's, and as "lm" a `Generator`, which owns a body."""
        own = body.like(**generator_changes(body.config, self.generator_size)).to(body.device)
        share_embeddings(own, body)
        return {mlm.HEAD: Generator(own, own.family_head("lm")), HEAD: body.family_head(HEAD)}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {name: weight_sum(batch.predict[name]) for name in (mlm.HEAD, HEAD)}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        """InputError where another objective has added its predictions to the batch."""
        if stray := sorted(batch.predict.keys() - {mlm.HEAD, HEAD}):
            raise InputError(f"replaced_token does not go with what predicts {', '.join(stray)}: leave one out")
        logits_MV = model(batch, heads=[mlm.HEAD])[mlm.HEAD]
        seen, every = replaced(batch, logits_MV), batch.predict[HEAD]
        scores_T = model(seen, heads=[HEAD])[HEAD][:, 0].float()
        is_replaced_T = (seen.source.ids_T[every.at_MK[:, 0]] != every.gold_M).float()
        each_T = F.binary_cross_entropy_with_logits(scores_T, is_replaced_T, reduction="none") * every.weight_M
        judged = Loss(each_T.sum(), weight_sum(every), self.weight)
        return {mlm.HEAD: cross_entropy(logits_MV, batch.predict[mlm.HEAD]), HEAD: judged}


def replaced(batch: Batch, logits_MV: Tensor) -> Batch:
    """The batch as the discriminator reads it: the generator's samples where it predicted, true tokens elsewhere."""
    chosen = batch.predict[mlm.HEAD]
    drawn_M = gumbel_sample(logits_MV, chosen.given_M)
    ids_T = batch.source.ids_T.index_copy(0, chosen.at_MK[:, 0], drawn_M)
    return replace(batch, source=replace(batch.source, ids_T=ids_T, cache={}))


def generator_changes(config: TransformerConfig, fraction: float | None) -> dict[str, Any]:
    """What differs in a generator's config: its width and with it heads and feed-forward; depth stays (section 3.2).

    fraction: of the width; None: the paper's. Heads keep their size, 64 in the paper; one head where that is too wide.
    Widths are rounded to multiples of eight a head. Embeddings have the discriminator's size.
    """
    if fraction is None:
        fraction = 1 / 3 if config.hidden_size == BASE else 1 / 4
    width = config.hidden_size * fraction
    num_heads = max(1, round(width) // config.head_size)
    hidden_size = _multiple(width, 8 * num_heads)
    inner = config.feed_forward
    return {
        "hidden_size": hidden_size,
        "attention": replace(config.attention, num_heads=num_heads),
        "feed_forward": replace(inner, intermediate_size=_multiple(inner.intermediate_size * fraction, 8)),
        "embedding_size": None if config.token_size == hidden_size else config.token_size,
    }


def _multiple(size: float, unit: int) -> int:
    return max(1, round(size / unit)) * unit


def replaced_token(
    masking_rate: float = 0.15,
    mask: float = 0.85,
    generator_size: float | None = None,
    weight: float = 50.0,
    max_predictions: int | None = None,
    final_masking_rate: float | None = None,
) -> ReplacedToken:
    """Replaced token detection as an objective.

    masking_rate, final_masking_rate, max_predictions: as in `mlm`. mask: share of the chosen tokens that the generator
    sees as [MASK]; the rest stays. generator_size: its width, as a share of the model's; None: a third at width 768,
    else a quarter. weight: of the discriminator's loss beside the generator's. InputError for a wrong setting.

    Of six tokens, 5, 6 and 8 are chosen; the generator sees 5 and 6 as they are. All eight tokens are judged:

    >>> from pretune.core.stream import bidirectional
    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> example = Example(bidirectional(np.array([1, 4, 5, 6, 7, 8, 9, 2])))   # [CLS] and six tokens and [SEP]
    >>> corrupted = replaced_token(0.5).corrupt(example, Context(vocab, 8, np.random.default_rng(9)))
    >>> corrupted.source.ids_T
    array([1, 4, 5, 6, 7, 3, 9, 2])
    >>> corrupted.predict["lm"].at_MK.ravel(), corrupted.predict["lm"].gold_M
    (array([2, 3, 5]), array([5, 6, 8]))
    >>> corrupted.predict["replaced_token"].gold_M
    array([1, 4, 5, 6, 7, 8, 9, 2])
    """
    for name, share in (("mask", mask), ("generator_size", 1.0 if generator_size is None else generator_size)):
        if not 0 < share <= 1:
            raise InputError(f"{name} is {share}: it must be above 0 and at most 1")
    if not 0 < weight < float("inf"):
        raise InputError(f"weight is {weight}: it must be above 0")
    select = exactly(masking_rate, max_predictions, final_masking_rate)
    rewrite = mask_random_keep(mask, random=0.0)
    return ReplacedToken(select, rewrite, generator_size=generator_size, weight=weight)
