"""Randomness is passed in: a generator is derived from numbers that name the place, never from global state.

Two places with different numbers get independent streams (Philox, a counter-based generator; Salmon et al. 2011), so
the draws of a sample are the same for any number of workers, processes and restarts.
"""

import hashlib

import numpy as np

_MASK = (1 << 64) - 1


def derive_key(*numbers: int | str) -> int:
    """128 bits that depend on every number and its place: the key of a generator."""
    text = "\x1f".join(f"{type(n).__name__}:{n}" for n in numbers)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def derive_rng(*numbers: int | str) -> np.random.Generator:
    """A generator for this place, for example `derive_rng(seed, epoch, sample)`.

    >>> float(derive_rng(1, 2, 3).random()) == float(derive_rng(1, 2, 3).random())
    True
    """
    return np.random.Generator(np.random.Philox(key=derive_key(*numbers)))


def derive_seed(*numbers: int | str) -> int:
    """A 63-bit seed for `torch.manual_seed`, for example of (seed, step, micro-batch, rank)."""
    return derive_key(*numbers) & (_MASK >> 1)
