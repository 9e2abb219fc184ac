"""The beams of several prompts, and one step of them, as transformers defines beam search (its `_beam_search`, 5.x).

Dimensions: P prompts, B beams of each, V vocabulary, W tokens a text may have, K candidates of a step.

Each prompt keeps its B best unfinished beginnings and its B best finished texts. A step looks at the K best
continuations, so many that B unfinished ones are among them if only end tokens finish a text. Of these, the finished
ones among the first B compete for a place with their score: the log-probability divided by length ** length_penalty.
When a prompt is over is told by `early_stopping`: see `_may_improve`.

transformers goes on until every prompt of a batch is over; here each stops by itself. The texts are the same, since a
prompt that is over takes no more texts there either.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pretune.decode.settings import Generation

OUT = -1e9
"""A score that no text has: of places that no text has taken."""

HasEnded = Callable[[Tensor], Tensor]
"""Candidates [P, K, W], of which num_new + 1 ids are written, to whether each of them has ended, [P, K] bool."""


@dataclass
class Beams:
    """written_PBW, scores_PB: the unfinished. texts_PBW, lengths_PB, best_PB: the finished and their scores;
    is_text_PB: whether the place is taken. may_improve_P: whether a better text may still come. num_new: tokens so far.
    """

    written_PBW: Tensor
    scores_PB: Tensor
    texts_PBW: Tensor
    lengths_PB: Tensor
    best_PB: Tensor
    is_text_PB: Tensor
    may_improve_P: Tensor
    num_new: int = 0

    @classmethod
    def begin(cls, num_prompts: int, num_beams: int, width: int, device: torch.device) -> "Beams":
        """Before the first token: only the first beam counts, so that the B beams become different."""
        ids_PBW = torch.zeros(num_prompts, num_beams, width, dtype=torch.int64, device=device)
        scores_PB = torch.full((num_prompts, num_beams), OUT, device=device)
        scores_PB[:, 0] = 0
        return cls(
            written_PBW=ids_PBW,
            scores_PB=scores_PB,
            texts_PBW=ids_PBW.clone(),
            lengths_PB=torch.zeros_like(ids_PBW[:, :, 0]),
            best_PB=torch.full_like(scores_PB, OUT),
            is_text_PB=torch.zeros_like(scores_PB, dtype=torch.bool),
            may_improve_P=torch.ones_like(scores_PB[:, 0], dtype=torch.bool),
        )

    def select(self, prompts: Tensor) -> None:
        """Only these prompts go on."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[prompts])


def advance(
    beams: Beams, log_probs_PBV: Tensor, settings: Generation, num_end_ids: int, has_ended: HasEnded
) -> tuple[Tensor, Tensor]:
    """One token more of every beam: `beams` is changed. log_probs_PBV: of the next token, edited.

    Gives from_PB, the beam that each beam goes on from, and over_P, the prompts that are over.
    """
    num_beams, width = beams.written_PBW.shape[1:]
    vocab_size = log_probs_PBV.shape[2]
    total_PX = (log_probs_PBV + beams.scores_PB.unsqueeze(2)).flatten(1)
    num_candidates = min(max(2, 1 + num_end_ids) * num_beams, total_PX.shape[1])
    scores_PK, places_PK = total_PX.topk(num_candidates)
    from_PK = places_PK // vocab_size
    written_PKW = _taken(beams.written_PBW, from_PK)
    written_PKW[:, :, beams.num_new] = places_PK % vocab_size
    ended_PK = has_ended(written_PKW)
    _finish(beams, written_PKW, scores_PK, ended_PK, settings)
    scores_PK = scores_PK + ended_PK * OUT
    chosen_PB = scores_PK.topk(num_beams).indices
    beams.written_PBW = _taken(written_PKW, chosen_PB)
    beams.scores_PB = scores_PK.gather(1, chosen_PB)
    beams.num_new += 1
    beams.may_improve_P = beams.may_improve_P & _may_improve(beams, settings, width)
    is_full_P = beams.is_text_PB.all(1) & (settings.early_stopping is True)
    return from_PK.gather(1, chosen_PB), ~beams.may_improve_P | is_full_P | ended_PK.all(1)


def _finish(beams: Beams, written_PKW: Tensor, scores_PK: Tensor, ended_PK: Tensor, settings: Generation) -> None:
    """The best of the finished texts so far and of the candidates that have ended, B of them."""
    num_beams, length = beams.written_PBW.shape[1], beams.num_new + 1
    in_reach_K = torch.arange(scores_PK.shape[1], device=scores_PK.device) < num_beams
    is_text_PK = ended_PK & in_reach_K
    score_PK = scores_PK / length**settings.length_penalty + ~is_text_PK * OUT
    scores = torch.cat([beams.best_PB, score_PK], dim=1)
    beams.best_PB, kept_PB = scores.topk(num_beams)
    beams.texts_PBW = _taken(torch.cat([beams.texts_PBW, written_PKW], dim=1), kept_PB)
    lengths_PK = torch.full_like(ended_PK, length, dtype=torch.int64)
    beams.lengths_PB = torch.cat([beams.lengths_PB, lengths_PK], dim=1).gather(1, kept_PB)
    beams.is_text_PB = torch.cat([beams.is_text_PB, is_text_PK], dim=1).gather(1, kept_PB)


def _may_improve(beams: Beams, settings: Generation, width: int) -> Tensor:
    """Whether the best unfinished beam may become better than the worst text, or a place is free. [P].

    Its score is taken by its length so far; with early_stopping "never" and a penalty that favours long texts by the
    greatest length, with which no later score can be above it.
    """
    is_patient = settings.early_stopping == "never" and settings.length_penalty > 0
    length = width if is_patient else beams.num_new
    hope_P: Tensor = beams.scores_PB[:, 0] / length**settings.length_penalty
    worst_P = torch.where(beams.is_text_PB.all(1), beams.best_PB.amin(1), OUT)
    return hope_P > worst_P


def _taken(of_PKW: Tensor, places_PB: Tensor) -> Tensor:
    return of_PKW.gather(1, places_PB.unsqueeze(2).expand(-1, -1, of_PKW.shape[2]))
