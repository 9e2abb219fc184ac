"""Static copies: draws that repeat every `copies` epochs.

The original BERT code writes each document ten times with fixed masks (`dupe_factor`), so that its 40 epochs see each
mask four times; RoBERTa (Liu et al. 2019, section 4.1) calls this static masking. Here nothing is written: the
generator is derived from (seed, epoch modulo copies, sample).
"""

import numpy as np

from pretune.core.errors import InputError
from pretune.core.protocols import Context
from pretune.core.randomness import derive_rng


def generator(context: Context, copies: int | None, purpose: str) -> np.random.Generator:
    """The context's generator, or with `copies` one of the epoch's copy; `purpose` keeps an objective's draws apart.

    Raises ValueError where copies are asked for and the context does not say its place.
    """
    if copies is None:
        return context.rng
    if context.place is None:
        raise ValueError("static copies need Context.place, the (seed, epoch, sample) of the generator")
    seed, epoch, sample = context.place
    return derive_rng(seed, epoch % copies, sample, purpose)


def check_copies(copies: int | None) -> None:
    if copies is not None and copies < 1:
        raise InputError(f"copies is {copies}: it must be at least 1, or none for new draws in every epoch")
