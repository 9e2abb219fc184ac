"""Cleaning, lower-casing and accent stripping as BERT's basic tokenizer does (Devlin et al. 2019, released code).

Control characters, NUL and U+FFFD are dropped, white space becomes a space, spaces are put around CJK ideographs,
accents are the combining marks (category Mn) of the decomposed text, and each character is lower-cased by itself.
Where the released Python code and the `tokenizers` library differ we follow the library's BertNormalizer, which is
what our tokenizers run on: a capital sigma at the end of a word becomes σ. (The library carries an older Unicode table
than Python: characters that got their category after Unicode 8 may differ.)
"""

import unicodedata

_SPACE, _DROP, _KEEP, _IDEOGRAPH = range(4)

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class _Table(dict[int, str]):
    """A table for str.translate, filled as characters are met."""

    def __init__(self, ideographs: bool) -> None:
        super().__init__()
        self.ideographs = ideographs

    def __missing__(self, code: int) -> str:
        kind = _kind(code)
        char = chr(code)
        self[code] = {_SPACE: " ", _DROP: "", _KEEP: char, _IDEOGRAPH: f" {char} " if self.ideographs else char}[kind]
        return self[code]


class _Marks(dict[int, str]):
    """A table for str.translate that drops combining marks."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = "" if unicodedata.category(char) == "Mn" else char
        return self[code]


def _kind(code: int) -> int:
    char = chr(code)
    if char in "\t\n\r":
        return _SPACE
    if code in (0, 0xFFFD) or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        return _DROP
    if char.isspace():
        return _SPACE
    if any(first <= code <= last for first, last in _IDEOGRAPHS):
        return _IDEOGRAPH
    return _KEEP


_CLEAN, _CLEAN_AND_SPLIT, _MARKS = _Table(False), _Table(True), _Marks()


def clean(text: str, split_ideographs: bool = False) -> str:
    """Drops control characters and makes white space plain; puts spaces around CJK ideographs if asked.

    >>> clean("a\\u200bb\\tc")
    'ab c'
    """
    return text.translate(_CLEAN_AND_SPLIT if split_ideographs else _CLEAN)


def strip_accents(text: str) -> str:
    """Decomposes and drops combining marks.

    >>> strip_accents("Élève, Größe")
    'Eleve, Große'
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFD", text).translate(_MARKS)


def lower(text: str) -> str:
    """Lower case, character by character: the context of a capital sigma is not looked at.

    >>> lower("ΟΔΟΣ")
    'οδοσ'
    """
    return text.replace("Σ", "σ").lower()


def bert_clean(text: str, *, lowercase: bool = True, accents: bool | None = None, split_ideographs: bool = True) -> str:
    """The whole of BERT's normalization. accents: whether to keep them; by default they go with lower-casing."""
    text = clean(text, split_ideographs)
    if not (not lowercase if accents is None else accents):
        text = strip_accents(text)
    return lower(text) if lowercase else text
