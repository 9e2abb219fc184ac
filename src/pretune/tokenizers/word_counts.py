"""How often each word occurs in a stream of texts, for the trainers that see words and never lines.

Texts are cut at white space first and only distinct chunks go through the normaliser and the pre-tokeniser, which is
exact for pipelines where white space always ends a word and the normaliser looks at no neighbour across it: those of
the kinds wordpiece, word and bpe.
Memory: the distinct chunks since they were last turned into words (`MAX_CHUNKS`, `MAX_CHUNK_CHARS`) and the distinct
words (about 0.3 million in 58 MB of novels). Beyond `MAX_WORDS` the rarest are dropped, as many as halve them, and
their occurrences are counted as left out; a word met again starts from nothing (lossy counting: Manku & Motwani 2002,
section 4.2, with a bound on the entries instead of one on the error).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer as Backend

from pretune.tokenizers.locality import Cutter

Progress = Callable[[str, int, int | None], None]
"""Called with what is counted, how many are done, and how many there will be (None: not known)."""

USUAL_ALPHABET = 1000
UNCOVERED = 0.0005
"""Share of the characters of a text that may stay outside of an alphabet that is larger than the usual one."""

REMOVED = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85")
"""White space for Python that BERT's cleaning removes as control characters: they end no word."""

MAX_CHUNKS = 1 << 20
MAX_CHUNK_CHARS = 1 << 26
MAX_WORDS = 1 << 21
_UNSPACED_CHARS = 32
"""A text whose chunks are longer than that on average is of a language without spaces: its chunks hardly repeat."""
_LONG_CHUNK = 1 << 16

_REMOVED_TABLE = str.maketrans(dict.fromkeys(REMOVED))


def chunks(text: str) -> list[str]:
    """The text cut where BERT's cleaning sees white space.

    >>> chunks("Hello,\\tbig\\x0bger  world")
    ['Hello,', 'bigger', 'world']
    """
    if any(sign in text for sign in REMOVED):
        text = text.translate(_REMOVED_TABLE)
    return text.split()


def counted(texts: Iterable[str], progress: Progress | None) -> Iterator[str]:
    """The texts, telling `progress` every thousand of them."""
    for number, text in enumerate(texts, 1):
        if progress is not None and number % 1000 == 0:
            progress("documents", number, None)
        yield text


@dataclass(frozen=True)
class WordCounts:
    """words: {word: occurrences}, sorted by word. left_out: occurrences of words too rare to be held."""

    words: dict[str, int]
    left_out: int


def count_words(
    texts: Iterable[str], backend: Backend, progress: Progress | None = None, max_words: int = MAX_WORDS
) -> WordCounts:
    """How often each word occurs, words as the backend's normaliser and BERT's pre-tokeniser make them."""
    cutter = Cutter(json.loads(backend.to_str()))
    raw: Counter[str] = Counter()
    words: Counter[str] = Counter()
    raw_chars = left_out = 0
    for text in counted(texts, progress):
        found = chunks(text)
        raw.update(found)
        raw_chars += len(text) if len(text) > _UNSPACED_CHARS * len(found) else 0
        if len(raw) > MAX_CHUNKS or raw_chars > MAX_CHUNK_CHARS:
            _add_words(words, raw, backend, cutter)
            raw.clear()
            raw_chars = 0
            left_out += _drop_rarest(words, max_words)
    _add_words(words, raw, backend, cutter)
    left_out += _drop_rarest(words, max_words)
    return WordCounts(dict(sorted(words.items())), left_out)


def _add_words(words: Counter[str], raw: Mapping[str, int], backend: Backend, cutter: Cutter) -> None:
    for chunk, occurrences in raw.items():
        for part in [chunk] if len(chunk) <= _LONG_CHUNK else (part for _, part in cutter.parts_of(chunk, _LONG_CHUNK)):
            for word, _ in backend.pre_tokenizer.pre_tokenize_str(normalized(part, backend)):
                words[word] += occurrences


def _drop_rarest(words: Counter[str], max_words: int) -> int:
    """Where there are more than `max_words`: drops those that occur up to so often that at most half of `max_words`
    stay. How many occurrences that were."""
    if len(words) <= max_words:
        return 0
    num_left, rarest = len(words), 0
    for occurrences, num_words in sorted(Counter(words.values()).items()):
        if num_left <= max_words // 2:
            break
        num_left, rarest = num_left - num_words, occurrences
    dropped = [word for word, occurrences in words.items() if occurrences <= rarest]
    return sum(words.pop(word) for word in dropped)


def count_characters(texts: Iterable[str], backend: Backend, progress: Progress | None = None) -> dict[str, int]:
    """{character: occurrences} after the backend's normaliser. Line breaks count between texts, for texts are mostly
    the lines of documents, which have them."""
    counts: Counter[str] = Counter()
    num_texts = 0
    for text in counted(texts, progress):
        counts.update(normalized(text, backend))
        num_texts += 1
    if num_texts > 1:
        counts.update(dict.fromkeys(normalized("\n", backend), num_texts - 1))
    return dict(counts)


def normalized(text: str, backend: Backend) -> str:
    """The text after the backend's normaliser, if it has one."""
    return text if backend.normalizer is None else str(backend.normalizer.normalize_str(text))


def character_counts(words: Mapping[str, int]) -> dict[str, int]:
    """{character: occurrences} in words that occur so often."""
    counts: Counter[str] = Counter()
    for word, occurrences in words.items():
        for character in word:
            counts[character] += occurrences
    return counts


def most_used(counts: Mapping[str, int], max_characters: int | None, num_pieces: int) -> list[str]:
    """The characters of an alphabet, the most frequent first (ties: the lower code point).

    max_characters: how many; None: the first 1,000 (all, in most alphabets), or, where these cover less, as many as
    cover 99.95 % of the text (SentencePiece's `character_coverage`) within half of the `num_pieces` to be learnt.
    """
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    if max_characters is None:
        uncovered = sum(counts.values()) * UNCOVERED
        needed = len(ranked)
        while needed and (uncovered := uncovered - counts[ranked[needed - 1]]) >= 0:
            needed -= 1
        max_characters = max(USUAL_ALPHABET, min(needed, num_pieces // 2))
    return ranked[:max_characters]
