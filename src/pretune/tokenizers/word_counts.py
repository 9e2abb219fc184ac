"""How often each word occurs in a stream of texts, for the trainers that see words and never lines.

Texts are cut at white space first and only distinct chunks go through the normaliser and the pre-tokeniser, which is
exact for pipelines where white space always ends a word and the normaliser looks at no neighbour across it: those of
the kinds wordpiece, word and bpe.
Memory: the distinct chunks (about 0.3 million for 58 MB of novels).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from tokenizers import Tokenizer as Backend

Progress = Callable[[str, int, int | None], None]
"""Called with what is counted, how many are done, and how many there will be (None: not known)."""

USUAL_ALPHABET = 1000
UNCOVERED = 0.0005
"""Share of the characters of a text that may stay outside of an alphabet that is larger than the usual one."""

REMOVED = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85")
"""White space for Python that BERT's cleaning removes as control characters: they end no word."""

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


def count_words(texts: Iterable[str], backend: Backend, progress: Progress | None = None) -> dict[str, int]:
    """{word: occurrences}, words as the backend's normaliser and BERT's pre-tokeniser make them, sorted by word."""
    raw: Counter[str] = Counter()
    for text in counted(texts, progress):
        raw.update(chunks(text))
    words: Counter[str] = Counter()
    for chunk, occurrences in raw.items():
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(normalized(chunk, backend)):
            words[word] += occurrences
    return dict(sorted(words.items()))


def count_characters(texts: Iterable[str], backend: Backend, progress: Progress | None = None) -> dict[str, int]:
    """{character: occurrences} after the backend's normaliser."""
    counts: Counter[str] = Counter()
    for text in counted(texts, progress):
        counts.update(normalized(text, backend))
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
