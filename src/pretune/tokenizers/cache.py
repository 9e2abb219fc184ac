"""WordCache: the same ids and word starts as `Tokenizer.encode`, each distinct word cut only once.

Natural text repeats its words, so a text is cut at white space by one fast pass and the ids of each chunk are looked
up; only new chunks go through the tokenizer. That is exact where nothing looks across white space:

- BERT's normaliser with its cleaning, then BERT's pre-tokeniser or one that begins with a split at white space (the
  trained wordpiece, word, bpe and unigram, and every BERT checkpoint): chunks between white space.
- GPT-2's byte-level pattern or that of `char`, with no normaliser or BERT's without cleaning: chunks are words with the
  space before them, and runs of other white space.

A text with a written-out special token takes the slow way, and so does every text of a tokenizer with another pipeline,
where words may interact (`by_word` is False: SentencePiece models with their own normaliser, for example).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Backend

from pretune.core.marks import WORD_START
from pretune.tokenizers.pipelines import CHARACTER_WORDS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.word_counts import chunks, normalized

Ids = NDArray[np.int32]
Marks = NDArray[np.uint8]

_START = 1 << 31
_LONGEST_KEPT = 64
_OTHER_SPACE = re.compile("[\x1c-\x1f]")
"""White space for Python's patterns but not for those of the library."""

_BYTE_LEVEL_CHUNKS = re.compile(r" ?\S+|\s+(?!\S)|\s+")
_CHARACTER_CHUNKS = re.compile(r" ?\S+|\s")


class _Interacts(Exception):
    """A chunk whose pieces depend on its neighbours."""


class WordCache:
    """Encodes many texts fast. Not for several threads; each worker has its own.

    by_word: whether the fast way is exact for this tokenizer; else the library's `encode_batch` does the
    work (`encode_batch_fast` gives no word numbers).
    max_words: chunks remembered; beyond it the memory starts anew (about 200 bytes each).
    """

    def __init__(self, tokenizer: Tokenizer, max_words: int = 1_000_000) -> None:
        self.tokenizer = tokenizer
        pipeline = json.loads(tokenizer.backend.to_str())
        cut = _cutter(pipeline)
        self.by_word = cut is not None and _added_tokens_are_plain(pipeline)
        self._cut = cut if cut is not None else chunks
        added = sorted((token["content"] for token in pipeline["added_tokens"]), key=len, reverse=True)
        self._added = re.compile("|".join(re.escape(token) for token in added)) if added else None
        self._packed = _Packed(tokenizer, _without_prefix(pipeline), max_words)

    def encode(self, text: str) -> tuple[Ids, Marks]:
        """ids_P (int32) and marks_P (uint8, WORD_START) of a text, as `Tokenizer.encode` gives them."""
        packed = self._fast(text)
        return _unpacked(packed) if packed is not None else self._slow([text])[0]

    def encode_sentences(self, sentences: Sequence[str]) -> list[tuple[Ids, Marks]]:
        """`encode` of each sentence; those that need the slow way go through the library in one batch."""
        packed = [self._fast(sentence) for sentence in sentences]
        rest = iter(self._slow([text for text, found in zip(sentences, packed, strict=True) if found is None]))
        return [next(rest) if found is None else _unpacked(found) for found in packed]

    def _fast(self, text: str) -> bytes | None:
        if not self.by_word or (self._added is not None and self._added.search(text)):
            return None
        try:
            return b"".join(map(self._packed.__getitem__, self._cut(text)))
        except (_Interacts, TypeError):
            return None  # the slow way does it, or says what is wrong with the text

    def _slow(self, texts: list[str]) -> list[tuple[Ids, Marks]]:
        return [(pieces.ids_P, pieces.marks_P) for pieces in self.tokenizer.encode_batch(texts)] if texts else []


