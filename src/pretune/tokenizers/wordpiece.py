"""WordPiece trained by likelihood: join the pair with the highest freq(ab) / (freq(a) * freq(b)).

Google never published the trainer behind BERT's vocabulary. Schuster & Nakajima 2012 ("Japanese and Korean voice
search") say that of all pairs the one is joined that raises the likelihood of the training data most; the score above
is how the literature reconstructs that. It is not what `tokenizers.trainers.WordPieceTrainer` does: that one joins the
most frequent pair (byte-pair encoding) and only writes the pieces in WordPiece's form.

A word is its first character and `##` before each later one. Each round joins the best pair everywhere, left to right;
scores follow the new frequencies of *all* pieces (see `pair_table.py`). Ties: higher count, then the smaller ids, ids
in order of birth (the alphabet, sorted, comes first). A join may give a piece that exists already (a + ##bc, ab + ##c):
then the vocabulary does not grow. Text is later cut by the longest match, not by replaying the joins, as BERT does.

The score knows no scale: a pair seen once, of two pieces seen once, has the highest possible score of 1. So only pairs
seen at least `min_pair_count` times are joined. Quality depends strongly on that guard: too low, and the vocabulary
fills with rare whole words; too high, and no pair is left before the size is reached. `None`, the default, lets it
fall: it begins at the count of the most frequent pair and is halved whenever no pair reaches it, down to 2, so that the
size is reached whenever the text allows it and frequent pairs are joined before rare ones.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer as Backend

from pretune.tokenizers.pair_table import PairTable, pair_key, pair_of
from pretune.tokenizers.word_counts import Progress, character_counts, most_used


@dataclass(frozen=True)
class Learned:
    """What training gave. pieces: in order of their ids, special tokens not among them; merges: the joined pairs in
    order; min_pair_count: the guard at the end.
    """

    pieces: list[str]
    merges: list[tuple[str, str]]
    min_pair_count: int


@dataclass(frozen=True)
class Alphabet:
    """The characters that words may have. left_out: {character: occurrences} beyond the maximum."""

    pieces: list[str]
    characters: frozenset[str]
    left_out: dict[str, int] = field(default_factory=dict)


def alphabet(words: Mapping[str, int], max_characters: int | None, num_pieces: int, backend: Backend) -> Alphabet:
    """The characters that `most_used` chooses, each as itself and, unless the pre-tokeniser cuts
    around it (punctuation, CJK), with `##`; sorted, the plain ones first.
    """
    counts = character_counts(words)
    kept = sorted(most_used(counts, max_characters, num_pieces))
    inner = [f"##{character}" for character in kept if not _stands_alone(character, backend)]
    left_out = {character: counts[character] for character in counts.keys() - frozenset(kept)}
    return Alphabet([*kept, *inner], frozenset(kept), left_out)


def _stands_alone(character: str, backend: Backend) -> bool:
    text = f"a{character}a"
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    return len(backend.pre_tokenizer.pre_tokenize_str(text)) > 1


def learn(
    words: Mapping[str, int],
    first_pieces: list[str],
    num_pieces: int,
    min_pair_count: int | None = None,
    progress: Progress | None = None,
) -> Learned:
    """Joins pairs until there are `num_pieces` pieces or no pair is seen `min_pair_count` times (None: twice).

    words: {word: occurrences}, in any order (they are sorted); every character has its pieces in `first_pieces`.

    `##gs` wins with 5 / (20 * 5); then every pair with `##u` scores 1 / 36, and `pu` is the most frequent of them.

    >>> words = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    >>> learn(words, ["b", "h", "p", "##g", "##n", "##s", "##u"], 9, min_pair_count=1).merges
    [('##g', '##s'), ('p', '##u')]
    """
    state = _State(words, first_pieces, num_pieces, min_pair_count)
    while len(state.pieces) < num_pieces and state.merge_best():
        if progress is not None and len(state.merges) % 100 == 0:
            progress("pieces", len(state.pieces), num_pieces)
    return Learned(state.pieces, state.merges, state.pairs.min_count)


class _State:
    """Words as lists of piece ids, the frequencies of pieces and pairs, and which words contain which pair."""

    def __init__(
        self, words: Mapping[str, int], first_pieces: list[str], num_pieces: int, min_pair_count: int | None
    ) -> None:
        self.pieces = list(first_pieces)
        self.merges: list[tuple[str, str]] = []
        self._ids = {piece: number for number, piece in enumerate(first_pieces)}
        self._frequency_V = np.zeros(max(num_pieces, len(first_pieces)), dtype=np.float64)
        ordered = sorted(words)
        self._counts = [words[word] for word in ordered]
        self._words = [[self._ids[piece] for piece in _spell(word)] for word in ordered]
        self._falls = min_pair_count is None
        self._words_of: dict[int, set[int]] = {}
        self.pairs = PairTable(2 if min_pair_count is None else min_pair_count)
        self._count_all()
        if self._falls:
            self.pairs.lower_min_count(max(2, self.pairs.largest_count()))

    def _count_all(self) -> None:
        deltas: Counter[int] = Counter()
        for number, (ids, occurrences) in enumerate(zip(self._words, self._counts, strict=True)):
            for piece in ids:
                self._frequency_V[piece] += occurrences
            for left, right in zip(ids, ids[1:], strict=False):
                key = pair_key(left, right)
                deltas[key] += occurrences
                self._words_of.setdefault(key, set()).add(number)
        self.pairs.change(deltas)

    def merge_best(self) -> bool:
        """Joins the best pair everywhere; False if no pair is eligible."""
        best = self.pairs.best(self._frequency_V)
        while best is None and self._falls and self.pairs.min_count > 2:
            self.pairs.lower_min_count(max(2, self.pairs.min_count // 2))
            best = self.pairs.best(self._frequency_V)
        if best is None:
            return False
        left, right = pair_of(best)
        joined = self.pieces[left] + self.pieces[right].removeprefix("##")
        self.merges.append((self.pieces[left], self.pieces[right]))
        if joined not in self._ids:
            self._ids[joined] = len(self.pieces)
            self.pieces.append(joined)
        self._join(left, right, self._ids[joined])
        return True

    def _join(self, left: int, right: int, joined: int) -> None:
        deltas: dict[int, int] = {}
        num_joined = 0
        for number in self._words_of.pop(pair_key(left, right)):
            old, occurrences = self._words[number], self._counts[number]
            new = _joined(old, left, right, joined)
            if len(new) == len(old):
                continue
            num_joined += occurrences * (len(old) - len(new))
            self._words[number] = new
            for pair in zip(old, old[1:], strict=False):
                key = pair_key(*pair)
                deltas[key] = deltas.get(key, 0) - occurrences
            for pair in zip(new, new[1:], strict=False):
                key = pair_key(*pair)
                deltas[key] = deltas.get(key, 0) + occurrences
                if joined in pair:
                    self._words_of.setdefault(key, set()).add(number)
        self._frequency_V[left] -= num_joined
        self._frequency_V[right] -= num_joined
        self._frequency_V[joined] += num_joined
        self.pairs.change(deltas)


def _spell(word: str) -> list[str]:
    return [character if place == 0 else f"##{character}" for place, character in enumerate(word)]


def _joined(ids: list[int], left: int, right: int, joined: int) -> list[int]:
    new, place, last = [], 0, len(ids) - 1
    while place <= last:
        if place < last and ids[place] == left and ids[place + 1] == right:
            new.append(joined)
            place += 2
        else:
            new.append(ids[place])
            place += 1
    return new
