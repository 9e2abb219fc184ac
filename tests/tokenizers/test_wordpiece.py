"""The likelihood trainer against an oracle that counts everything anew, and its guard."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import trainers

from pretune.tokenizers.pipelines import special_ids, wordpiece_backend
from pretune.tokenizers.train import train_tokenizer
from pretune.tokenizers.word_counts import count_words
from pretune.tokenizers.wordpiece import alphabet, learn

BACKEND = wordpiece_backend(special_ids(), lowercase=True)


def first_pieces(words):
    return alphabet(words, 1000, 2000, BACKEND).pieces


def oracle(words, first_pieces, num_pieces, guard=None):
    """The pieces and merges that `learn` must find, everything counted anew before every merge."""
    pieces, merges = list(first_pieces), []
    cut = {word: [word[0], *(f"##{character}" for character in word[1:])] for word in words}
    falls, guard = guard is None, guard or 0
    while len(pieces) < num_pieces:
        frequency, pairs = Counter(), Counter()
        for word, occurrences in words.items():
            for piece in cut[word]:
                frequency[piece] += occurrences
            for pair in zip(cut[word], cut[word][1:], strict=False):
                pairs[pair] += occurrences
        most = max(pairs.values(), default=0)
        if falls and not merges:
            guard = max(2, most)
        while falls and guard > 2 and most < guard:
            guard = max(2, guard // 2)
        if most < guard or most == 0:
            break
        ids = {piece: number for number, piece in enumerate(pieces)}

        def rank(pair, frequency=frequency, pairs=pairs, ids=ids):
            score = pairs[pair] / (float(frequency[pair[0]]) * float(frequency[pair[1]]))
            return -score, -pairs[pair], ids[pair[0]], ids[pair[1]]

        left, right = min((pair for pair in pairs if pairs[pair] >= guard), key=rank)
        merges.append((left, right))
        joined = left + right.removeprefix("##")
        if joined not in ids:
            pieces.append(joined)
        for word, old in cut.items():
            new, place = [], 0
            while place < len(old):
                both = old[place : place + 2] == [left, right]
                new.append(joined if both else old[place])
                place += 2 if both else 1
            cut[word] = new
    return pieces, merges


def same_as_oracle(words, num_pieces, guard):
    first = first_pieces(words)
    learned = learn(words, first, num_pieces, guard)
    pieces, merges = oracle(words, first, num_pieces, guard)
    assert learned.merges == merges
    assert learned.pieces == pieces
    return learned


@pytest.mark.parametrize("guard", [None, 1, 2, 5, 40])
def test_merges_equal_the_oracle(prose, guard):
    learned = same_as_oracle(count_words(prose, BACKEND).words, 400, guard)
    assert len(learned.merges) > 10


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 30), min_size=1, max_size=12),
    st.sampled_from([None, 1, 2, 7]),
)
def test_merges_equal_the_oracle_on_few_letters(words, guard):
    """Few letters give overlaps (aaa), ties, and pieces that two joins make."""
    same_as_oracle(words, 60, guard)


def test_two_joins_may_give_one_piece():
    """abc is a + ##bc where ##bc is joined first, and ab + ##c elsewhere: one id, so the vocabulary grows by one."""
    words = {"abc": 10, "abd": 10, "xbc": 60, "ab": 1}
    learned = same_as_oracle(words, 60, 1)
    assert len(set(learned.pieces)) == len(learned.pieces)


def test_hand_made():
    """##g 20, ##s 5, ##u 36, ##n 16, h 15, p 17, b 4: ##gs scores 5 / (20 * 5); h ##u, p ##u and b ##u all 1 / 36."""
    words = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    first = first_pieces(words)
    number = len(first)
    assert learn(words, first, number + 2, 1).merges == [("##g", "##s"), ("p", "##u")]
    assert learn(words, first, number + 1, 6).merges == [("##u", "##g")]  # 20 / (36 * 20) ties too, seen 20 times


def test_it_is_not_byte_pair_encoding(prose):
    """The library's WordPiece trainer joins the most frequent pair; ours must choose otherwise."""
    words = count_words(prose, BACKEND).words
    first = first_pieces(words)
    ours = set(learn(words, first, len(first) + 60).pieces)
    library = wordpiece_backend({"[UNK]": 0}, lowercase=True)
    library.train_from_iterator(prose, trainers.WordPieceTrainer(vocab_size=len(first) + 60, show_progress=False))
    assert len(ours - set(library.get_vocab())) > 5


def test_the_guard_holds(prose):
    words = count_words(prose, BACKEND).words
    first = first_pieces(words)
    pairs = Counter()
    learned = learn(words, first, 10_000, 50)
    assert learned.min_pair_count == 50
    assert len(learned.pieces) < 10_000
    text = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in words}
    for left, right in learned.merges:
        for word, cut in text.items():
            place = 0
            while place + 1 < len(cut):
                if cut[place : place + 2] == [left, right]:
                    cut[place : place + 2] = [left + right.removeprefix("##")]
                    pairs[left, right] += words[word]
                place += 1
    assert min(pairs.values()) >= 50
    rest = Counter(
        pair for word, cut in text.items() for pair in zip(cut, cut[1:], strict=False) for _ in range(words[word])
    )
    assert max(rest.values()) < 50


def test_order_of_the_words_does_not_matter(prose):
    words = count_words(prose, BACKEND).words
    first = first_pieces(words)
    assert learn(dict(reversed(words.items())), first, 300) == learn(words, first, 300)


def test_alphabet_keeps_the_most_frequent_characters():
    words = {"abba": 5, "c": 3, "d,": 3, "日": 1}
    letters = alphabet(words, 3, 2000, BACKEND)
    assert letters.pieces == [",", "a", "b", "##a", "##b"]
    assert letters.left_out == {"c": 3, "d": 3, "日": 1}
    whole = alphabet(words, 10, 2000, BACKEND)
    assert whole.characters == set("abcd,日")
    assert "##," not in whole.pieces
    assert "##日" not in whole.pieces


def test_words_beyond_the_alphabet_are_counted_and_unknown(prose):
    tokenizer, report = train_tokenizer(
        [*prose, "quizzical ☃" * 3], algorithm="wordpiece", vocab_size=300, max_alphabet=30
    )
    assert report.characters == 30
    assert report.characters_left_out > 0
    assert report.words_left_out > 0
    assert any("beyond the alphabet" in warning for warning in report.warnings)
    assert tokenizer.encode("☃").ids_P.tolist() == [tokenizer.special_ids["unk"]]


def shared_data() -> Path:
    return Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("guard", [None, 10])
def test_merges_equal_the_oracle_on_a_megabyte(guard):
    text = (shared_data() / "eltec_eng" / "valid.txt").read_text("utf-8")[: 1 << 20]
    learned = same_as_oracle(count_words(text.split("\n"), BACKEND).words, 1500, guard)
    assert len(learned.merges) > 1000
