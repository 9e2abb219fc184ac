"""Text that is real English, text that is hard, and a trained tokenizer of every kind."""

import random

import pytest

from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

PROSE = """It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want
of a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this
truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful property of some
one or other of their daughters. "My dear Mr. Bennet," said his lady to him one day, "have you heard that Netherfield
Park is let at last?" Mr. Bennet replied that he had not. "But it is," returned she; "for Mrs. Long has just been here,
and she told me all about it." Mr. Bennet made no answer. "Do not you want to know who has taken it?" cried his wife
impatiently. "You want to tell me, and I have no objection to hearing it." This was invitation enough."""

HARD = [
    "",
    " ",
    "Hello, wörld! It's the 2nd of may-be 1,000.50 $ (100 %).",
    "naïve Ångström ÉCOLE Straße İstanbul ΣΊΣΥΦΟΣ ﬁancé e\u0301\u0323",
    "日本語のテキスト and 한국어 텍스트, العربية ไทย",
    "tabs\tand\nlines\r\nand\u00a0no-break\u2003em\u3000wide\u2028line",
    "zero\u200bwidth \ufeffmark \ufffd \x00nul \x07bell \x0bvt \x0cff \x1cfs \x85nel",
    "emoji 😀 👩‍👩‍👧 🏳️‍🌈 flag",
    "  two  spaces   and trailing  ",
    "[CLS] a [MASK] b [SEP] [UNK] [PAD] [MASK]x",
    "a" * 150 + " " + "b" * 99,
    "##ing ▁word Ġword ## ▁ Ġ",
    "don't 'tis 's ... --- ?!",
    "\u0301 \u0301a \u0345",
]


def prose_lines() -> list[str]:
    """Some hundred different lines of English in a fixed order."""
    rng, sentences = random.Random(3), PROSE.replace("\n", " ").split(". ")
    words = [word for sentence in sentences for word in sentence.split()]
    return [" ".join(rng.choices(words, k=rng.randint(3, 14))) for _ in range(400)] + sentences


@pytest.fixture(scope="session")
def kinds() -> dict[str, Tokenizer]:
    texts = prose_lines()
    sizes = {"char": None, "byte": None, "byte-bpe": 420}
    return {
        kind: train_tokenizer(texts, algorithm=kind, vocab_size=sizes.get(kind, 220), lowercase=kind == "wordpiece")[0]
        for kind in ALGORITHMS
    }


@pytest.fixture(scope="session")
def prose() -> list[str]:
    return prose_lines()


@pytest.fixture(scope="session")
def hard() -> list[str]:
    return HARD
