"""Tag schemes of spans: how letters before a type mark where spans begin and end, what may follow what, conversion.

plain   names that mark no spans (parts of speech)
iob1    every tag of a span is I-, but B- where it follows a span of the same type (Ramshaw and Marcus 1995; CoNLL-2003)
bio     the first tag of every span is B- (IOB2; Tjong Kim Sang and Veenstra 1999)
bioes   as bio, the last tag is E-, a span of one word S- (IOBES; Ratinov and Roth 2009 on what it gains)
bilou   bioes with other letters: L- for E-, U- for S-

`detect` tells them apart by training tags. Letters first: tags that are not all O or letter-type are plain, E- or S- is
bioes, L- or U- is bilou. What has only B- and I- is iob1 or bio, whichever fewer tags break; no file with a span keeps
both, since the first tag of a span on its own is B- in one and I- in the other; where both are broken alike it is bio.

A sequence that breaks its scheme is read as `conlleval` reads it (`spans.py`); whoever converts counts its `faults`.
Not here: IOE (E- in place of B-), suffixes (PER-B), tags without a type where no scheme is named.

>>> rewritten(["I-PER", "I-PER", "B-PER", "O"], "bioes")
['B-PER', 'E-PER', 'S-PER', 'O']
>>> rewritten(["B-PER", "L-PER", "U-PER", "O"], "iob1")
['I-PER', 'I-PER', 'B-PER', 'O']
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError
from pretune.metrics.spans import Span, Tags, parse, spans

Scheme = Literal["plain", "iob1", "bio", "bioes", "bilou"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
LETTERS = {"iob1": "IOB", "bio": "BIO", "bioes": "BIOES", "bilou": "BILOU"}


def marks_spans(labels: Iterable[str]) -> bool:
    """Whether all tags are O or a letter and a type, and one at least is of a span.

    >>> marks_spans(["B-PER", "I-PER", "O"]), marks_spans(["ADJ", "NOUN"]), marks_spans(["O", "X"])
    (True, False, False)
    """
    found = [bool(re.fullmatch(r"[BIESLU]-.+", label)) for label in labels if label != "O"]
    return bool(found) and all(found)


def detect(sentences: Iterable[Tags]) -> Scheme:
    """The scheme of training tags, by the rules at the top. InputError for letters of bioes and bilou side by side.

    >>> detect([["I-PER", "O", "I-LOC"]]), detect([["B-PER", "O", "B-LOC"]]), detect([["DET", "NOUN"]])
    ('iob1', 'bio', 'plain')
    """
    held = [list(tags) for tags in sentences]
    labels = {tag for tags in held for tag in tags}
    if not marks_spans(labels):
        return "plain"
    letters = {label[0] for label in labels}
    if letters & set("ES") and letters & set("LU"):
        raise InputError(
            f"the tags have letters of BIOES and of BILOU side by side ({', '.join(sorted(letters))}): write them in "
            f"one scheme, or say task.scheme=plain if they mark no spans"
        )
    if letters & set("ESLU"):
        return "bilou" if letters & set("LU") else "bioes"
    candidates: tuple[Scheme, ...] = ("bio", "iob1")
    return min(candidates, key=lambda scheme: sum(len(faults(tags, scheme)) for tags in held))


def scheme_of_labels(labels: Iterable[str]) -> Scheme:
    """The scheme that names alone suggest, of a model that does not say it: without B-, I- alone can only be iob1."""
    held = list(labels)
    if not marks_spans(held):
        return "plain"
    letters = {label[0] for label in held}
    if letters & set("ESLU"):
        return "bilou" if letters & set("LU") else "bioes"
    return "bio" if "B" in letters else "iob1"


def follows(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Whether a tag may stand after another; None is the edge of the sentence.

    >>> follows(None, "I-X", "bio"), follows(None, "I-X", "iob1"), follows("B-X", None, "bioes")
    (False, True, False)
    """
    (a, a_type), (b, b_type) = (("O", "") if tag is None else parse(tag) for tag in (before, after))
    in_span = a in "BI" and a_type == b_type
    if scheme == "plain":
        return True
    if scheme == "bio":
        return b != "I" or in_span
    if scheme == "iob1":
        return b != "B" or in_span
    return b in "IE" and in_span if a in "BI" else b in "OBS"


