"""What is wrong with a run, by its metrics.jsonl: a loss that stays near the unigram entropy, one that jumps where the
sequences get longer.

Only the loss of words ("lm") is compared with the entropy; a run without one is not. Limits have their reasons beside
them. Single spikes are recorded by the loop (`numbers.py`) and are no problem by themselves.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from pretune.core.problem import Problem
from pretune.train.config import FitSettings

PLATEAU = 0.3
"""Nats. A masked model first learns how frequent words are, and some stay there (BERT's body at small budgets); what is
within this of the unigram entropy knows little else."""
FLAT = 0.05
"""Nats between the two halves of the last third of a run: what falls less does not leave the plateau by itself soon."""
JUMP, JUMP_DEVIATIONS = 0.3, 3.0
"""Nats, and standard deviations of the losses before: a loss that rises by both where the length switches. New
positions start untrained and cost something, in healthy runs less than this."""
WINDOW, LEAST_LINES = 10, 3
"""Logged steps on each side of the switch that are compared, at most and at least."""

Curve = Sequence[Mapping[str, Any]]


def run_problems(curve: Curve, unigram_entropy: float, settings: FitSettings) -> list[Problem]:
    """What is wrong with a run, finished or not. curve: the lines of metrics.jsonl."""
    found = [_plateau(curve, unigram_entropy), _switch(curve, settings)]
    return [problem for problem in found if problem is not None]


def _plateau(curve: Curve, entropy: float) -> Problem | None:
    losses = [loss for _, loss in _losses(curve, "lm")]
    scored = [line["valid"]["lm"] for line in curve if "lm" in line.get("valid", {})]
    if not losses:
        return None
    last = scored[-1] if scored else fmean(losses[-WINDOW:])
    if not last > entropy - PLATEAU:
        return None
    third = losses[-max(2, len(losses) // 3) :]
    half = len(third) // 2
    fall = fmean(third[:half]) - fmean(third[half:]) if half else math.inf
    seen = f"the loss of words is {last:.3f}, and one that knows only how frequent words are has {entropy:.3f}"
    why = f"what is not {PLATEAU} nats below has learnt hardly anything of words' contexts: scores would be noise"
    if len(losses) >= 2 * LEAST_LINES and fall < FLAT:
        return Problem(
            "stuck at word frequencies",
            f"{seen}; in the last third of the run it {'fell' if fall >= 0 else 'rose'} by {abs(fall):.3f}",
            why,
            "optimizer.lr (a third of it, or three times) and a longer schedule.warmup; a recipe that leaves the "
            "plateau sooner (modern); or many more steps",
        )
    return Problem("not learnt yet", f"{seen}; it is still falling", why, "a longer run: steps, tokens or seconds")


def _switch(curve: Curve, settings: FitSettings) -> Problem | None:
    if len(settings.lengths) < 2:
        return None
    (share, short), (_, long) = settings.lengths
    name = "lm" if any("lm" in line.get("losses", {}) for line in curve) else None
    places = list(_losses(curve, name))
    before = [loss for progress, loss in places if progress <= share][-WINDOW:]
    after = [loss for progress, loss in places if progress > share][:WINDOW]
    if min(len(before), len(after)) < LEAST_LINES:
        return None
    rise = fmean(after) - fmean(before)
    if rise <= max(JUMP, JUMP_DEVIATIONS * pstdev(before)):
        return None
    rate = next(line["lr"] for line in curve if "losses" in line and line["progress"] > share)
    return Problem(
        "jump at the longer sequences",
        f"where max_length went from {short} to {long}, at {share:.0%} of the run, the loss rose from "
        f"{fmean(before):.3f} to {fmean(after):.3f}, at a learning rate of {rate:.2g}",
        "the rate is too high for sequences of the new length, whose positions are untrained: what was learnt before "
        "is partly lost, and the rest of the run repairs it",
        "a lower optimizer.lr, a schedule that has fallen by then (schedule.name=linear), or a larger short_share",
    )


def _losses(curve: Curve, name: str | None) -> Iterator[tuple[float, float]]:
    """(share of the run, loss) of each logged step; name None: of the sum of all losses."""
    for line in curve:
        if "losses" in line:
            loss = line["loss"] if name is None else line["losses"].get(name)
            if loss is not None and math.isfinite(loss):
                yield line["progress"], loss
