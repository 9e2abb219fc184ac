"""How alike two texts are without a network: shared words (Jaccard), and the cosine of TF-IDF vectors of words.

Each gives a similarity of pairs, and of every text with every other in blocks. Words are compared in lower case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pretune.metrics.checks import FloatArray

WORDS = r"(?u)\w+"


@dataclass(frozen=True, eq=False)
class Likeness:
    """Sparse rows of N first and N second texts. kind "overlap": 0 or 1 a word; "tfidf": of length 1."""

    kind: Literal["overlap", "tfidf"]
    first_NW: Any
    second_NW: Any

    def pairs(self) -> FloatArray:
        """Of each first text with its own second text, [N], 0 to 1."""
        shared_N = np.asarray(self.first_NW.multiply(self.second_NW).sum(1)).ravel()
        return self._scaled(shared_N, _sizes(self.first_NW), _sizes(self.second_NW))

    def block(self, start: int, end: int) -> FloatArray:
        """Of first texts start to end with all second texts, [end - start, N]."""
        some = self.first_NW[start:end]
        shared_BN = np.asarray((some @ self.second_NW.T).todense())
        return self._scaled(shared_BN, _sizes(some)[:, None], _sizes(self.second_NW))

    def _scaled(self, shared: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
        if self.kind == "tfidf":
            return shared
        return np.asarray(shared / np.maximum(first + second - shared, 1.0))


def likenesses(seen: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[Likeness]:
    """Of N first and N second texts by both methods. seen: training texts, which say how rare a word is; for TF-IDF
    words that they lack do not count.

    >>> found = likenesses(["a cat", "a dog"], ["a cat sat", "dog"], ["a cat", "a dog"])
    >>> [one.kind for one in found], found[0].pairs().round(2).tolist()
    (['overlap', 'tfidf'], [0.67, 0.5])
    >>> found[0].block(0, 1).round(2).tolist()
    [[0.67, 0.25]]
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    rows = [
        _rows(CountVectorizer(binary=True, token_pattern=WORDS, dtype=np.float64), [*first, *second], first, second),
        _rows(TfidfVectorizer(sublinear_tf=True, token_pattern=WORDS), seen, first, second),
    ]
    return [Likeness("overlap", *rows[0]), Likeness("tfidf", *rows[1])]


def _rows(vectorizer: Any, seen: Sequence[str], first: Sequence[str], second: Sequence[str]) -> tuple[Any, Any]:
    from scipy import sparse

    try:
        vectorizer.fit(seen)
    except ValueError:  # no text has a word
        empty = sparse.csr_matrix((len(first), 1))
        return empty, empty
    return vectorizer.transform(first), vectorizer.transform(second)


def _sizes(rows_NW: Any) -> FloatArray:
    return np.asarray(rows_NW.sum(1)).ravel()
