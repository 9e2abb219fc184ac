"""The order of an epoch: a keyed permutation of [0, n) that needs no memory and can be entered anywhere.

A Feistel network (Luby & Rackoff 1988) permutes the smallest power of two that holds n; a number that falls outside is
encrypted again until it is inside (cycle walking: Black & Rogaway 2002, section 3), fewer than two rounds on average.
The two halves have b // 2 and b - b // 2 bits. The round function is the finaliser of SplitMix64 (Steele, Lea & Flood
2014). Good for shuffling, not for secrets.
"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 8
_MASK = (1 << 64) - 1
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
MAX_SAMPLES = 1 << 62


@overload
def shuffled(index: int, num_samples: int, key: int) -> int: ...
@overload
def shuffled(index: NDArray[Any], num_samples: int, key: int) -> NDArray[np.int64]: ...
def shuffled(index: int | NDArray[Any], num_samples: int, key: int) -> int | NDArray[np.int64]:
    """The number at place `index` of the permutation of [0, num_samples) that `key` names.

    key: up to 128 bits, for example `core.randomness.derive_key(seed, epoch)`. One place as an int, many as an array.
    The order is the same for any number of processes, since no state is kept. ValueError for a place outside.

    >>> sorted(shuffled(place, 5, key=7) for place in range(5))
    [0, 1, 2, 3, 4]
    """
    if not 0 < num_samples <= MAX_SAMPLES:
        raise ValueError(f"cannot order {num_samples} samples: give 1 to 2**62")
    bits = (num_samples - 1).bit_length()
    keys = [_mix((key >> 64 & _MASK) ^ _mix((key & _MASK) + step)) for step in range(_ROUNDS)]
    if isinstance(index, np.ndarray):
        return _many(index, num_samples, bits, keys)
    if not 0 <= index < num_samples:
        raise ValueError(f"no place {index} among {num_samples} samples")
    number = int(index)
    while True:
        number = _encrypt(number, bits, keys)
        if number < num_samples:
            return number


def _many(index: NDArray[Any], num_samples: int, bits: int, keys: list[int]) -> NDArray[np.int64]:
    if index.size and not (index.min() >= 0 and index.max() < num_samples):
        raise ValueError(f"places from {index.min()} to {index.max()} among {num_samples} samples")
    numbers = index.astype(np.uint64).reshape(-1)
    walking = np.arange(len(numbers))
    while len(walking):
        numbers[walking] = _encrypt_many(numbers[walking], bits, keys)
        walking = walking[numbers[walking] >= num_samples]
    return numbers.astype(np.int64).reshape(index.shape)


def _mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * _FIRST) & _MASK
    value = ((value ^ value >> 27) * _SECOND) & _MASK
    return value ^ value >> 31


def _encrypt(number: int, bits: int, keys: list[int]) -> int:
    right_bits = bits // 2
    left_bits = bits - right_bits
    left, right = number >> right_bits, number & ((1 << right_bits) - 1)
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) >> (64 - left_bits) if left_bits else 0)
        left_bits, right_bits = right_bits, left_bits
    return left << right_bits | right


def _encrypt_many(numbers: NDArray[np.uint64], bits: int, keys: list[int]) -> NDArray[np.uint64]:
    right_bits = bits // 2
    left_bits = bits - right_bits
    left, right = numbers >> np.uint64(right_bits), numbers & np.uint64((1 << right_bits) - 1)
    for key in keys:
        mixed = _mix_many(right ^ np.uint64(key))
        left, right = right, left ^ (mixed >> np.uint64(64 - left_bits) if left_bits else np.uint64(0))
        left_bits, right_bits = right_bits, left_bits
    return left << np.uint64(right_bits) | right


def _mix_many(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ values >> np.uint64(30)) * np.uint64(_FIRST)
    values = (values ^ values >> np.uint64(27)) * np.uint64(_SECOND)
    return values ^ values >> np.uint64(31)
