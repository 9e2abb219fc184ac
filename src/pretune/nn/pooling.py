"""From the rows of a text to one vector: mean, maximum, last + maximum + mean, learned attention.

"concat" is ULMFiT's (Howard and Ruder 2018, section 3.3: [h_T, maxpool(H), meanpool(H)], in this order); the last
row of an encoder's text is its [SEP]. "attention" is Yang et al. 2016, section 2.2, equations 5 to 7: weights are the
softmax of u · tanh(W h + b). Rows of special tokens count as all others.

Rows come packed: those of one text are consecutive predictions of one group (`Targets.group_M`), or, where a group has
several texts (windows of one, choices for one), of one `given_M` in it.

Dimensions: M rows, U texts, D hidden size.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pretune.core.stream import Targets
from pretune.nn.initial import Linear

Pooling = Literal["row", "mean", "max", "concat", "attention"]
"""What a head of a whole text reads: one row ([CLS]), or all of them taken together."""


def texts_of(targets: Targets) -> Tensor:
    """The number from 0 of the text that each row belongs to, [M]. ValueError where the rows have no groups."""
    group_M, given_M = targets.group_M, targets.given_M
    if group_M is None:
        raise ValueError("pooling needs group_M: the rows of a text are predictions of one group")
    if given_M is None or not len(group_M):
        return group_M  # type: ignore[no-any-return]
    starts_M = torch.ones_like(group_M)
    starts_M[1:] = (group_M[1:] != group_M[:-1]) | (given_M[1:] != given_M[:-1])
    return starts_M.cumsum(0) - 1


def group_mean(x_MD: Tensor, text_M: Tensor) -> Tensor:
    """The mean vector of each text, [U, D]; texts are numbered from 0 without gaps."""
    counts_U = _counts(text_M)
    sums_UD = x_MD.new_zeros(len(counts_U), x_MD.shape[1]).index_add(0, text_M, x_MD)
    return sums_UD / counts_U.unsqueeze(1)


def group_max(x_MD: Tensor, text_M: Tensor) -> Tensor:
    """The maximum of each text, a dimension at a time, [U, D]."""
    empty_UD = x_MD.new_full((len(_counts(text_M)), x_MD.shape[1]), float("-inf"))
    return empty_UD.scatter_reduce(0, text_M.unsqueeze(1).expand_as(x_MD), x_MD, "amax")


def group_log_softmax(scores_M: Tensor, text_M: Tensor) -> Tensor:
    """Log-softmax over the rows of each text, [M]."""
    highest_U = group_max(scores_M.detach().unsqueeze(1), text_M)[:, 0]
    below_M = scores_M - highest_U.index_select(0, text_M)
    sums_U = below_M.new_zeros(len(highest_U)).index_add(0, text_M, below_M.exp())
    return below_M - sums_U.log().index_select(0, text_M)


def last_max_mean(x_MD: Tensor, text_M: Tensor) -> Tensor:
    """[U, 3 D]; the rows of a text are consecutive.

    >>> x_MD = torch.tensor([[1.0], [5.0], [3.0], [7.0]])
    >>> last_max_mean(x_MD, torch.tensor([0, 0, 0, 1])).tolist()
    [[3.0, 5.0, 3.0], [7.0, 7.0, 7.0]]
    """
    last_U = _counts(text_M).cumsum(0) - 1
    return torch.cat([x_MD.index_select(0, last_U), group_max(x_MD, text_M), group_mean(x_MD, text_M)], -1)


def _counts(text_M: Tensor) -> Tensor:
    return text_M.bincount(minlength=int(text_M.max()) + 1 if len(text_M) else 0)


class AttentionPooling(nn.Module):
    """The weighted mean of each text's rows, [U, D]."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = Linear(hidden_size, hidden_size)
        self.context = Linear(hidden_size, 1, bias=False)

    def forward(self, x_MD: Tensor, text_M: Tensor) -> Tensor:
        scores_M = self.context(torch.tanh(self.dense(x_MD)))[:, 0]
        weight_M = group_log_softmax(scores_M.float(), text_M).exp().to(x_MD.dtype)
        sums_UD = x_MD.new_zeros(len(_counts(text_M)), x_MD.shape[1])
        return sums_UD.index_add(0, text_M, x_MD * weight_M.unsqueeze(1))
