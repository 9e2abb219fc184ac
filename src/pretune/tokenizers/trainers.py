"""How each of the seven algorithms makes a backend of a stream of texts.

wordpiece is ours (`wordpiece.py`). bpe (Sennrich et al. 2016), byte-bpe (Radford et al. 2019, section 2.2) and unigram
(Kudo 2018) are trained by the `tokenizers` library. word and char keep the most frequent words or characters (ties: the
lower code points), byte has 256 bytes and nothing to learn.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from pretune.core.errors import InputError, unknown
from pretune.tokenizers.pipelines import (
    ALGORITHMS,
    SPECIAL_TOKENS,
    Algorithm,
    around,
    byte_alphabet,
    special_ids,
    with_special_tokens,
    wordpiece_backend,
)
from pretune.tokenizers.report import TokenizerReport
from pretune.tokenizers.source import HoldingOut
from pretune.tokenizers.word_counts import (
    Progress,
    character_counts,
    count_characters,
    count_words,
    counted,
    most_used,
    normalized,
)
from pretune.tokenizers.wordpiece import alphabet, learn

_WORDS_A_TEXT = 10_000


@dataclass(frozen=True)
class Request:
    """The settings of `train_tokenizer`, checked."""

    algorithm: Algorithm
    vocab_size: int | None
    lowercase: bool
    strip_accents: bool | None
    min_pair_count: int | None
    min_word_count: int
    max_alphabet: int | None
    progress: Progress | None
    num_sentinels: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise unknown("tokenizer algorithm", self.algorithm, ALGORITHMS)
        if self.vocab_size is None and self.algorithm not in ("byte", "char"):
            raise InputError(f"{self.algorithm} needs a vocab_size, for example 8000")
        if self.num_sentinels < 0:
            raise InputError(f"sentinels is {self.num_sentinels}: give 0 or more, 100 as T5 has them")
        smallest = self.num_special + (256 if self.algorithm in ("byte", "byte-bpe") else 1)
        if self.vocab_size is not None and self.vocab_size < smallest:
            raise InputError(f"vocab_size is {self.vocab_size}: {self.algorithm} needs at least {smallest}")
        for name in ("min_pair_count", "min_word_count", "max_alphabet"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: give at least 1")

    @property
    def num_special(self) -> int:
        """Special tokens, sentinels among them; these are added when all else has its ids."""
        return len(SPECIAL_TOKENS) + self.num_sentinels

    @property
    def num_pieces(self) -> int:
        """Pieces to learn, beside the special tokens, of the vocabulary asked for; as many as Unicode or the alphabet
        may have where no size was given (char)."""
        return self.vocab_size - self.num_special if self.vocab_size else self.max_alphabet or sys.maxunicode

    @property
    def size(self) -> int:
        """The vocabulary before sentinels are added."""
        return len(SPECIAL_TOKENS) + self.num_pieces

    def backend(self, model: models.Model) -> Backend:
        return around(self.algorithm, model, lowercase=self.lowercase, strip_accents=self.strip_accents)

    def check_reached(self, size: int) -> None:
        """InputError if a vocabulary came out larger than asked for."""
        if self.vocab_size is not None and size > self.vocab_size:
            raise InputError(
                f"vocab_size is {self.vocab_size}, but special tokens and alphabet alone take more ({size} in all): "
                f"ask for at least {size}"
                + (" or give a smaller max_alphabet" if self.algorithm in ("wordpiece", "bpe", "char") else "")
            )


def _wordpiece(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    backend = wordpiece_backend(special_ids(), lowercase=request.lowercase, strip_accents=request.strip_accents)
    counts = count_words(texts, backend, request.progress)
    words = _frequent(counts.words, request.min_word_count)
    letters = alphabet(words, request.max_alphabet, request.num_pieces, backend)
    known = {word: count for word, count in words.items() if letters.characters.issuperset(word)}
    request.check_reached(request.num_special + len(letters.pieces))
    learned = learn(known, letters.pieces, request.num_pieces, request.min_pair_count, request.progress)
    ids = special_ids()
    for piece in learned.pieces:
        ids[piece] = len(ids)
    backend = wordpiece_backend(ids, lowercase=request.lowercase, strip_accents=request.strip_accents)
    return backend, replace(
        _blank(request),
        characters=len(letters.characters),
        characters_left_out=sum(letters.left_out.values()),
        words_left_out=sum(words.values()) - sum(known.values()),
        rare_words_left_out=counts.left_out,
        num_merges=len(learned.merges),
        min_pair_count=learned.min_pair_count,
    )


def _word(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    counts = count_words(texts, request.backend(models.WordLevel({}, unk_token="[UNK]")), request.progress)
    words = counts.words
    ids = _most_frequent(_frequent(words, request.min_word_count), request.num_pieces)
    backend = request.backend(models.WordLevel(ids, unk_token="[UNK]"))
    left_out = sum(count for word, count in words.items() if word not in ids)
    return with_special_tokens(backend), replace(
        _blank(request), words_left_out=left_out, rare_words_left_out=counts.left_out
    )


def _char(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    counts = count_characters(texts, request.backend(models.BPE()), request.progress)
    ids = _most_frequent(counts, min(request.num_pieces, request.max_alphabet or request.num_pieces))
    backend = request.backend(models.BPE(vocab=ids, merges=[], unk_token="[UNK]"))
    left_out = sum(count for character, count in counts.items() if character not in ids)
    report = replace(_blank(request), characters=len(ids) - len(SPECIAL_TOKENS), characters_left_out=left_out)
    return with_special_tokens(backend), report


def _byte(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    for _ in counted(texts, request.progress):
        pass
    ids = special_ids()
    for sign in byte_alphabet():
        ids[sign] = len(ids)
    return with_special_tokens(request.backend(models.BPE(vocab=ids, merges=[]))), _blank(request)


def _byte_pairs(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    """The library's own limit of the alphabet leaves to chance which of the characters at the limit stay, and joins
    what stands around those that go: here they go first, and their words are cut there, as [UNK] cuts them later."""
    backend = request.backend(models.BPE(unk_token="[UNK]"))
    found = count_words(texts, backend, request.progress)
    words, counts = found.words, character_counts(found.words)
    kept = frozenset(most_used(counts, request.max_alphabet, request.num_pieces))
    known: Counter[str] = Counter()
    words_left_out = 0
    for word, count in words.items():
        parts = _parts_of(word, kept)
        for part in parts:
            known[part] += count
        words_left_out += 0 if any(part != "▁" for part in parts) else count
    learner = Backend(models.BPE(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(_repeated(known), _byte_pair_trainer(request, []))
    backend.model = learner.model
    return with_special_tokens(backend), replace(
        _blank(request),
        characters=len(kept),
        characters_left_out=sum(count for character, count in counts.items() if character not in kept),
        words_left_out=words_left_out,
        min_pair_count=request.min_pair_count or 2,
    )


def _parts_of(word: str, kept: frozenset[str]) -> list[str]:
    """What stands between the characters of a word that are not kept.

    >>> _parts_of("abcbd", frozenset("abd"))
    ['ab', 'bd']
    """
    return [word] if kept.issuperset(word) else "".join(c if c in kept else " " for c in word).split()


def _byte_level_pairs(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    backend = request.backend(models.BPE())
    backend.train_from_iterator(counted(texts, request.progress), _byte_pair_trainer(request, byte_alphabet()))
    return with_special_tokens(backend), replace(_blank(request), min_pair_count=request.min_pair_count or 2)


def _byte_pair_trainer(request: Request, first: list[str]) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=request.size,
        min_frequency=request.min_pair_count or 2,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=first,
        show_progress=False,
    )


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    """Each word as often as it occurs, in texts of at most `_WORDS_A_TEXT` words."""
    for word, count in words.items():
        for start in range(0, count, _WORDS_A_TEXT):
            yield " ".join([word] * min(_WORDS_A_TEXT, count - start))


def _unigram(request: Request, texts: HoldingOut) -> tuple[Backend, TokenizerReport]:
    backend = request.backend(models.Unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=request.size,
        special_tokens=list(SPECIAL_TOKENS.values()),
        unk_token="[UNK]",
        show_progress=False,
    )
    seen: set[str] = set()
    try:
        backend.train_from_iterator(_noted(counted(texts, request.progress), seen), trainer)
    except Exception as error:
        if "not large enough" in str(error):
            request.check_reached(_smallest(request, backend, seen))
        raise
    if backend.get_vocab_size() > request.size:
        request.check_reached(_smallest(request, backend, seen))
    backend.model = models.Unigram(_settled(backend), unk_id=special_ids()["[UNK]"])
    return with_special_tokens(backend), _blank(request)


def _noted(texts: Iterator[str], seen: set[str]) -> Iterator[str]:
    """The texts; `seen` gets their characters."""
    for text in texts:
        seen.update(text)
        yield text


def _smallest(request: Request, backend: Backend, seen: set[str]) -> int:
    """The size that has room for the characters and one piece more: with none the library gives more than asked for."""
    words = backend.pre_tokenizer.pre_tokenize_str(normalized(" ".join(seen), backend))
    return request.num_special + len(set("".join(word for word, _ in words))) + 1


def _settled(backend: Backend) -> list[tuple[str, float]]:
    """Unigram's pieces and scores without what the library leaves to chance.

    It visits words and characters in the order of a hash table: the last bits of scores differ between runs, and the
    characters no other piece covers get the lowest score plus 0, 1, 2 ... times 0.0001 in random order. Scores are
    rounded, those are dealt out by code point instead, and pieces are sorted by score.
    """
    vocab = [(piece, round(score, 6)) for piece, score in json.loads(backend.to_str())["model"]["vocab"]]
    special, pieces = vocab[: len(SPECIAL_TOKENS)], dict(vocab[len(SPECIAL_TOKENS) :])
    characters = sorted(piece for piece in pieces if len(piece) == 1)
    ceiling = min(pieces.values(), default=0.0) + 0.0001 * (len(characters) + 0.5)
    lowest = [character for character in characters if pieces[character] < ceiling]
    pieces.update(zip(lowest, sorted((pieces[character] for character in lowest), reverse=True), strict=True))
    return special + sorted(pieces.items(), key=lambda entry: (-entry[1], entry[0]))


TRAINERS: dict[str, Callable[[Request, HoldingOut], tuple[Backend, TokenizerReport]]] = {
    "wordpiece": _wordpiece,
    "bpe": _byte_pairs,
    "byte-bpe": _byte_level_pairs,
    "unigram": _unigram,
    "word": _word,
    "char": _char,
    "byte": _byte,
}


def _blank(request: Request) -> TokenizerReport:
    return TokenizerReport(request.algorithm, request.vocab_size, 0, 0, 0, 0.0, None)


def _frequent(words: dict[str, int], min_count: int) -> dict[str, int]:
    return {word: count for word, count in words.items() if count >= min_count}


def _most_frequent(counts: dict[str, int], number: int) -> dict[str, int]:
    """A vocabulary: special tokens, then the most frequent entries."""
    ids = special_ids()
    entries = [entry for entry in sorted(counts, key=lambda entry: (-counts[entry], entry)) if entry not in ids]
    for entry in entries[:number]:
        ids[entry] = len(ids)
    return ids
