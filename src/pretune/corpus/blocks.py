"""Files to blocks of text of about a million characters, with a hash of each document.

Where blocks begin and end depends on the files alone, not on who encodes them. A document of more than a part
(`text.documents.PART_CHARS`) is cut at a line's end; a line of more than two parts is cut before a space, or, in a run
of that length without one, in the middle. A sentence ends at such a cut.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pretune.corpus.encode import Unit
from pretune.text.documents import PART_CHARS, Part

BLOCK_CHARS = 1 << 20


@dataclass
class Block:
    """Units to encode. ends: for each unit, the hash of its document if the document ends with it, else None."""

    units: list[Unit] = field(default_factory=list)
    ends: list[int | None] = field(default_factory=list)
    num_chars: int = 0
    num_bytes: int = 0


def read_blocks(parts: Iterable[Part], block_chars: int = BLOCK_CHARS) -> Iterator[Block]:
    """The parts of documents in blocks. A document's hash covers all of its text: equal documents have equal hashes."""
    block, digest = Block(), hashlib.blake2b(digest_size=8)
    starts = True
    for part in parts:
        data = part.text.encode("utf-8", "surrogatepass")
        digest.update(data)
        block.num_bytes += len(data)
        cuts = list(cut_long(part.text))
        for number, text in enumerate(cuts, 1):
            last = number == len(cuts)
            block.units.append(Unit(text, starts))
            block.ends.append(int.from_bytes(digest.digest(), "little") if last and part.ends else None)
            block.num_chars += len(text)
            starts = last and part.ends
            if block.num_chars >= block_chars:
                yield block
                block = Block()
        if part.ends:
            digest = hashlib.blake2b(digest_size=8)
    if block.units:
        yield block


def cut_long(text: str, limit: int = 2 * PART_CHARS) -> Iterator[str]:
    """The text in pieces of at most `limit` characters that join to it, cut before the last space if there is one."""
    start = 0
    while len(text) - start > limit:
        end = text.rfind(" ", start + 1, start + limit)
        while end > start and text[end - 1].isspace():
            end -= 1
        end = end if end > start else start + limit
        yield text[start:end]
        start = end
    yield text[start:] if start else text
