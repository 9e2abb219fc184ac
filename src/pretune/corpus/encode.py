"""Blocks of text to ids, word marks and sentence marks. The ids are those of `Tokenizer.literal().encode`.

A special token that a text spells out ("[SEP]" on a page about BERT) is text: no id of a corpus stands for structure
that is not there. [UNK] alone comes from text, where the tokenizer does not know it.

A cache makes it fast: a text is cut before every run of spaces and line feeds that follows a visible character. Where
no pre-token reaches over such a place (all kinds pretune trains, and BERT's and GPT-2's), each piece of text can be
encoded by itself, once, and looked up afterwards. Other tokenizers encode every document whole. A piece is not cut
behind another white-space character (a tab, a no-break space): GPT-2's pattern joins it with what follows.

Dimensions: T tokens, S slots of the cache, F tokens in the cache.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.text.sentences import split_sentences
from pretune.tokenizers.columns import Columns, encode_columns, encode_run, end_to_end
from pretune.tokenizers.locality import SPACE_SPLITTERS, is_local, looks_around, parts_in
from pretune.tokenizers.tokenizer import Tokenizer

_OTHER_SPACES = "\t\r\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PIECES = re.compile(rf"[ \n]*[^ \n]+(?:(?<=[{_OTHER_SPACES}])[ \n]+[^ \n]*)*|[ \n]+")
MAX_CACHE_CHARS = 32 << 20
MAX_CACHE_PIECES = 1 << 20
RUN_PIECES = 256
"""New pieces that are encoded as one text."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that is encoded together: a document (that begins with no line feed), or a part of one.

    starts: whether its document starts with it.
    """

    text: str
    starts: bool = True


@dataclass(frozen=True, eq=False)
class Encoded:
    """The units of a block, end to end. ids_T: the corpus's dtype; marks_T: uint8; tokens of each unit."""

    ids_T: NDArray[Any]
    marks_T: NDArray[np.uint8]
    tokens_per_unit: NDArray[np.int64]


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """uint16 where all ids fit, else uint32, little-endian."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


class Encoder:
    """Encodes blocks with one tokenizer. What it gives does not depend on what it encoded before."""

    def __init__(self, tokenizer: Tokenizer, language: str | None = None) -> None:
        self.tokenizer = tokenizer.literal()
        self.language = language
        self.dtype = id_dtype(tokenizer.vocab.size)
        layout = json.loads(tokenizer.backend.to_str())
        self.cuttable = is_local(layout)
        self.adds_space = _adds_space(layout["pre_tokenizer"])
        # where white space itself makes tokens, a piece that the normaliser leaves ending in white space is not local
        self.may_join = layout["normalizer"] is not None and not _drops_space(layout["pre_tokenizer"])
        # tokens that look at or change what stands around them, wherever a text spells them out
        self.greedy_tokens = tuple(
            token["content"]
            for token in layout["added_tokens"]
            if not token["special"] and (self.adds_space or looks_around(token) or re.search(r"\s", token["content"]))
        )
        self._clear()

    def _clear(self) -> None:
        self.slots: dict[str, int] = {}
        self.joining: set[str] = set()
        self.cached_chars = 0
        self.lengths_S = np.zeros(0, np.int64)
        self.starts_S = np.zeros(0, np.int64)
        self.ids_F = np.zeros(0, self.dtype)
        self.marks_F = np.zeros(0, np.uint8)
        self.ends_F = np.zeros(0, np.int32)

    def encode(self, units: Sequence[Unit]) -> Encoded:
        """The ids and marks of units, in their order."""
        if self.cached_chars > MAX_CACHE_CHARS or len(self.slots) > MAX_CACHE_PIECES:
            self._clear()
        cut = [self._cut(unit) for unit in units]
        self._learn(list(chain.from_iterable(cut)))
        if self.joining:
            cut = [[u.text] if not self.joining.isdisjoint(p) else p for u, p in zip(units, cut, strict=True)]
            self._learn(list(chain.from_iterable(cut)))
        pieces = list(chain.from_iterable(cut))
        slots = np.fromiter(map(self.slots.__getitem__, pieces), np.int64, len(pieces))
        chars = np.fromiter(map(len, pieces), np.int64, len(pieces))
        lengths = self.lengths_S[slots]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        taken = np.arange(total) + np.repeat(self.starts_S[slots] - (ends - lengths), lengths)
        marks_T = self.marks_F[taken]
        ends_T = np.repeat(np.cumsum(chars) - chars, lengths) + self.ends_F[taken]
        self._mark_sentences(units, marks_T, ends_T)
        pieces_per_unit = np.fromiter(map(len, cut), np.int64, len(cut))
        bounds = np.concatenate([[0], ends])[np.cumsum(pieces_per_unit)]
        return Encoded(self.ids_F[taken], marks_T, np.diff(bounds, prepend=0))

    def _cut(self, unit: Unit) -> list[str]:
        text = unit.text
        whole = not self.cuttable or any(token in text for token in self.greedy_tokens)
        return [text] if whole else _PIECES.findall(text)

    def _learn(self, pieces: list[str]) -> None:
        """Encodes what the cache does not know yet, in the order it is met."""
        new = [piece for piece in dict.fromkeys(pieces) if piece not in self.slots]
        if not new:
            return
        if self.may_join and self.cuttable:
            self.joining.update(piece for piece in new if self._joins(piece))
        order: list[str] = []
        found: list[Columns] = []
        running: list[str] = []
        alone: list[str] = []
        for piece in new:
            (running if self._may_run(piece) else alone).append(piece)
        for start in range(0, len(running), RUN_PIECES):
            run = running[start : start + RUN_PIECES]
            columns = encode_run(self.tokenizer, run) if _PIECES.findall("".join(run)) == run else None
            if columns is None:
                alone += run
            else:
                order += run
                found.append(columns)
        self._store(end_to_end([*found, self._encode_alone(alone)]))
        self.slots.update(zip(order + alone, range(len(self.slots), len(self.slots) + len(new)), strict=True))
        self.cached_chars += sum(map(len, new))

    def _may_run(self, piece: str) -> bool:
        """Whether a piece may stand between others in a text that is encoded as one."""
        if not self.cuttable or piece[0] not in " \n" or piece in self.joining:
            return False
        return not any(token in piece for token in self.greedy_tokens)

    def _encode_alone(self, pieces: list[str]) -> Columns:
        # a line feed inside a document gets no space in front of it: encode it behind a letter and drop the letter
        behind = [self.adds_space and self.cuttable and piece[:1] == "\n" for piece in pieces]
        columns = encode_columns(self.tokenizer, [f"a{p}" if b else p for p, b in zip(pieces, behind, strict=True)])
        return columns.without_first_letter(np.array(behind)) if any(behind) else columns

    def _joins(self, piece: str) -> bool:
        normalized = self.tokenizer.backend.normalizer.normalize_str(piece)
        return not piece[-1:].isspace() and (not normalized or normalized[-1].isspace())

    def _store(self, new: Columns) -> None:
        starts_S = len(self.ids_F) + np.cumsum(new.lengths_N) - new.lengths_N
        self.starts_S = np.concatenate([self.starts_S, starts_S])
        self.lengths_S = np.concatenate([self.lengths_S, new.lengths_N])
        self.ids_F = np.concatenate([self.ids_F, new.ids_T.astype(self.dtype)])
        self.marks_F = np.concatenate([self.marks_F, new.starts_T.astype(np.uint8) * np.uint8(WORD_START)])
        self.ends_F = np.concatenate([self.ends_F, new.ends_T])

    def _mark_sentences(self, units: Sequence[Unit], marks_T: NDArray[np.uint8], ends_T: NDArray[np.int64]) -> None:
        """A sentence starts at the first token that ends behind its first character."""
        starts, offset = [], 0
        for unit in units:
            starts += [offset + start for start, _ in split_sentences(unit.text, self.language)]
            offset += len(unit.text)
        places = np.searchsorted(np.maximum.accumulate(ends_T), np.array(starts, np.int64), side="right")
        marks_T[places[places < len(marks_T)]] |= SENTENCE_START


def _drops_space(part: dict[str, Any] | None) -> bool:
    kinds = {each["type"] for each in parts_in(part, "pretokenizers")}
    return bool(kinds & SPACE_SPLITTERS)


def _adds_space(part: dict[str, Any] | None) -> bool:
    return any(each.get("add_prefix_space", False) for each in parts_in(part, "pretokenizers"))
