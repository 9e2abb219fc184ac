"""Where a text may be cut so that its parts, encoded one by one, give the pieces of the whole; for texts of any size.

A tokenizer is local when no normaliser or pre-tokeniser of its joins or changes text over a space: all kinds pretune
trains, BERT's and GPT-2's. There `parts_of` cuts before a single space between two letters or digits (and, where the
normaliser sets Chinese characters apart, between two of them). A run without such a place stays whole, and so does a
text for any other tokenizer, or with an added token that reaches over a space.
"""

import re
from collections.abc import Iterator
from typing import Any

from pretune.tokenizers.pipelines import CHARACTER_WORDS

PART_CHARS = 1 << 17
"""Characters of a part. The library holds some hundred bytes for each piece it gives, pretune's `Pieces` 17."""

_LOCAL_NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"}
SPACE_SPLITTERS = {"BertPreTokenizer", "WhitespaceSplit", "Whitespace"}
_BETWEEN_WORDS = r"(?<=[^\W_])(?= [^\W_])"
_BETWEEN_CHINESE = r"(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])"


class Cutter:
    """Cuts long texts for one tokenizer, given its tokenizer.json."""

    def __init__(self, layout: dict[str, Any]) -> None:
        self.is_local = is_local(layout)
        bert = [part for part in parts_in(layout["normalizer"], "normalizers") if part["type"] == "BertNormalizer"]
        chinese = any(part["handle_chinese_chars"] for part in bert)
        self._places = re.compile(f"{_BETWEEN_WORDS}|{_BETWEEN_CHINESE}" if chinese else _BETWEEN_WORDS)
        self._reaching = tuple(token["content"] for token in layout["added_tokens"] if _reaches(token))

    def parts_of(self, text: str, part_chars: int) -> Iterator[tuple[int, str]]:
        """(place of its first character, part), of about `part_chars` characters; together they are the text."""
        whole = not self.is_local or any(token in text for token in self._reaching)
        start = 0
        while not whole and len(text) - start > part_chars:
            found = self._places.search(text, start + part_chars)
            if found is None:
                break
            yield start, text[start : found.start()]
            start = found.start()
        yield start, text[start:] if start else text


def is_local(layout: dict[str, Any]) -> bool:
    """Whether a tokenizer (its tokenizer.json) never joins or changes text over a space behind a visible character."""
    normalizers = parts_in(layout["normalizer"], "normalizers")
    splitters = parts_in(layout["pre_tokenizer"], "pretokenizers")
    return (
        bool(splitters)
        and all(part["type"] in _LOCAL_NORMALIZERS for part in normalizers)
        and all(_splits_locally(part, splitters[:number]) for number, part in enumerate(splitters))
        and not any(token["normalized"] and not token["special"] for token in layout["added_tokens"])
    )


def parts_in(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    """The leaves of a normaliser or pre-tokeniser, looking into sequences."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [leaf for each in part[inner] for leaf in parts_in(each, inner)]
    return [part]


def looks_around(token: dict[str, Any]) -> bool:
    """Whether an added token looks at what stands beside it, or takes spaces with it."""
    return bool(token["lstrip"] or token["rstrip"] or token["single_word"])


def _reaches(token: dict[str, Any]) -> bool:
    """Whether an added token may look over a place between two words."""
    content = token["content"]
    at_a_word = content[:1].isalnum() or content[-1:].isalnum()
    return re.search(r"\s", content) is not None or (looks_around(token) and at_a_word)


def _splits_locally(part: dict[str, Any], before: list[dict[str, Any]]) -> bool:
    kind = part["type"]
    if any(each["type"] in SPACE_SPLITTERS for each in before):  # it sees words, one at a time
        return part.get("prepend_scheme") != "first"
    if kind == "ByteLevel":
        return bool(part["use_regex"]) and not before
    if kind == "Split":
        return part["pattern"] == {"Regex": CHARACTER_WORDS} and not part["invert"] and not before
    return kind in SPACE_SPLITTERS
