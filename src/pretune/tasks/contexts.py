"""A question and its context as sequences: what is cut, windows over a long context, and where answers may stand.

Every sequence is `[CLS] question [SEP] part of the context [SEP]` (Devlin et al. 2019, section 4.2). A context that
does not fit becomes windows whose beginnings are `stride` pieces apart, as in google-research/bert, run_squad.py; with
two deviations. Where the room is small the stride shrinks to half of it, so that windows always overlap by half (there,
text is skipped when the room is smaller than the stride). The last window is as long as the others (there, it is what
is left), so its first pieces see more of what is before them.

A piece of the context stands in several windows; an answer may start in the one where the piece has most context on
both sides (the same file, `_check_is_max_context`), which here is the one whose middle is nearest.

Dimensions: P pieces of the context, U units (words, or pieces), M rows that are read, W windows.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pretune.core.assemble import Template, assemble
from pretune.core.pack import pack
from pretune.core.stream import Example, Segments, Span, Targets
from pretune.metrics.checks import AnyArray, IntArray
from pretune.tokenizers.pieces import Pieces
from pretune.tokenizers.tokenizer import Tokenizer

NOWHERE = -1
"""Of a row at which no answer may start (or end): the character it would start at."""
_THAI_TO_KHMER = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
_KANA = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_IDEOGRAPHS = r"\u3005-\u3007\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED = re.compile(f"[{_THAI_TO_KHMER}{_KANA}{_IDEOGRAPHS}]")
"""Scripts without spaces between words: Thai, Lao, Myanmar, Khmer; kana; Chinese characters and Bopomofo. Hangul has
spaces."""
_BELONGS_BEFORE = re.compile(r"[\u0e33\u0eb3\uff9e\uff9f\u200c\u200d]")
"""Letters that are part of the grapheme before them, as all marks are."""
_JOINS_NEXT = re.compile(r"[\u1039\u17d2\u200d]")
"""Myanmar's virama, Khmer's coeng and the joiner: what follows is part of their grapheme."""


@dataclass(frozen=True, eq=False)
class Context:
    """A context's pieces and the units that answers are made of.

    first_U, last_U: pieces of each unit. chars_U2: its characters [start, end).
    """

    pieces: Pieces
    first_U: IntArray
    last_U: IntArray
    chars_U2: IntArray

    def pieces_of(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last piece of the units that characters [start, end) touch; None where they touch none."""
        first = int(np.searchsorted(self.chars_U2[:, 1], start, side="right"))
        last = int(np.searchsorted(self.chars_U2[:, 0], end, side="left")) - 1
        return (int(self.first_U[first]), int(self.last_U[last])) if first <= last else None


def read_context(text: str, tokenizer: Tokenizer, whole_words: bool) -> Context:
    """whole_words: units are the tokenizer's words (of letters, of digits, punctuation marks); else single pieces. In
    scripts without spaces, where such a word may be a clause, a unit also begins at each piece between graphemes.

    Marks that the tokenizer strips (accents written as characters of their own) belong to the unit before them.
    """
    pieces = tokenizer.encode(text)
    is_first_P = np.ones(len(pieces), np.bool_)
    if whole_words:
        is_first_P[1:] = pieces.words_P[1:] != pieces.words_P[:-1]
        if _UNSPACED.search(text):
            is_first_P |= _begins_unspaced(text, pieces.offsets_P2)
    first_U = np.flatnonzero(is_first_P)
    last_U = np.append(first_U[1:], len(pieces)) - 1 if len(first_U) else first_U
    chars_U2 = np.stack([pieces.offsets_P2[first_U, 0], pieces.offsets_P2[last_U, 1]], -1).astype(np.int64)
    if not text.isascii():
        _take_marks(text, chars_U2)
    is_seen_U = chars_U2[:, 1] > chars_U2[:, 0]  # a space that is a piece by itself is no answer
    return Context(pieces, first_U[is_seen_U], last_U[is_seen_U], chars_U2[is_seen_U])


def _begins_unspaced(text: str, offsets_P2: AnyArray) -> AnyArray:
    """Truth values: the pieces that begin a grapheme, and border on a character of a script without spaces."""
    found, seen = np.zeros(len(offsets_P2), np.bool_), 0
    for piece, (start, end) in enumerate(offsets_P2.tolist()):
        if seen <= start < end and start:  # else it goes on in a character that several pieces make up
            before, first = text[start - 1], text[start]
            inside = unicodedata.category(first)[0] == "M" or _BELONGS_BEFORE.match(first) or _JOINS_NEXT.match(before)
            found[piece] = not inside and bool(_UNSPACED.match(first) or _UNSPACED.match(before))
        seen = max(seen, end)
    return found


