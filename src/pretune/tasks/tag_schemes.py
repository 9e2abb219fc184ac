"""Records whose tags mark spans: tags of no scheme are errors, those that stand where it forbids it are counted."""

from collections.abc import Sequence

from pretune.core.errors import InputError
from pretune.metrics.schemes import LETTERS, Scheme, faults
from pretune.metrics.spans import parse
from pretune.tasks.sentences import tags_of
from pretune.text.records import Record


def check_tags(tags: Sequence[str], scheme: str, record: Record) -> None:
    """InputError for what is no span's tag, and for a letter that the scheme, if it is told, does not have."""
    for tag in tags:
        try:
            parse(tag)
        except InputError as error:
            raise record.error(f"tag {tag!r} is not a span tag", "write O, or B-TYPE and I-TYPE") from error
        if tag[0] not in LETTERS.get(scheme, tag[0]):
            letters = ", ".join(LETTERS[scheme])
            raise record.error(f"tag {tag!r} is not of the scheme {scheme}", f"its letters are {letters}")


def scheme_remarks(records: Sequence[Record], scheme: Scheme) -> list[str]:
    """A sentence that counts the tags that stand where the scheme forbids it, and names the first; [] where none does.

    >>> scheme_remarks([Record({"words": ["in", "Rome"], "tags": ["O", "I-LOC"]}, "dev.conll", 7)], "bio")
    ['1 tags of 1 sentences (first dev.conll:7) stand where bio forbids it: spans are read as conlleval reads them.']
    """
    wrong = [(len(places), record) for record in records if (places := faults(tags_of(record), scheme))]
    if not wrong:
        return []
    number, first = sum(places for places, _ in wrong), wrong[0][1]
    return [
        f"{number:,} tags of {len(wrong):,} sentences (first {first.path}:{first.line}) stand where {scheme} forbids "
        "it: spans are read as conlleval reads them."
    ]
