"""Cleaning equals tokenizers' BertNormalizer."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer

from pretune.text.clean import bert_clean


def stable(code: int) -> bool:
    """Code points whose category has not changed since Unicode 3.2: the two sides carry different Unicode versions."""
    char = chr(code)
    return unicodedata.category(char) == unicodedata.ucd_3_2_0.category(char) not in ("Cs", "Cn")


STABLE = [chr(code) for code in range(0x110000) if stable(code)]
CHOICES = [(True, None, True), (False, None, True), (True, True, False), (False, False, False)]


@pytest.mark.parametrize(("lowercase", "accents", "ideographs"), CHOICES)
def test_every_character_between_letters(lowercase: bool, accents: bool | None, ideographs: bool) -> None:
    reference = BertNormalizer(True, ideographs, None if accents is None else not accents, lowercase)
    text = "\n".join(f"a{char}b" for char in STABLE)
    ours = bert_clean(text, lowercase=lowercase, accents=accents, split_ideographs=ideographs)
    assert ours == reference.normalize_str(text)


@given(st.text(st.sampled_from(STABLE), max_size=30))
def test_any_text(text: str) -> None:
    assert bert_clean(text) == BertNormalizer().normalize_str(text)


@pytest.mark.parametrize(
    "text", ["ΟΔΟΣ ΣΑΣ", "İstanbul", "ﬁ ß ẞ", "e\u0301\u0323 ệ", "한국어", "日本語a", "a\r\n\tb\u2028c\xad\x1c"]
)
def test_hard_text(text: str) -> None:
    assert bert_clean(text) == BertNormalizer().normalize_str(text)