def faults(tags: Tags, scheme: Scheme) -> list[int]:
    """Places of the tags that may not stand where they do; the last one's where the sentence may not end behind it."""
    if scheme == "plain" or not len(tags):
        return []
    found = [place for place, pair in enumerate(zip([None, *tags], tags, strict=False)) if not follows(*pair, scheme)]
    if not follows(tags[-1], None, scheme):
        found.append(len(tags) - 1)
    return sorted(set(found))


def legal_transitions(labels: Sequence[str], scheme: Scheme) -> NDArray[np.bool_]:
    """[C + 1, C + 1]: may the tag of the column follow that of the row? The last row and column are the edge.

    InputError where the labels allow no sentence of some length: one must be legal by itself and after itself.

    >>> legal_transitions(["B-X", "I-X", "O"], "bio").astype(int).tolist()
    [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 1, 1]]
    """
    names = [*labels, None]
    legal = np.array([[follows(before, after, scheme) for after in names] for before in names])
    if not np.any(legal[-1, :-1] & legal[:-1, -1] & np.diag(legal)[:-1]):
        raise InputError(
            f"no legal {scheme} sequence of one word can be made of the tags {', '.join(labels[:10])}: "
            "one more is needed, O for example"
        )
    return legal


def rewritten(tags: Tags, scheme: Scheme) -> list[str]:
    """The same spans in a scheme; tags may be of any scheme, and what breaks it is read as `conlleval` does.

    InputError for a tag that is no span's.
    """
    return encode(spans(tags), len(tags), scheme)


def encode(found: Sequence[Span], num_words: int, scheme: Scheme) -> list[str]:
    """The tags of a sentence with these spans, which do not overlap. A type `_` has bare letters."""
    tags = ["O"] * num_words
    last: Span | None = None
    for kind, start, end in sorted(found, key=lambda span: span[1]):
        touches = last is not None and last[0] == kind and last[2] == start
        for place in range(start, end):
            letter = _letter(place - start, end - start, touches, scheme)
            tags[place] = letter if kind == "_" else f"{letter}-{kind}"
        last = (kind, start, end)
    return tags


def _letter(place: int, length: int, touches: bool, scheme: Scheme) -> str:
    """The letter of a span's place-th word; touches: a span of the same type ends just before this one."""
    if scheme == "plain":
        raise ValueError("plain tags mark no spans")
    if scheme == "iob1":
        return "B" if touches and place == 0 else "I"
    if scheme in ("bioes", "bilou") and place == length - 1:
        single, last = ("S", "E") if scheme == "bioes" else ("U", "L")
        return single if length == 1 else last
    return "B" if place == 0 else "I"


def strict_spans(tags: Tags, scheme: Scheme) -> list[Span]:
    """The spans that keep the scheme, others left out: what seqeval's `mode="strict"` reads.

    InputError for a tag whose letter the scheme does not have.

    >>> strict_spans(["I-PER", "O", "B-LOC", "I-LOC"], "bio"), strict_spans(["B-LOC", "O", "S-PER"], "bioes")
    ([('LOC', 2, 4)], [('PER', 2, 3)])
    """
    for tag in tags:
        if scheme == "plain" or tag[:1] not in LETTERS[scheme]:
            raise InputError(f"tag {tag!r} is none of {scheme}: strict scores need one scheme throughout")
    parsed = [*map(parse, tags), ("O", "")]
    found: list[Span] = []
    place, before = 0, ("O", "")
    while place < len(parsed) - 1:
        start, kind = place, parsed[place][1]
        place += 1
        if _starts(before, parsed[start], scheme):
            while _continues(parsed[place - 1], parsed[place], scheme):
                place += 1
            if _ends(parsed[place - 1], parsed[place], scheme):
                found.append((kind, start, place))
        before = parsed[place - 1]
    return found


Parsed = tuple[str, str]


def _starts(before: Parsed, tag: Parsed, scheme: Scheme) -> bool:
    if scheme != "iob1":
        return tag[0] in "BS"
    same = before[1] == tag[1]
    if tag[0] == "B":
        return before[0] in "BI" and same
    return tag[0] == "I" and (before[0] in "OB" or not same)


def _continues(before: Parsed, tag: Parsed, scheme: Scheme) -> bool:
    return before[0] in "BI" and tag[0] in "IE" and before[1] == tag[1]


def _ends(last: Parsed, after: Parsed, scheme: Scheme) -> bool:
    if scheme in ("bioes", "bilou"):
        return last[0] in "ES"
    if scheme == "iob1" and last[0] == "B" and after[0] == "B":
        return last[1] == after[1]  # as seqeval has it: B-X before B-Y separates nothing
    return True
