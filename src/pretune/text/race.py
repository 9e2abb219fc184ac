"""RACE's articles with their questions (Lai et al. 2017) to a row a question.

The layout: {"id", "article", "questions": [...], "options": [[...], ...], "answers": ["A", ...]}, one object a file,
the files (named .txt) in a folder for each part of the data set, or one object a line.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError
from pretune.core.strict_json import read_object
from pretune.text.faults import Faults

MAX_BYTES = 1 << 20
Row = dict[str, Any]


def is_article(row: Mapping[str, Any]) -> bool:
    """Whether a row is a whole article.

    >>> is_article({"article": "A cat.", "questions": [], "options": []})
    True
    """
    return {"article", "questions", "options"} <= row.keys()


def questions_of(row: Mapping[str, Any]) -> list[Row]:
    """A row for each question. ValueError where there are not as many options (and answers) as questions.

    >>> questions_of({"id": "1", "article": "A", "questions": ["B"], "options": [["C", "D"]], "answers": ["A"]})
    [{'id': '1', 'article': 'A', 'question': 'B', 'options': ['C', 'D'], 'answer': 'A'}]
    """
    columns = {"question": row["questions"], "options": row["options"]}
    columns |= {"answer": row["answers"]} if row.get("answers") is not None else {}
    for name, values in columns.items():
        if not isinstance(values, list) or len(values) != len(columns["question"]):
            raise ValueError(f"{name}: there is not one for each question")
    kept = {name: row[name] for name in ("id", "article") if name in row}
    return [kept | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def article_files(folder: Path) -> list[Path]:
    """The articles below a folder, by name. InputError where there is none."""
    found = sorted(path for path in folder.rglob("*.txt") if path.is_file())
    if not found:
        raise InputError(f"{folder}: a directory without .txt files: name a file, or a part of RACE as it is published")
    return found


def read_article(path: Path, faults: Faults) -> Iterator[tuple[int, Row]]:
    """(number from 1, row) for each question of an article's file."""
    try:
        tree = read_object(path, "name a part of RACE as it is published", MAX_BYTES)
        if not is_article(tree):
            raise ValueError("no article, questions and options in it")
        yield from enumerate(questions_of(tree), 1)
    except ValueError as error:
        faults.report(path, 1, "wrong type", str(error))
