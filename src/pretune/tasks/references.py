"""The source of a record and its targets: one text, or a list of references, any of which would be right."""

from collections.abc import Sequence

from pretune.tasks.texts import text_of
from pretune.text.records import Record


def source_of(record: Record) -> str:
    """Its column `source`; of a record that has none, `text`, as a line of plain text has it. InputError where it is
    missing or no text."""
    return text_of(record, "text" if "source" not in record and "text" in record else "source")


def references_of(record: Record) -> list[str]:
    """At least one. InputError where the target is missing, empty, or no text.

    >>> references_of(Record({"target": "a cat"})), references_of(Record({"target": ["a cat", "one cat"]}))
    (['a cat'], ['a cat', 'one cat'])
    """
    value = record.get("target")
    todo = "fill it in, leave the record out, or name the column that holds it: columns.target=NAME"
    if value is None or value == "" or value == []:
        raise record.error("the target is missing", todo)
    found = value if isinstance(value, list) else [value]
    for one in found:
        if not isinstance(one, str):
            raise record.error(f"the target is {type(one).__name__}, not text", "write it as text, or a list of texts")
        if not one.strip():
            raise record.error("the target is empty", todo)
    return list(found)


def first_reference(record: Record) -> str:
    """The one that is trained on."""
    return references_of(record)[0]


def all_references(records: Sequence[Record]) -> list[list[str]]:
    """Of each record, without white space around them."""
    return [[one.strip() for one in references_of(record)] for record in records]
