"""Characters that betray a damaged text: wrong decoding (mojibake), replacement characters, control characters.

Mojibake is UTF-8 that was read as Windows-1252 or Latin-1 and saved again: "é" becomes "Ã©". A run of such characters
is taken for it when it is valid UTF-8 once its bytes are put back. Other mix-ups of encodings are not found.
"""

import re

_OF_CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
_CONTINUATION = "\u0080-\u00bf" + re.escape(_OF_CP1252)
_MOJIBAKE = re.compile(f"[\u00c2-\u00f4][{_CONTINUATION}]{{1,3}}")
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SAMARITAN = range(0x800, 0x900)
"""What a French "à" before a no-break space and a quote would be."""


def suspicion(text: str) -> str | None:
    """Why a text looks damaged, with the characters; None where it does not.

    >>> suspicion("cafÃ© au lait"), suspicion("caf\\ufffd"), suspicion("a\\x07b"), suspicion("café à la crème")
    ("mojibake 'Ã©', which should be 'é'", 'a replacement character (U+FFFD)', 'a control character (U+0007)', None)
    """
    if not text.isascii():
        if "\ufffd" in text:
            return "a replacement character (U+FFFD)"
        for found in _MOJIBAKE.finditer(text):
            if meant := _put_back(found.group()):
                return f"mojibake {found.group()!r}, which should be {meant!r}"
    if control := _CONTROL.search(text):
        return f"a control character (U+{ord(control.group()):04X})"
    return None


def kind_of(reason: str) -> str:
    """The kind of finding of a reason.

    >>> kind_of("mojibake 'Ã©', which should be 'é'"), kind_of("a control character (U+0007)")
    ('mojibake', 'control character')
    """
    return next(kind for kind in ("mojibake", "replacement character", "control character") if kind in reason)


def _put_back(run: str) -> str | None:
    """The character whose UTF-8 bytes a run's beginning is; None where it is not UTF-8."""
    for end in range(len(run), 1, -1):
        try:
            meant = b"".join(map(_byte, run[:end])).decode("utf-8")
        except ValueError:
            continue
        return None if ord(meant[0]) in _SAMARITAN else meant
    return None


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
