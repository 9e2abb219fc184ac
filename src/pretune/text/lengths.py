"""How long texts are: in words, and in a model's pieces, which decides what does not fit.

Words are what white space separates. Without a tokenizer pieces are estimated as 1.1 a word or punctuation mark, and
one a Chinese, Japanese or Korean character.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretune.text.findings import MAX_PLACES, Finding, place, share
from pretune.text.records import Record

IntArray = NDArray[np.int64]
PERCENTILES = (5, 50, 95, 99)
PIECES_PER_WORD = 1.1
"""Of BERT's English vocabulary: median lengths of SST-2, TREC and MRPC so estimated are within 4 % of the true ones."""
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_ONE_CHARACTER = re.compile(f"[{_CJK}]")


@dataclass(frozen=True)
class Lengths:
    """Percentiles of one file's rows, over all texts of a row."""

    percentiles: dict[str, int]

    @classmethod
    def of(cls, lengths_N: IntArray) -> "Lengths":
        """
        >>> Lengths.of(np.array([1, 2, 3, 4, 100])).percentiles
        {'min': 1, '5 %': 2, '50 %': 3, '95 %': 100, '99 %': 100, 'max': 100}
        """
        if not len(lengths_N):
            return cls({})
        marks = np.percentile(lengths_N, PERCENTILES, method="higher").astype(int).tolist()
        middle = {f"{percent} %": mark for percent, mark in zip(PERCENTILES, marks, strict=True)}
        return cls({"min": int(lengths_N.min()), **middle, "max": int(lengths_N.max())})


def num_words(texts: Iterable[str | None]) -> int:
    return sum(len((text or "").split()) for text in texts)


def estimated_pieces(texts: Iterable[str | None]) -> int:
    """Pieces a WordPiece vocabulary of 30,000 would cut the texts into, roughly.

    >>> estimated_pieces(["A cat sat.", "東京"]), estimated_pieces([None])
    (6, 0)
    """
    words = [word for text in texts for word in _WORD.findall(text or "")]
    single = sum(bool(_ONE_CHARACTER.match(word)) for word in words)
    return round((len(words) - single) * PIECES_PER_WORD) + single


def outliers(
    part: str, records: Sequence[Record], words_N: IntArray, shown: Callable[[Record], str]
) -> Iterable[Finding]:
    """Rows of at most one word among longer ones, and rows many times longer than nearly all: often broken ones.

    At most one row in a hundred is one; more of them are what the data are like.
    """
    if len(words_N) < 20:
        return
    low, high = np.percentile(words_N, (2, 98))
    short = np.flatnonzero(words_N <= 1) if low >= 3 else np.array([], np.int64)
    long = np.flatnonzero(words_N > max(10 * high, 50))
    for kind, rows, what in (
        ("one word", short, "have one word or none where others are sentences"),
        ("very long", long, f"have more than {max(10 * high, 50):.0f} words where nearly all have up to {high:.0f}"),
    ):
        if len(rows):
            places = tuple(
                place(records[row].path, records[row].line, shown(records[row])) for row in rows[:MAX_PLACES].tolist()
            )
            yield Finding("remark", kind, part, f"{share(len(rows), len(words_N))} rows {what}", len(rows), places)
