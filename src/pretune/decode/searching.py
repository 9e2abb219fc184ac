"""Beam search over the prompts of a batch; a prompt that is over leaves the cache with its beams.

Dimensions: P prompts that go on, B beams of each, N = P·B rows of the cache, D hidden size, V vocabulary, W tokens a
text may have, K candidates of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pretune.core.stream import Batch
from pretune.decode.beams import Beams, advance
from pretune.decode.scores import edit
from pretune.decode.stops import Stops
from pretune.decode.writing import logits_of, nothing_left
from pretune.nn.model import Model

Prompt = tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """A text of beam search. ids: its end token among them; score: its log-probability by its length."""

    ids: tuple[int, ...]
    score: float


@torch.inference_mode()
def search(model: Model, batch: Batch, prompts: Sequence[Prompt], stops: Stops) -> list[list[Found]]:
    """The best texts for each prompt, best first: num_return_sequences, fewer where fewer were found.

    batch: what the prompts begin with, packed, on the model's device; prompts: what each one's decoder reads of it, in
    the order in which they were given to `pack`.
    """
    settings = stops.settings
    hidden_ND, cache = model.body.prefill(batch, room=settings.max_new_tokens - 1)
    cache.repeat(settings.num_beams)
    hidden_ND = hidden_ND.repeat_interleave(settings.num_beams, dim=0)
    beams = Beams.begin(len(prompts), settings.num_beams, settings.max_new_tokens, hidden_ND.device)
    found: list[list[Found]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    while True:
        before = [prompts[number] for number in going]
        log_probs_PBV = _log_probs(model, hidden_ND, beams, before, stops)
        ended = _Ended(before, beams.num_new + 1, stops)
        from_PB, over_P = advance(beams, log_probs_PBV, settings, len(stops.borders.end_ids), ended)
        for place in over_P.nonzero().flatten().tolist():
            found[going[place]] = _texts(beams, place)[: settings.num_return_sequences]
            if not found[going[place]]:
                raise nothing_left(settings)
        kept_P = (~over_P).nonzero().flatten()
        if not len(kept_P):
            return found
        rows_PB = torch.arange(len(going), device=from_PB.device).unsqueeze(1) * settings.num_beams + from_PB
        cache.select(rows_PB[kept_P].flatten())
        if len(kept_P) < len(going):
            going = [going[place] for place in kept_P.tolist()]
            beams.select(kept_P)
        hidden_ND = model.body.step(beams.written_PBW[:, :, beams.num_new - 1].flatten(), cache)


def _log_probs(model: Model, hidden_ND: Tensor, beams: Beams, before: Sequence[Prompt], stops: Stops) -> Tensor:
    """log_probs_PBV of the next token, edited."""
    log_probs_NV = logits_of(model, hidden_ND).log_softmax(-1)
    num_prompts, num_beams, _ = beams.written_PBW.shape
    histories: list[tuple[int, ...]] = []
    allowed: list[list[int]] | None = None
    if stops.reads_history or stops.choices is not None:
        written = beams.written_PBW[:, :, : beams.num_new].flatten(0, 1).tolist()
        histories = [(*before[row // num_beams], *ids) for row, ids in enumerate(written)]
        allowed = None if stops.choices is None else [stops.choices.after(ids) for ids in written]
    log_probs_NV = edit(log_probs_NV, histories, beams.num_new, stops.settings, stops.borders, allowed)
    return log_probs_NV.view(num_prompts, num_beams, -1)


@dataclass(frozen=True)
class _Ended:
    """Says of candidates of `length` tokens whether they have ended."""

    before: Sequence[Prompt]
    length: int
    stops: Stops

    def __call__(self, written_PKW: Tensor) -> Tensor:
        if self.length == self.stops.settings.max_new_tokens:
            return torch.ones_like(written_PKW[:, :, 0], dtype=torch.bool)
        if not self.stops.reads_text:
            ends = torch.tensor(self.stops.borders.end_ids, dtype=torch.int64, device=written_PKW.device)
            return torch.isin(written_PKW[:, :, self.length - 1], ends)
        written = written_PKW[:, :, : self.length].tolist()
        ended = [
            [self.stops.ended_by(before, ids) is not None for ids in candidates]
            for before, candidates in zip(self.before, written, strict=True)
        ]
        return torch.tensor(ended, device=written_PKW.device)


def _texts(beams: Beams, place: int) -> list[Found]:
    """The finished texts of a prompt, best first."""
    columns = (beams.texts_PBW, beams.lengths_PB, beams.best_PB, beams.is_text_PB)
    rows = zip(*(column[place].tolist() for column in columns), strict=True)
    return [Found(tuple(ids[:length]), score) for ids, length, score, is_text in rows if is_text]
