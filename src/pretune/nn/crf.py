"""CRF: a linear chain over the tags of a sentence, on packed sequences of unequal lengths; all in log space.

Lafferty, McCallum and Pereira 2001, sections 3 and 4; on a network's scores as Lample et al. 2016, section 2.2 and
Collobert et al. 2011, section 3.3.2. A path's score is the sum of its words' scores and of its transitions', edges
included: the last row of the matrix is what precedes the first word, the last column what follows the last one (the
start and end tags of Lample et al.; the corner is never read).

Sentences are stepped over together, longest first, so that step t holds the t-th words of those that have one, side by
side: no padding, and a Python step a word of the longest. The partition function has its gradient from the backward
algorithm (marginals), not from autograd over the steps: a fraction of the kernels, and finite where transitions are
forbidden (-inf), for exp(-inf) is 0 where autograd would have -inf - -inf.

Deviations: transitions start at zero, where the loss is that of a tagger of single words, not at random. Not here:
higher orders, semi-Markov chains, double backward.

Dimensions: W words of all sentences end to end, N sentences, C tags, K = C + 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pretune.core.errors import InputError

NEVER = -torch.inf


class CRF(nn.Module):
    """Transition scores [K, K]; the functions of this file take them as a matrix, `restricted` or not."""

    starts_at_zero = True

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_tags + 1, num_tags + 1))

    def forward(self, *inputs: Any) -> Tensor:
        raise InputError("a crf holds transitions of tags and has no logits: read those of the head token")


def restricted(transitions_KK: Tensor, legal_KK: Tensor) -> Tensor:
    """Transitions with -inf where they are not legal; no gradient comes from there."""
    return transitions_KK.masked_fill(~legal_KK, NEVER)


class Steps:
    """W packed words in the order they are stepped over: the first words of all sentences, the second ones ...

    rows_W: the packed row of each; active_T: sentences that have a t-th word; starts_T: where step t begins; order_N:
    the n-th longest sentence is the order_N[n]-th given one; last_N: the last word of each, in that order.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        lengths_N = np.asarray(lengths, np.int64)
        if not len(lengths_N) or lengths_N.min() < 1:
            raise ValueError(f"every sentence needs a word, lengths are {lengths_N.tolist()}")
        order_N = np.argsort(-lengths_N, kind="stable")
        sorted_N, first_N = lengths_N[order_N], (np.cumsum(lengths_N) - lengths_N)[order_N]
        self.active_T = (sorted_N[None] > np.arange(sorted_N[0])[:, None]).sum(1).tolist()
        starts_T = np.cumsum(self.active_T) - self.active_T
        self.starts_T = starts_T.tolist()
        step_W = np.repeat(np.arange(len(starts_T)), self.active_T)
        sentence_W = np.arange(len(step_W)) - starts_T[step_W]
        self.rows_W = torch.from_numpy(first_N[sentence_W] + step_W).to(device)
        self.order_N = torch.from_numpy(order_N).to(device)
        self.last_N = torch.from_numpy(starts_T[sorted_N - 1] + np.arange(len(sorted_N))).to(device)

    def __len__(self) -> int:
        return len(self.active_T)

    def of(self, x_WC: Tensor, step: int) -> Tensor:
        """The rows of a step, a view; x_WC is in the order of the steps."""
        return x_WC[self.starts_T[step] : self.starts_T[step] + self.active_T[step]]

    def ongoing(self, x_WC: Tensor, step: int) -> Tensor:
        """The rows of a step whose sentences have a next word, a view."""
        return x_WC[self.starts_T[step] : self.starts_T[step] + self.active_T[step + 1]]

    def packed(self, x_WC: Tensor) -> Tensor:
        """From the order of the steps back to that of the words."""
        return torch.empty_like(x_WC).index_copy_(0, self.rows_W, x_WC)


def negative_log_likelihood(
    scores_WC: Tensor, gold_W: Tensor, lengths: Sequence[int], transitions_KK: Tensor
) -> Tensor:
    """-log p(gold tags) of each sentence [N], in nats. lengths: words of each, on the host.

    Infinite for a gold path that has no legal transition somewhere.
    """
    whole_N = log_partition(scores_WC, lengths, transitions_KK)
    return (whole_N - path_scores(scores_WC, gold_W, lengths, transitions_KK)).to(scores_WC.dtype)


