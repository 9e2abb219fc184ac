"""The learning rate over the run: pure functions from progress (0 to 1) to a multiplier of the highest rate.

Progress before step s of S is s / S, so the first step of a warm-up has rate 0, as in BERT's code and in transformers.
A linear schedule is then equal to that of transformers step by step: it falls from 1 at the end of the warm-up. BERT's
(google-research/bert, optimization.py) falls from step 0 on, with the warm-up cut out of it: 1 - s / S, which is 0.99
at the end of a warm-up of 1 %; both end at 0. `wsd` (warm-up-stable-decay: Hu et al. 2024, section 4) stays at
the highest rate and decays linearly at the end (Haegele et al. 2024 find linear and 1 - sqrt close). `inverse_sqrt` is
the root of warm-up / step after the warm-up (Vaswani et al. 2017, section 5.3). Imports no torch.
"""

import math

from pretune.core.errors import InputError
from pretune.train.config import ScheduleSettings


def warmup_share(schedule: ScheduleSettings, num_steps: int | None) -> float:
    """The warm-up as a share of the run. InputError for one in steps if the run is shorter or of unknown length, or if
    wsd decays before it is over."""
    if schedule.warmup < 1:
        return schedule.warmup
    if num_steps is None or schedule.warmup > max(1, num_steps):
        length = "unknown length" if num_steps is None else f"{num_steps} steps"
        raise InputError(f"schedule.warmup={schedule.warmup:g} steps in a run of {length}: give it as a share below 1")
    if schedule.overlaps(num_steps):
        raise InputError(
            f"schedule.warmup={schedule.warmup:g} steps and schedule.decay={schedule.decay:g} together exceed the run "
            f"of {num_steps} steps: lower one of them"
        )
    return schedule.warmup / num_steps


def multiplier(schedule: ScheduleSettings, progress: float, num_steps: int | None = None) -> float:
    """What the highest learning rate is multiplied with at this share of the run.

    >>> linear = ScheduleSettings(name="linear", warmup=0.1)
    >>> [round(multiplier(linear, share), 9) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    progress = min(1.0, max(0.0, progress))
    warm = warmup_share(schedule, num_steps)
    if progress < warm:
        return progress / warm
    return schedule.final + (1 - schedule.final) * _left(schedule, progress, warm)


def _left(schedule: ScheduleSettings, progress: float, warm: float) -> float:
    """1 at the end of the warm-up; 0 at the end of the run except for constant and inverse_sqrt."""
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "inverse_sqrt":
        return math.sqrt(warm / progress) if progress else 1.0
    if schedule.name == "wsd":
        return 1.0 if schedule.decay == 0 else min(1.0, (1 - progress) / schedule.decay)
    left = (1 - progress) / (1 - warm) if warm < 1 else 1.0
    return left if schedule.name == "linear" else 0.5 * (1 - math.cos(math.pi * left))
