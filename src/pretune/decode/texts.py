"""What was written as text: whole, or piece by piece as it comes."""

import re
from collections.abc import Iterator, Sequence

from pretune.tokenizers.tokenizer import Tokenizer

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a decoder of bytes makes of a character that is not whole yet."""

BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A piece of one byte, as SentencePiece writes what it has no other piece for."""


def text_after(tokenizer: Tokenizer, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text of ids that stand behind others, with the space that joins them; special tokens are left out.

    A decoder may treat a text's first piece as no other: SentencePiece drops its space, WordPiece writes "##s" where it
    has nothing to join. So both are decoded together. Where what stands before reads otherwise together with what
    follows (a character that only the next byte completes), the ids are decoded alone. An id above the tokenizer's (a
    model may have more rows than there are pieces) has no text, as in transformers.
    """
    ids = [number for number in ids if number < tokenizer.vocab.size]
    head, both = tokenizer.decode(before), tokenizer.decode([*before, *ids])
    return both[len(head) :] if both.startswith(head) else tokenizer.decode(ids)


def closed(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """How many of the ids have a text that stays, whatever follows: all but the last ones if they are single bytes.

    Bytes in a row are read together: one that does not fit makes all of them U+FFFD, those before it too. Ids without
    a text do not part them.
    """
    return next((place for place in range(len(ids), 0, -1) if _closes(tokenizer, ids[place - 1])), 0)


def _closes(tokenizer: Tokenizer, number: int) -> bool:
    if number >= tokenizer.vocab.size or tokenizer.vocab.is_special_V[number]:
        return False
    piece = tokenizer.backend.id_to_token(number)
    return piece is not None and not BYTE.fullmatch(piece)


def cut_at(text: str, stop_strings: Sequence[str]) -> str:
    """The text before the first of the stop strings.

    >>> cut_at("yes. no", [". ", "o"])
    'yes'
    """
    found = [place for stop in stop_strings if (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def as_it_comes(texts: Iterator[str], stop_strings: Sequence[str] = ()) -> Iterator[str]:
    """Growing texts to the parts they grow by, which joined are the last text before its first stop string.

    Held back until the end, or until more shows what it is: characters whose bytes are not all there, and what may be
    the beginning of a stop string.

    >>> list(as_it_comes(iter(["a", "ab", "ab<", "ab<end"]), ["<end"]))
    ['a', 'b']
    """
    told, last = 0, ""
    for text in texts:
        last = cut_at(text, stop_strings)
        held = last.rstrip(UNFINISHED) if last == text else last
        safe = len(held) - max((_beginning(held, stop) for stop in stop_strings), default=0)
        if last != text:
            break
        if safe > told:
            yield held[told:safe]
            told = safe
    if len(last) > told:
        yield last[told:]


def _beginning(text: str, stop: str) -> int:
    """How many last characters of the text are the first of the stop string."""
    return next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)