def path_scores(scores_WC: Tensor, tags_W: Tensor, lengths: Sequence[int], transitions_KK: Tensor) -> Tensor:
    """The score of one path of each sentence [N], in fp64: what is left of long sums after a subtraction is right."""
    num_tags, device = scores_WC.shape[1], scores_WC.device
    ends_N = torch.as_tensor(np.cumsum(lengths), device=device)
    first_N = ends_N - torch.as_tensor(np.asarray(lengths), device=device)
    before_W = torch.cat([tags_W.new_full((1,), num_tags), tags_W[:-1]]).index_fill(0, first_N, num_tags)
    flat_P = transitions_KK.reshape(-1)
    each_W = scores_WC.gather(1, tags_W[:, None])[:, 0] + flat_P.take(before_W * (num_tags + 1) + tags_W)
    last_N = flat_P.take(tags_W[ends_N - 1] * (num_tags + 1) + num_tags)
    sentence_W = torch.repeat_interleave(
        torch.arange(len(lengths), device=device), ends_N - first_N, output_size=len(tags_W)
    )
    return last_N.double().index_add(0, sentence_W, each_W.double())


def log_partition(scores_WC: Tensor, lengths: Sequence[int], transitions_KK: Tensor) -> Tensor:
    """The log of the sum over all paths of exp(score), of each sentence [N] in fp64 (the forward algorithm)."""
    steps = Steps(lengths, scores_WC.device)
    return _LogPartition.apply(scores_WC, transitions_KK, steps)  # type: ignore[no-any-return, no-untyped-call]


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores_WC: Tensor, transitions_KK: Tensor, steps: Steps) -> Tensor:
        x_WC = scores_WC.index_select(0, steps.rows_W)
        alpha_WC, log_z_N = _forward(x_WC, transitions_KK, steps)
        ctx.save_for_backward(x_WC, transitions_KK, alpha_WC)
        ctx.steps = steps
        return torch.empty_like(log_z_N).index_copy_(0, steps.order_N, log_z_N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor, Tensor, None]:
        x_WC, transitions_KK, alpha_WC = ctx.saved_tensors
        weight_N = grad_N.to(x_WC.dtype).index_select(0, ctx.steps.order_N)
        grad_WC, grad_KK = _expected(x_WC, transitions_KK, alpha_WC, weight_N, ctx.steps)
        return ctx.steps.packed(grad_WC), grad_KK, None


