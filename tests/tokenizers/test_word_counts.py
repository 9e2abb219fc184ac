"""Words counted by distinct chunks are the words of whole texts."""

from collections import Counter
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from pretune.tokenizers import word_counts
from pretune.tokenizers.pipelines import special_ids, wordpiece_backend
from pretune.tokenizers.word_counts import _drop_rarest, count_characters, count_words, most_used, normalized

SIGNS = [
    *"abTéİΣ.,'日😀",
    " ",
    "  ",
    "\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u00a0",
    "\u2028",
    "\u200b",
    "\u0301",
    "\ufffd",
]
TEXTS = st.lists(st.sampled_from(SIGNS) | st.characters(exclude_categories=["Cs"]), max_size=20).map("".join)
BACKENDS = [wordpiece_backend(special_ids(), lowercase=lowercase) for lowercase in (True, False)]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=4), st.sampled_from(BACKENDS))
def test_equal_to_whole_texts(texts, backend):
    plain = Counter()
    for text in texts:
        plain.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text)))
    found = count_words(texts, backend)
    assert found.words == dict(plain) and found.left_out == 0
    assert list(found.words) == sorted(plain)
    with mock.patch.multiple(word_counts, MAX_CHUNKS=2, MAX_CHUNK_CHARS=3, _LONG_CHUNK=2):
        assert count_words(texts, backend) == found


def test_words_without_end_are_held_within_bounds(monkeypatch):
    monkeypatch.setattr(word_counts, "MAX_CHUNKS", 10)
    held = []
    monkeypatch.setattr(
        word_counts, "_drop_rarest", lambda words, most: (held.append(len(words)), drop(words, most))[1]
    )
    drop = _drop_rarest
    texts = [f"often w{number}" for number in range(1000)]
    found = count_words(texts, BACKENDS[0], max_words=50)
    assert found.words["often"] == 1000 and len(found.words) <= 50
    assert sum(found.words.values()) + found.left_out == 2000
    assert len(held) > 80 and max(held) < 70


def test_the_rarest_are_dropped():
    words = Counter({"a": 9, "b": 2, "c": 2, "d": 1, "e": 1})
    assert _drop_rarest(words, 5) == 0 and len(words) == 5
    assert _drop_rarest(words, 4) == 6 and words == {"a": 9}


def test_characters_after_the_normaliser():
    assert count_characters(["Éa", "A\x00"], BACKENDS[0]) == {"e": 1, "a": 2, " ": 1}  # a line break between
    assert normalized("É", BACKENDS[1]) == "É"


def test_alphabets_grow_with_the_script():
    latin = {chr(97 + n): 100 for n in range(26)}
    assert len(most_used(latin | {chr(0x4E00 + n): 1 for n in range(2000)}, None, 8000)) > 1000
    wide = {chr(0x4E00 + n): 10 if n < 1500 else 1 for n in range(1506)}
    assert len(most_used(wide, None, 8000)) == 1500  # 6 of 15,006 may stay outside
    assert len(most_used(wide, None, 2400)) == 1200
    assert most_used(wide, None, 100)[0] == chr(0x4E00) and len(most_used(wide, None, 100)) == 1000
    assert len(most_used(wide, 3, 8000)) == 3
    assert most_used({"b": 2, "a": 2, "c": 9}, 2, 10) == ["c", "a"]
