"""Sentence borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.text.sentences import split_sentences
from timing import fastest

CASES = [
    ("en", ["Mr. Smith met Mrs. J. R. Jones, Esq. Brown and Dr. No.", "They left at 5 p.m.", "He paid $3.50."]),
    ("en", ["It cost 3.14 dollars!", "Really?!", '"Stop!" he said.', "“Why?” she asked.", "“Go.”", "“No.”"]),
    ("en", ["Wait... what?", "Well…", "So be it.", "See e.g. Jones, i.e. No. 5 and p. 12 of vol. 2."]),
    ("en", ["1. First things first.", "2. Then the rest."]),
    ("en", ["It was in 1840.", "The king died."]),
    ("en", ["He fled (in 1840.)", "(She stayed.)", "The U.S. Army came."]),
    ("de", ["Am 3. Oktober kam Hr. Dr. Meier, z.B. aus Bonn.", "Er ging.", "„Wohin?“ fragte sie.", "Nr. 5 lebt."]),
    ("fr", ["M. Dupont et Mme. Curie sont là.", "« Oui ! » dit-il.", "C'est l'art.", "Voilà !"]),
    (
        "fr",
        [
            "— Vous partez ?",
            "— Non !",
            "« Non. »",
            "Elle sortit à 10 h. 30.",
            "« Ah ! mon Dieu !\u00a0»",
            "J.-J. tomba.",
        ],
    ),
    ("de", ["»Was?« rief er.", "»Ja!«", "»Nein!«", "„Nein.“", "Hrn. Schmidt geht's gut."]),
    (None, ["Dr. Who met Mme. Curie.", "Fine."]),
]


@pytest.mark.parametrize(("language", "sentences"), CASES)
def test_cases(language: str | None, sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text, language)] == sentences


def test_lines_and_cjk() -> None:
    text = "  one\n\n two\nthree。four「five！」six. Seven \n"
    found = [text[start:end] for start, end in split_sentences(text)]
    assert found == ["one", "two", "three。", "four「five！」", "six.", "Seven"]


def test_longer_tags_and_unknown_languages() -> None:
    assert split_sentences("z.B. Bonn. Ja.", "de-AT") == split_sentences("z.B. Bonn. Ja.", "de")
    with pytest.raises(InputError, match="unknown language 'xx'"):
        split_sentences("a", "xx")


@given(
    st.text(alphabet=st.sampled_from("aA1 .!?…。！\n\t\"'”»)(«“M\u00a0\u3000\x1c")),
    st.sampled_from(["en", "de", "fr", None]),
)
def test_spans_are_ordered_and_cover_the_text(text: str, language: str | None) -> None:
    spans = split_sentences(text, language)
    at = 0
    for start, end in spans:
        assert at <= start < end and not text[at:start].strip()
        assert text[start:end] == text[start:end].strip() and "\n" not in text[start:end]
        at = end
    assert not text[at:].strip()


def test_speed() -> None:
    sentence = 'It was late, he said. "Go on!" Mr. Hyde went. '
    short, long = sentence * 1_000, sentence * 16_000
    seconds_short, seconds_long = (fastest(lambda text=text: split_sentences(text, "en")) for text in (short, long))
    assert len(long) / seconds_long > 2e6  # 8 MB/s and more seen on such short sentences, 50 on novels
    assert seconds_long < 16 * 4 * seconds_short  # a square would be 256 times
