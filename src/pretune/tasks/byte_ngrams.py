"""A language model without a network: n-grams of bytes, smoothed as Witten and Bell 1991 do (their method C).

P(c | h) = (count(hc) + types(h) · P(c | h')) / (count(h) + types(h)), where h' is h without its first byte and types(h)
how many different bytes follow h; below the unigram, every byte is alike. It gives every text a probability, so that
its bits a byte stand beside those of any other model. Before a text stand marks of its beginning.

Dimensions: T bytes of a text, G different n-grams.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pretune.metrics.checks import FloatArray, IntArray

BASE = 257
"""Bytes and the mark of a beginning."""
MAX_ORDER = 7
"""257 ** 7 is the last power that fits in 64 bits."""


@dataclass(frozen=True, eq=False)
class _Grams:
    """The n-grams of one length: codes ascending with their counts, contexts ascending with counts and types."""

    code_G: IntArray
    count_G: IntArray
    context_H: IntArray
    total_H: IntArray
    types_H: IntArray


class ByteNgrams:
    """Counts of training texts. order: bytes of the longest n-gram.

    >>> model = ByteNgrams(["abababab"], order=2)
    >>> bits = [model.nats(text) / float(np.log(2)) for text in ("abab", "bbbb", "zz")]
    >>> [round(each, 1) for each in bits]
    [1.1, 12.3, 21.6]
    """

    def __init__(self, texts: Iterable[str], order: int = 5) -> None:
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order is {order}: from 1 to {MAX_ORDER} bytes")
        self.order = order
        each = [_codes(text, order) for text in texts]
        joined = np.concatenate(each, axis=1) if each else np.zeros((order, 0), np.int64)
        self._grams = [_counted(codes) for codes in joined]

    def nats(self, text: str) -> float:
        """-log P of a text, all of its bytes."""
        codes = _codes(text, self.order)
        p_T: FloatArray = np.full(codes.shape[1], 1 / 256)
        for code_T, grams in zip(codes, self._grams, strict=True):
            count_T = _found(code_T, grams.code_G, grams.count_G)
            total_T = _found(code_T // BASE, grams.context_H, grams.total_H)
            types_T = _found(code_T // BASE, grams.context_H, grams.types_H)
            seen = total_T > 0
            p_T[seen] = (count_T + types_T * p_T)[seen] / (total_T + types_T)[seen]
        return float(-np.log(p_T).sum())


def _codes(text: str, order: int) -> IntArray:
    """[order, T]: the n-gram of each length that ends at each byte, as a number whose last digit is that byte."""
    raw = np.frombuffer(text.encode(), np.uint8).astype(np.int64)
    padded = np.concatenate([np.full(order - 1, BASE - 1, np.int64), raw])
    codes = np.zeros((order, len(raw)), np.int64)
    for size in range(1, order + 1):
        for place in range(size):
            start = order - size + place
            codes[size - 1] = codes[size - 1] * BASE + padded[start : start + len(raw)]
    return codes


def _counted(code_T: IntArray) -> _Grams:
    code_G, count_G = np.unique(code_T, return_counts=True)
    context_H, place_G, types_H = np.unique(code_G // BASE, return_inverse=True, return_counts=True)
    total_H = np.bincount(place_G, weights=count_G, minlength=len(context_H)).astype(np.int64)
    return _Grams(code_G, count_G, context_H, total_H, types_H)


def _found(wanted_T: IntArray, sorted_G: IntArray, value_G: IntArray) -> IntArray:
    """The value of each wanted number, 0 where it is not there."""
    if not len(sorted_G):
        return np.zeros(len(wanted_T), np.int64)
    place_T = np.minimum(np.searchsorted(sorted_G, wanted_T), len(sorted_G) - 1)
    return np.where(sorted_G[place_T] == wanted_T, value_G[place_T], 0)