def _forward(x_WC: Tensor, transitions_KK: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
    """log sums of the paths up to each word's tag, less their largest [W, C], and of whole paths [N], in fp64.

    Both are in the order of the steps. What is taken off at each step keeps fp32 as exact at the 500th word as at the
    first; it is summed in fp64.
    """
    to_from_CC = transitions_KK[:-1, :-1].t().contiguous()
    alpha_WC = torch.empty_like(x_WC)
    log_z_N = torch.zeros(steps.active_T[0], dtype=torch.float64, device=x_WC.device)
    here_NC = steps.of(x_WC, 0) + transitions_KK[-1, :-1]
    for step in range(len(steps)):
        if step:
            paths_NCC = steps.ongoing(alpha_WC, step - 1)[:, None] + to_from_CC
            here_NC = torch.logsumexp(paths_NCC, -1).add_(steps.of(x_WC, step))
        largest_N1 = here_NC.amax(-1, keepdim=True)
        torch.sub(here_NC, largest_N1, out=steps.of(alpha_WC, step))
        log_z_N[: len(here_NC)] += largest_N1[:, 0]
    last_NC = alpha_WC.index_select(0, steps.last_N) + transitions_KK[:-1, -1]
    return alpha_WC, log_z_N.add_(torch.logsumexp(last_NC, -1))


def _expected(
    x_WC: Tensor, transitions_KK: Tensor, alpha_WC: Tensor, weight_N: Tensor, steps: Steps
) -> tuple[Tensor, Tensor]:
    """Probabilities of each word's tags [W, C] and expected uses of each transition [K, K] (the backward algorithm),
    each sentence by its weight."""
    from_to_CC = transitions_KK[:-1, :-1].contiguous()
    num_tags = len(from_to_CC)
    beta_WC = transitions_KK[:-1, -1].expand_as(x_WC).clone()  # log sums of the paths behind a tag, less a constant
    grad_KK = torch.zeros_like(transitions_KK)
    pairs_P = grad_KK.new_zeros(num_tags * num_tags)
    for step in range(len(steps) - 2, -1, -1):
        num, before_NC = steps.active_T[step + 1], steps.ongoing(alpha_WC, step)
        paths_NCC = (steps.of(beta_WC, step + 1) + steps.of(x_WC, step + 1))[:, None] + from_to_CC
        beta_NC = torch.logsumexp(paths_NCC, -1)
        log_z_N1 = torch.logsumexp(before_NC + beta_NC, -1, keepdim=True)
        torch.sub(beta_NC, log_z_N1, out=steps.ongoing(beta_WC, step))
        p_NCC = paths_NCC.add_((before_NC - log_z_N1)[:, :, None]).exp_()
        pairs_P.addmv_(p_NCC.view(num, -1).t(), weight_N[:num])
    weight_W = torch.cat([weight_N[:num] for num in steps.active_T])
    p_WC = torch.softmax(alpha_WC + beta_WC, -1).mul_(weight_W[:, None])
    grad_KK[:-1, :-1] = pairs_P.view(num_tags, num_tags)
    grad_KK[-1, :-1] = steps.of(p_WC, 0).sum(0)
    grad_KK[:-1, -1] = p_WC.index_select(0, steps.last_N).sum(0)
    return p_WC, grad_KK


@torch.no_grad()
def marginals(scores_WC: Tensor, lengths: Sequence[int], transitions_KK: Tensor) -> Tensor:
    """The probability of each tag of each word, over all paths of its sentence [W, C] (forward-backward)."""
    steps = Steps(lengths, scores_WC.device)
    x_WC = scores_WC.index_select(0, steps.rows_W)
    alpha_WC, log_z_N = _forward(x_WC, transitions_KK, steps)
    _refuse_dead_ends(log_z_N)
    p_WC, _ = _expected(x_WC, transitions_KK, alpha_WC, torch.ones_like(log_z_N, dtype=x_WC.dtype), steps)
    return steps.packed(p_WC)


@torch.no_grad()
def viterbi(scores_WC: Tensor, lengths: Sequence[int], transitions_KK: Tensor) -> Tensor:
    """The tags of the best path of each sentence, [W] (Viterbi 1967). ValueError where every path is forbidden.

    >>> scores = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 1.0]])                # two sentences, of 2 words and of 1
    >>> viterbi(scores, [2, 1], torch.zeros(3, 3)).tolist()
    [1, 0, 1]
    >>> forbidden = torch.tensor([[0.0, 0.0, 0.0], [-torch.inf, 0.0, 0.0], [0.0, 0.0, 0.0]])     # 0 after 1
    >>> viterbi(scores, [2, 1], forbidden).tolist()
    [0, 0, 1]
    """
    steps = Steps(lengths, scores_WC.device)
    x_WC = scores_WC.index_select(0, steps.rows_W)
    to_from_CC = transitions_KK[:-1, :-1].t().contiguous()
    best_WC, back_WC = torch.empty_like(x_WC), torch.empty(x_WC.shape, dtype=torch.int64, device=x_WC.device)
    steps.of(best_WC, 0).copy_(steps.of(x_WC, 0) + transitions_KK[-1, :-1])
    for step in range(1, len(steps)):
        found_NC, from_NC = (steps.ongoing(best_WC, step - 1)[:, None] + to_from_CC).max(-1)
        steps.of(back_WC, step).copy_(from_NC)
        torch.add(found_NC, steps.of(x_WC, step), out=steps.of(best_WC, step))
    whole_N, last_N = (best_WC.index_select(0, steps.last_N) + transitions_KK[:-1, -1]).max(-1)
    _refuse_dead_ends(whole_N)
    tags_W = torch.empty_like(back_WC[:, 0])
    for step in range(len(steps) - 1, -1, -1):
        steps.of(tags_W, step).copy_(last_N[: steps.active_T[step]])
        if step + 1 < len(steps):
            after_N = steps.of(tags_W, step + 1)
            steps.ongoing(tags_W, step).copy_(steps.of(back_WC, step + 1).gather(1, after_N[:, None])[:, 0])
    return steps.packed(tags_W)


def _refuse_dead_ends(whole_N: Tensor) -> None:
    if not whole_N.isfinite().all():
        raise ValueError("every path of a sentence is forbidden: the transitions leave none from edge to edge")