class _Packed(dict[str, bytes]):
    """Chunk -> its ids as little-endian uint32, the highest bit set where a word starts; filled as chunks come."""

    def __init__(self, tokenizer: Tokenizer, backend: Backend, max_words: int) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._backend = backend
        self._max_words = max_words
        cleans = backend.normalizer is not None and getattr(backend.normalizer, "clean_text", False)
        self._keeps_space = backend.normalizer is not None and not cleans

    def __missing__(self, chunk: str) -> bytes:
        if self._keeps_space and not _stays_a_chunk(chunk, normalized(chunk, self._backend)):
            raise _Interacts
        encoding = self._backend.encode(chunk, add_special_tokens=False)
        ids_P = np.array(encoding.ids, dtype="<u4")
        starts_P = self._tokenizer.word_starts(ids_P, encoding.word_ids)
        packed = (ids_P | np.where(starts_P, np.uint32(_START), np.uint32(0))).astype("<u4").tobytes()
        if len(chunk) <= _LONGEST_KEPT:
            if len(self) >= self._max_words:
                self.clear()
            self[chunk] = packed
        return packed


def _unpacked(packed: bytes) -> tuple[Ids, Marks]:
    both_P = np.frombuffer(packed, dtype="<u4")
    marks_P = (both_P >> np.uint32(31)).astype(np.uint8) * np.uint8(WORD_START)
    return (both_P & np.uint32(_START - 1)).astype(np.int32), marks_P


def _stays_a_chunk(chunk: str, after: str) -> bool:
    """Whether the normaliser left white space where it was."""
    if chunk.isspace():
        return chunk == after
    visible, before = after.removeprefix(" "), chunk.startswith(" ")
    return bool(visible) and before == after.startswith(" ") and not any(sign.isspace() for sign in visible)


def _cutter(pipeline: dict[str, Any]) -> Callable[[str], list[str]] | None:
    """How to cut a text into chunks that do not interact; None if this pipeline is not known to allow it."""
    normalizer, pre, model = pipeline["normalizer"], pipeline["pre_tokenizer"], pipeline["model"]
    if model.get("dropout") or pre is None:
        return None
    if normalizer is not None and normalizer["type"] != "BertNormalizer":
        return None
    parts = pre["pretokenizers"] if pre["type"] == "Sequence" else [pre]
    names = [part["type"] for part in parts]
    if normalizer is not None and normalizer["clean_text"]:
        spaces_first = names[0] == "WhitespaceSplit" and set(names[1:]) <= {"Metaspace", "Split", "BertPreTokenizer"}
        always = all(part.get("prepend_scheme", "always") == "always" for part in parts)
        return chunks if names == ["BertPreTokenizer"] or (spaces_first and always) else None
    if normalizer is not None and normalizer["handle_chinese_chars"]:
        return None
    if names == ["ByteLevel"] and pre["use_regex"]:
        return _prefixed_cut if pre["add_prefix_space"] else _byte_level_cut
    if names == ["Split"] and pre["pattern"] == {"Regex": CHARACTER_WORDS} and pre["behavior"] == "Isolated":
        return _character_cut
    return None


def _byte_level_cut(text: str) -> list[str]:
    if _OTHER_SPACE.search(text):
        raise _Interacts
    return _BYTE_LEVEL_CHUNKS.findall(text)


def _prefixed_cut(text: str) -> list[str]:
    return _byte_level_cut(text if text.startswith(" ") or not text else f" {text}")


def _character_cut(text: str) -> list[str]:
    if _OTHER_SPACE.search(text):
        raise _Interacts
    return _CHARACTER_CHUNKS.findall(text)


def _added_tokens_are_plain(pipeline: dict[str, Any]) -> bool:
    """Whether a search in the raw text finds every added token: none is matched after the normaliser."""
    return pipeline["normalizer"] is None or not any(token["normalized"] for token in pipeline["added_tokens"])


def _without_prefix(pipeline: dict[str, Any]) -> Backend:
    """The same tokenizer for chunks: no space of its own before them, no added tokens to look for."""
    changed = json.loads(json.dumps(pipeline))
    changed.update(truncation=None, padding=None)
    if changed["pre_tokenizer"] is not None and changed["pre_tokenizer"]["type"] == "ByteLevel":
        changed["pre_tokenizer"]["add_prefix_space"] = False
    return Backend.from_str(json.dumps(changed))
