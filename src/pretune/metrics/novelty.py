"""Novelty of written texts: the share of their n-grams that no training text has, and the nearest training passage.

McCoy et al. 2023 ("How much do language models copy from their training data?"): a generated n-gram is novel
where it does not occur in the training texts; low novelty at n = 4 is copying. The nearest passage of a text is the one
that shares the most of its distinct n-grams; how many words they have in common in a row is counted beside it (Carlini
et al. 2021 look for such runs). An n-gram lies within one training text.

An index holds 12 bytes an n-gram: a hash of 64 bits and the number of its text. Two n-grams share a hash by chance in
one of 1e19 comparisons; what is called nearest is compared by its words again.

Deviations: words are those of `repetition.words_of`, where McCoy et al. take a tokenizer's. Not here: near copies with
exchanged words (an edit distance), and texts without spaces between words, whose runs of letters count as one.

>>> index = Passages(["the cat sat on the mat today", "a dog ran home"], n=3)
>>> found = novelty(["the cat sat down", "the dog ran home at last"], index)
>>> found.share, found.num_copies                  # new: cat sat down; the dog ran, ran home at, home at last
(0.6666666666666666, 0)
>>> nearest = index.nearest("I saw the cat sat on the floor")
>>> nearest.passage, nearest.num_shared, nearest.longest_run
(0, 3, 'the cat sat on the')
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray
from pretune.metrics.repetition import N, words_of

Hashes = NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Nearest:
    """passage: its number; text: as it was given. num_shared: distinct n-grams in common. longest_run: words in a row
    that both have."""

    passage: int
    text: str
    num_shared: int
    longest_run: str


@dataclass(frozen=True)
class Novelty:
    """share: of all n-grams, None where no text has n words. num_copies: texts that equal a training text in all words.
    counts_N2: novel and all n-grams of each text."""

    n: int
    share: float | None
    num_copies: int
    counts_N2: FloatArray


class Passages:
    """Training texts, indexed by their n-grams. InputError for none."""

    def __init__(self, texts: Iterable[str], n: int = N) -> None:
        if n < 1:
            raise ValueError(f"n is {n}: an n-gram has at least one word")
        self.n = n
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._whole: set[tuple[int, ...]] = set()
        hashes: list[Hashes] = []
        for text in texts:
            ids = [self._numbers.setdefault(word, len(self._numbers)) for word in words_of(text)]
            self.texts.append(text)
            self._whole.add(tuple(ids))
            hashes.append(np.unique(_hashes(ids, n)))
        if not self.texts:
            raise InputError("no training text: novelty compares with the texts that a model was trained on")
        passages = np.repeat(np.arange(len(hashes), dtype=np.int32), [len(each) for each in hashes])
        joined = np.concatenate(hashes)
        order = np.argsort(joined, kind="stable")
        self._hash_G, self._passage_G = joined[order], passages[order]

    def is_known(self, text: str) -> NDArray[np.bool_]:
        """Of each n-gram of a text, whether a training text has it."""
        hash_P = _hashes(self._ids(words_of(text)), self.n)
        place_P = np.searchsorted(self._hash_G, hash_P)
        found: NDArray[np.bool_] = np.zeros(len(hash_P), np.bool_)
        inside = place_P < len(self._hash_G)
        found[inside] = self._hash_G[place_P[inside]] == hash_P[inside]
        return found

    def is_copy(self, text: str) -> bool:
        """Whether a training text has the same words, all of them."""
        return tuple(self._ids(words_of(text))) in self._whole

    def nearest(self, text: str) -> Nearest | None:
        """The training text that shares the most distinct n-grams, the first of several; None where none shares one."""
        words = words_of(text)
        hash_P = np.unique(_hashes(self._ids(words), self.n))
        starts = np.searchsorted(self._hash_G, hash_P, "left")
        ends = np.searchsorted(self._hash_G, hash_P, "right")
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        hits = np.concatenate([self._passage_G[:0], *(self._passage_G[start:end] for start, end in places)])
        if not len(hits):
            return None
        counts = np.bincount(hits)
        best = int(counts.argmax())
        theirs = words_of(self.texts[best])
        run = SequenceMatcher(None, words, theirs, autojunk=False).find_longest_match()
        return Nearest(best, self.texts[best], int(counts[best]), " ".join(words[run.a : run.a + run.size]))

    def _ids(self, words: Sequence[str]) -> list[int]:
        """Numbers of words; one that no training text has is -1."""
        return [self._numbers.get(word, -1) for word in words]


def novelty(texts_N: Sequence[str], passages: Passages) -> Novelty:
    """Of written texts beside the training texts. InputError for none."""
    if not len(texts_N):
        raise InputError("no texts: there is nothing to score")
    known = [passages.is_known(text) for text in texts_N]
    counts_N2 = np.array([(len(each) - each.sum(), len(each)) for each in known], np.float64)
    novel, total = counts_N2.sum(0)
    copies = sum(passages.is_copy(text) for text in texts_N)
    return Novelty(passages.n, float(novel / total) if total else None, copies, counts_N2)


def novelty_beside(texts_N: Sequence[str], sources_N: Sequence[str], n: int = N) -> float:
    """Share of n-grams that each text does not take over from its own source (See et al. 2017, figure 6): how far a
    summary is in words of its own. 0 where no text has n words.

    >>> novelty_beside(["the cat sat", "it slept well"], ["the cat sat down", "the dog slept"], n=2)
    0.5
    """
    pairs = zip(texts_N, sources_N, strict=True)
    counts = [novelty([text], Passages([source], n)).counts_N2[0] for text, source in pairs]
    novel, total = np.sum(counts, axis=0) if counts else (0.0, 0.0)
    return float(novel / total) if total else 0.0


def _hashes(ids: Sequence[int], n: int) -> Hashes:
    """[P] of each n-gram, 64 bits: each word's number is mixed in by a multiplication and a shift (splitmix64)."""
    words_T = np.array(ids, np.int64).astype(np.uint64)
    size = max(len(words_T) - n + 1, 0)
    found = np.zeros(size, np.uint64)
    for start in range(n):
        found = _mixed((found + np.uint64(1)) * _FACTOR + words_T[start : start + size])
    return found


def _mixed(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
