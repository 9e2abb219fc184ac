"""Columns: many short texts as pieces that lie end to end, without an array for each of them; for a corpus.

Dimensions: N texts, T their pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from pretune.tokenizers.tokenizer import Tokenizer, explained


@dataclass(frozen=True, eq=False)
class Columns:
    """N texts as T pieces end to end: what a corpus keeps of them.

    ids_T: int32. starts_T: whether a word starts with the piece. ends_T: int32, where it ends in its text, in
    characters. lengths_N: int64, pieces of each text.
    """

    ids_T: NDArray[np.int32]
    starts_T: NDArray[np.bool_]
    ends_T: NDArray[np.int32]
    lengths_N: NDArray[np.int64]

    def without_first_letter(self, of_N: NDArray[np.bool_]) -> "Columns":
        """Leaves out the first word of the texts of_N, which is one character there."""
        texts_T = np.repeat(np.arange(len(of_N)), self.lengths_N)
        of_T = of_N[texts_T]
        words_T = np.cumsum(self.starts_T)
        before_N = np.concatenate([[0], words_T])[np.cumsum(self.lengths_N) - self.lengths_N]
        kept_T = ~of_T | (words_T - before_N[texts_T] > 1)
        ends_T = self.ends_T - of_T.astype(np.int32)
        lengths_N = np.bincount(texts_T[kept_T], minlength=len(of_N)).astype(np.int64)
        return Columns(self.ids_T[kept_T], self.starts_T[kept_T], ends_T[kept_T], lengths_N)


def end_to_end(parts: Sequence[Columns]) -> Columns:
    """The texts of all parts, one after the other."""
    columns = zip(*((part.ids_T, part.starts_T, part.ends_T, part.lengths_N) for part in parts), strict=True)
    return Columns(*(np.concatenate(column) for column in columns))


def encode_columns(tokenizer: Tokenizer, texts: Sequence[str]) -> Columns:
    """`Tokenizer.encode` of many short texts, as columns that lie end to end: without an array for each of them."""
    encodings, lengths_N, ids_T, starts_T = _encode_together(tokenizer, texts)
    ends_T = np.fromiter((end for each in encodings for _, end in each.offsets), np.int32, len(ids_T))
    return Columns(ids_T, starts_T, ends_T, lengths_N)


def encode_run(tokenizer: Tokenizer, texts: Sequence[str]) -> Columns | None:
    """`encode_columns` of texts that are encoded as one, behind a letter: in half the time, where they are words.

    The caller knows that the tokenizer is local at every place where one text ends and the next begins
    (`locality.py`). None where a piece lies over such a place, or at none.
    """
    encodings, _, ids_T, starts_T = _encode_together(tokenizer, ["a" + "".join(texts)])
    places_T2 = np.array(encodings[0].offsets, np.int32).reshape(-1, 2)
    ends_N = 1 + np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    kept = places_T2[:, 1] > 1  # the letter's pieces end at 1
    ids_T, starts_T, places_T2 = ids_T[kept], starts_T[kept], places_T2[kept]
    texts_T = np.searchsorted(ends_N, places_T2[:, 1])
    begin_T = np.concatenate([[1], ends_N])[texts_T]
    if (places_T2[:, 0] < begin_T).any() or (places_T2[:, 0] >= places_T2[:, 1]).any():
        return None
    lengths_N = np.bincount(texts_T, minlength=len(texts)).astype(np.int64)
    starts_T[(np.cumsum(lengths_N) - lengths_N)[lengths_N > 0]] = True
    return Columns(ids_T, starts_T, (places_T2[:, 1] - begin_T).astype(np.int32), lengths_N)


def _encode_together(
    tokenizer: Tokenizer, texts: Sequence[str]
) -> tuple[list[Encoding], NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """What the library gives, and of it lengths_N, ids_T and starts_T."""
    with explained(texts):
        encodings = tokenizer.backend.encode_batch(list(texts), add_special_tokens=False)
    lengths_N = np.fromiter(map(len, encodings), np.int64, len(encodings))
    ids_T = np.fromiter(chain.from_iterable(each.ids for each in encodings), np.int32, int(lengths_N.sum()))
    starts_T = tokenizer.word_starts(ids_T, list(chain.from_iterable(each.word_ids for each in encodings)))
    starts_T[(np.cumsum(lengths_N) - lengths_N)[lengths_N > 0]] = True
    return encodings, lengths_N, ids_T, starts_T
