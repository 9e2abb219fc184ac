"""Greedy decoding and sampling: the texts of a batch side by side, each until it has ended.

Dimensions: N rows of the cache, L of them of texts that go on, D hidden size, V vocabulary.

A text that has ended leaves the cache once a quarter of its rows have: leaving copies all keys and values that stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pretune.core.errors import InputError
from pretune.core.stream import Batch
from pretune.decode.draws import draw
from pretune.decode.scores import edit, shape
from pretune.decode.settings import Generation
from pretune.decode.stops import EndedBy, Stops
from pretune.nn.model import Model

KEPT_SHARE = 0.75
"""Of the cache's rows, below which those of texts that have ended are given up."""


@dataclass
class Draft:
    """A text in the making. before: what its decoder has read when it begins; rng: None for greedy decoding."""

    before: tuple[int, ...]
    rng: np.random.Generator | None = None
    written: list[int] = field(default_factory=list)
    ended_by: EndedBy | None = None

    def add(self, token: int, stops: Stops) -> None:
        self.written.append(token)
        self.ended_by = stops.ended_by(self.before, self.written)


@torch.inference_mode()
def write(model: Model, batch: Batch, drafts: Sequence[Draft], stops: Stops) -> Iterator[None]:
    """Writes the drafts to their ends, a token of each before every yield.

    batch: what prompts begin with, packed, on the model's device; drafts: those of the first prompt given to `pack`,
    then those of the second, equally many.
    """
    hidden_ND, cache = model.body.prefill(batch, room=stops.settings.max_new_tokens - 1)
    each = len(drafts) // len(hidden_ND)
    if each > 1:
        cache.repeat(each)
        hidden_ND = hidden_ND.repeat_interleave(each, dim=0)
    rows, going = torch.arange(len(drafts), device=hidden_ND.device), list(drafts)
    while True:
        ids_L = choose(logits_of(model, hidden_ND if len(rows) == len(hidden_ND) else hidden_ND[rows]), going, stops)
        for draft, token in zip(going, ids_L.tolist(), strict=True):
            draft.add(token, stops)
        yield
        kept = [place for place, draft in enumerate(going) if draft.ended_by is None]
        if not kept:
            return
        if len(kept) < len(going):
            places = torch.tensor(kept, device=rows.device)
            going, rows, ids_L = [going[place] for place in kept], rows[places], ids_L[places]
        if len(going) < KEPT_SHARE * len(cache.lengths_N):
            cache.select(rows)
            rows = torch.arange(len(going), device=rows.device)
        ids_N = ids_L
        if len(going) < len(cache.lengths_N):
            ids_N = torch.zeros(len(cache.lengths_N), dtype=ids_L.dtype, device=rows.device).index_copy_(0, rows, ids_L)
        hidden_ND = model.body.step(ids_N, cache)


def _best(scores_LV: Tensor) -> Tensor:
    """The best token of each row. On CPU by numpy, which takes a fifth of torch's time."""
    if scores_LV.device.type == "cpu":
        return torch.from_numpy(scores_LV.numpy().argmax(-1))
    return scores_LV.argmax(-1)


def nothing_left(settings: Generation) -> InputError:
    """Of a small vocabulary every token may have been followed by every other."""
    return InputError(
        f"no token is left that may be written: no_repeat_ngram_size={settings.no_repeat_ngram_size} forbids them all: "
        "raise it, or lower max_new_tokens"
    )


def logits_of(model: Model, hidden_ND: Tensor) -> Tensor:
    """What the language model's head says of the next token of each sequence, [N, V], float32."""
    logits: Tensor = model.heads["lm"](hidden_ND.unsqueeze(1), None)
    return logits.float()


def choose(logits_LV: Tensor, drafts: Sequence[Draft], stops: Stops) -> Tensor:
    """The next token of each draft: the best, or the one that its generator draws."""
    allowed = None if stops.choices is None else [stops.choices.after(draft.written) for draft in drafts]
    num_new = len(drafts[0].written)
    histories = [(*draft.before, *draft.written) for draft in drafts] if stops.reads_history else ()
    scores_LV = edit(logits_LV, histories, num_new, stops.settings, stops.borders, allowed)
    if stops.settings.no_repeat_ngram_size and scores_LV.amax(-1).isneginf().any():
        raise nothing_left(stops.settings)
    if not stops.settings.do_sample:
        return _best(scores_LV)
    return draw(shape(scores_LV, stops.settings), [draft.rng.random() for draft in drafts if draft.rng is not None])