def _take_marks(text: str, chars_U2: IntArray) -> None:
    limits = [*chars_U2[1:, 0].tolist(), len(text)]
    for unit, (end, limit) in enumerate(zip(chars_U2[:, 1].tolist(), limits, strict=True)):
        while end < limit and unicodedata.category(text[end])[0] == "M":
            end += 1
        chars_U2[unit, 1] = end


def windows(num_pieces: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Pieces [start, end) of each window of at most `room` pieces.

    >>> windows(4, 5, 3), windows(9, 5, 2), windows(8, 5, 9)
    ([(0, 4)], [(0, 5), (2, 7), (4, 9)], [(0, 5), (2, 7), (3, 8)])
    """
    if num_pieces <= room:
        return [(0, num_pieces)]
    step = min(stride, max(1, room // 2))
    starts = [*range(0, num_pieces - room, step), num_pieces - room]
    return [(start, start + room) for start in starts]


def owners(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces [start, end) that each window owns: those nearest to its middle, of equals the first.

    >>> owners([(0, 5), (2, 7), (4, 9)])
    [(0, 4), (4, 6), (6, 9)]
    """
    borders = [(before[0] + after[1] - 1) // 2 + 1 for before, after in zip(parts, parts[1:], strict=False)]
    return list(zip([0, *borders], [*borders, parts[-1][1]], strict=True))


def featurize_context(
    question: Span,
    context: Context,
    answer: tuple[int, int] | None,
    head: str,
    template: Template,
    room: int,
    stride: int,
    *,
    labelled: bool,
) -> Example:
    """An Example of one sequence a window. room: pieces of question and context together.

    The rows that are read are, in each window, the summary row and the pieces of the context; `group_M` numbers the
    windows. answer: its first and last piece. `gold_M` [M, 2]: 1 at the row where it starts and at the row where it
    ends; both at the summary row of a window that does not hold it whole, or where there is none. `weight_M`: 1 at the
    summary row, so that windows are counted. `given_M` [M, 3]: the characters at which an answer that starts, ends at
    the row would start and end (NOWHERE if none may), and 1 at the first row of the example.
    """
    parts = windows(len(context.pieces), room - len(question), stride)
    starts_P = np.full(len(context.pieces), NOWHERE, np.int64)
    ends_P = starts_P.copy()
    starts_P[context.first_U], ends_P[context.last_U] = context.chars_U2[:, 0], context.chars_U2[:, 1]
    found = []
    for window, ((start, end), owned) in enumerate(zip(parts, owners(parts), strict=True)):
        here_P = np.arange(start, end)
        may_start_P = np.where((here_P >= owned[0]) & (here_P < owned[1]), starts_P[start:end], NOWHERE)
        given_M = np.full((1 + end - start, 3), NOWHERE, np.int64)
        given_M[1:, 0], given_M[1:, 1], given_M[:, 2] = may_start_P, ends_P[start:end], 0
        given_M[0, 2] = window == 0
        gold_M = _gold(answer, start, end) if labelled else None
        found.append(_sequence(question, context.pieces.span(start, end), gold_M, given_M, head, template))
    return found[0] if len(found) == 1 else pack(found)  # which numbers the windows as groups


def _gold(answer: tuple[int, int] | None, start: int, end: int) -> AnyArray:
    gold_M2 = np.zeros((1 + end - start, 2), np.float32)
    rows = (0, 0)
    if answer is not None and start <= answer[0] and answer[1] < end:
        rows = (1 + answer[0] - start, 1 + answer[1] - start)
    gold_M2[rows, (0, 1)] = 1.0
    return gold_M2


def _sequence(
    question: Span, part: Span, gold_M2: AnyArray | None, given_M: IntArray, head: str, template: Template
) -> Example:
    example = assemble(Segments([question, part], {head: 0}), template)
    summary_row = int(example.predict[head].at_MK[0, 0])
    first_row = template.offset(1, [len(question), len(part)])
    at_M = np.append(summary_row, np.arange(first_row, first_row + len(part)))
    weight_M = np.zeros(len(at_M), np.float32)
    weight_M[0] = 1.0
    targets = Targets(at_M[:, None], gold_M2, weight_M, np.zeros(len(at_M), np.int64), given_M)
    return replace(example, predict={head: targets})
