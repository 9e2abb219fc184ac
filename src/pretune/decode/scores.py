"""What changes the scores of a step before a token is chosen, each a function from scores to scores.

Dimensions: N sequences, V vocabulary.

Scores are logits (greedy, sampling) or log-probabilities (beam search), float32. The meanings and the order are those
of transformers' logits processors, so that equal logits lead to equal texts. `histories` holds the ids that each
sequence's decoder has read: the prompt and what was written, or, beside an encoder, the start token and what was
written.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pretune.decode.settings import Borders, Generation

NEVER = -float("inf")

Histories = Sequence[Sequence[int]]


def penalise_repetition(scores_NV: Tensor, histories: Histories, penalty: float) -> Tensor:
    """Positive scores of tokens in the history divided by `penalty`, negative ones multiplied (Keskar et al. 2019,
    section 4.1, as transformers completed it for negative ones)."""
    rows, columns = _flat([list(set(history)) for history in histories], scores_NV)
    seen = scores_NV[rows, columns]
    scores_NV = scores_NV.clone()
    scores_NV[rows, columns] = torch.where(seen < 0, seen * penalty, seen / penalty)
    return scores_NV


def forbid_repeated_ngrams(scores_NV: Tensor, histories: Histories, size: int) -> Tensor:
    """Without the tokens that would complete an n-gram that the history has already (Paulus et al. 2018, section 2.5).

    >>> forbid_repeated_ngrams(torch.zeros(1, 4), [[1, 2, 3, 1]], 2)
    tensor([[0., 0., -inf, 0.]])
    """
    rows, columns = _flat([_repeated(history, size) for history in histories], scores_NV)
    scores_NV = scores_NV.clone()
    scores_NV[rows, columns] = NEVER
    return scores_NV


def _repeated(history: Sequence[int], size: int) -> list[int]:
    """The ids that would complete an n-gram of the history."""
    if len(history) < size:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(history), size)
    last = np.asarray(history[len(history) + 1 - size :])
    return [int(token) for token in windows[(windows[:, :-1] == last).all(1), -1]]


def _flat(columns: Sequence[Sequence[int]], scores_NV: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of each named score."""
    rows = np.repeat(np.arange(len(columns)), [len(part) for part in columns])
    flat = np.fromiter((token for part in columns for token in part), np.int64, len(rows))
    return torch.from_numpy(rows).to(scores_NV.device), torch.from_numpy(flat).to(scores_NV.device)


def forbid(scores_NV: Tensor, ids: Sequence[int]) -> Tensor:
    """Without these tokens."""
    scores_NV = scores_NV.clone()
    scores_NV[:, list(ids)] = NEVER
    return scores_NV


def forbid_sequences(scores_NV: Tensor, histories: Histories, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Without the tokens that would complete one of these sequences. histories: () will do if each is one token.

    >>> forbid_sequences(torch.zeros(2, 4), [[1, 2], [2, 1]], [(3,), (1, 2, 0)])
    tensor([[-inf, 0., 0., -inf],
            [0., 0., 0., -inf]])
    """
    scores_NV = forbid(scores_NV, [sequence[0] for sequence in sequences if len(sequence) == 1])
    longer = [tuple(sequence) for sequence in sequences if len(sequence) > 1]
    for row, history in enumerate(histories if longer else ()):
        for *begun, last in longer:
            if list(history[-len(begun) :]) == begun:
                scores_NV[row, last] = NEVER
    return scores_NV


def allow_only(scores_NV: Tensor, allowed: Sequence[Sequence[int]]) -> Tensor:
    """Without all tokens but those that each sequence may go on with."""
    rows, columns = _flat(allowed, scores_NV)
    kept_NV = torch.full_like(scores_NV, NEVER)
    kept_NV[rows, columns] = scores_NV[rows, columns]
    return kept_NV


def force(scores_NV: Tensor, token: int) -> Tensor:
    """Nothing but this token, with score 0."""
    scores_NV = torch.full_like(scores_NV, NEVER)
    scores_NV[:, token] = 0.0
    return scores_NV


def keep_top_k(scores_NV: Tensor, k: int) -> Tensor:
    """The k best tokens of each row, and those that tie with the last of them (Fan et al. 2018, section 5.4)."""
    least_N1 = scores_NV.topk(min(k, scores_NV.shape[1])).values[:, -1:]
    return scores_NV.masked_fill(scores_NV < least_N1, NEVER)


def keep_top_p(scores_NV: Tensor, p: float) -> Tensor:
    """The nucleus: the fewest best tokens whose probabilities sum to p or more (Holtzman et al. 2020, section 3.1), and
    those that tie with the last of them.

    >>> keep_top_p(torch.tensor([[0.5, 0.1, 0.4]]).log(), 0.6).exp().round(decimals=1)
    tensor([[0.5000, 0.0000, 0.4000]])
    """
    ascending_NV = _ascending(scores_NV)
    num_out_N = (ascending_NV.softmax(-1).cumsum(-1) <= 1 - p).sum(-1).clamp(max=scores_NV.shape[1] - 1)
    least_N1 = ascending_NV.gather(1, num_out_N.unsqueeze(1))
    return scores_NV.masked_fill(scores_NV < least_N1, NEVER)


def _ascending(scores_NV: Tensor) -> Tensor:
    """Each row in ascending order. On CPU by numpy: torch orders places too, which takes four times as long."""
    if scores_NV.device.type == "cpu":
        return torch.from_numpy(np.sort(scores_NV.numpy(), axis=-1))
    return scores_NV.sort().values


def keep_min_p(scores_NV: Tensor, p: float) -> Tensor:
    """Tokens with at least the share p of the best one's probability (Nguyen et al. 2025, section 3)."""
    probabilities_NV = scores_NV.softmax(-1)
    best_N1 = probabilities_NV.amax(-1, keepdim=True)
    return scores_NV.masked_fill(probabilities_NV < p * best_N1, NEVER)


def edit(
    scores_NV: Tensor,
    histories: Histories,
    num_new: int,
    settings: Generation,
    borders: Borders,
    allowed: Sequence[Sequence[int]] | None = None,
) -> Tensor:
    """The scores of the next token as the settings want them, `num_new` tokens after the prompt.

    allowed: the tokens that each sequence may go on with; None: all.
    """
    if settings.repetition_penalty != 1:
        scores_NV = penalise_repetition(scores_NV, histories, settings.repetition_penalty)
    if settings.no_repeat_ngram_size:
        scores_NV = forbid_repeated_ngrams(scores_NV, histories, settings.no_repeat_ngram_size)
    if borders.never:
        scores_NV = forbid_sequences(scores_NV, histories, borders.never)
    if num_new < settings.min_new_tokens and borders.end_ids:
        scores_NV = forbid(scores_NV, borders.end_ids)
    if allowed is not None:
        scores_NV = allow_only(scores_NV, allowed)
    if num_new == 0 and borders.first_id is not None:
        scores_NV = force(scores_NV, borders.first_id)
    if num_new == settings.max_new_tokens - 1 and borders.last_id is not None:
        scores_NV = force(scores_NV, borders.last_id)
    return scores_NV


def shape(scores_NV: Tensor, settings: Generation) -> Tensor:
    """Logits as tokens are drawn from them: temperature, then top-k, nucleus and min-p, each on what the last left."""
    scores_NV = scores_NV / settings.temperature
    if settings.top_k:
        scores_NV = keep_top_k(scores_NV, settings.top_k)
    if settings.top_p < 1:
        scores_NV = keep_top_p(scores_NV, settings.top_p)
    return keep_min_p(scores_NV, settings.min_p) if settings.min_p else scores_NV
