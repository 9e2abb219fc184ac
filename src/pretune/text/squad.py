"""SQuAD JSON, versions 1.1 and 2.0 (Rajpurkar et al. 2016; Rajpurkar, Jia and Liang 2018), to rows of questions.

The layout: {"version", "data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text",
"answer_start"}], "is_impossible"}]}]}]}. A row is a question, numbered from 1 through the file, which is where errors
say it stands, with its id: {"id", "title", "context", "question", "answers"}. Questions without `answers` (a test file)
are rows without them; with an empty list they have no answer in the context (2.0). Every answer is compared with the
text at its offset. `plausible_answers` are left out. The whole file is read at once, and is at most `MAX_BYTES`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError
from pretune.core.strict_json import half_surrogate, parse
from pretune.text.faults import Faults
from pretune.text.lines import open_bytes
from pretune.text.offsets import Answer, offset_problem

MAX_BYTES = 512 << 20
ADVICE = "write a table as JSONL, one object a line, and name it .jsonl; questions as SQuAD's files have them"

Row = dict[str, Any]


def read_squad(path: str | Path, faults: Faults) -> Iterator[tuple[int, Row]]:
    """(number, row) for each question. InputError for what is no SQuAD JSON; questions at fault are reported."""
    number = 0
    ids: set[Any] = set()
    for place, title, paragraph in _paragraphs(path, _tree(path)):
        context = paragraph.get("context")
        if not isinstance(context, str):
            raise _wrong(path, f"{place}.context is {_shown(context)}, not text")
        for index, question in enumerate(_objects(path, paragraph, "qas", place)):
            number += 1
            problem = _problem(question, context, ids)
            if problem is None:
                ids.add(question["id"])
                yield number, _row(question, context, title)
            else:
                reason, detail = problem
                name = f"{place}.qas[{index}]" if question.get("id") in (None, "") else question["id"]
                faults.report(path, number, reason, f"question {name!r:.80}: {detail}")


def _tree(path: str | Path) -> Mapping[str, Any]:
    with open_bytes(path) as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise _wrong(path, f"larger than {MAX_BYTES >> 20} MiB")
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(path, f"invalid UTF-8 at byte {error.start}") from error
    try:
        tree = parse(text)
        half = half_surrogate(text, tree)
    except ValueError as error:
        raise _wrong(path, str(error)) from error
    if half:
        raise _wrong(path, f"{half} is half a surrogate pair, not valid Unicode")
    if not isinstance(tree, dict):
        raise _wrong(path, f"it holds {_shown(tree)}, not an object")
    return tree


def _wrong(path: str | Path, what: str) -> InputError:
    return InputError(f"{path}: not SQuAD JSON ({what}): {ADVICE}")


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _objects(path: str | Path, holder: Mapping[str, Any], key: str, place: str) -> list[dict[str, Any]]:
    """The list of objects that stands under a key."""
    found = holder.get(key)
    if not isinstance(found, list):
        raise _wrong(path, f"{place}.{key} is {_shown(found)}, not a list".removeprefix("."))
    for index, each in enumerate(found):
        if not isinstance(each, dict):
            raise _wrong(path, f"{place}.{key}[{index}] is {_shown(each)}, not an object".removeprefix("."))
    return found


def _paragraphs(path: str | Path, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(place, title of its article, paragraph)."""
    for a, article in enumerate(_objects(path, tree, "data", "")):
        for p, paragraph in enumerate(_objects(path, article, "paragraphs", f"data[{a}]")):
            yield f"data[{a}].paragraphs[{p}]", article.get("title"), paragraph


def _problem(question: Mapping[str, Any], context: str, ids: set[Any]) -> tuple[str, str] | None:
    """(reason, detail) of the first thing wrong with a question."""
    number = question.get("id")
    if type(number) not in (str, int) or number == "":
        return "missing value", "it has no id"
    if number in ids:
        return "id twice", "another question has this id"
    if not isinstance(question.get("question"), str):
        return "wrong type", f"its question is {_shown(question.get('question'))}, not text"
    answers, impossible = question.get("answers"), question.get("is_impossible")
    if not isinstance(impossible, bool | None):
        return "wrong type", f"is_impossible is {impossible!r:.40}, not a truth value"
    if answers is not None and not isinstance(answers, list):
        return "wrong type", f"answers is {_shown(answers)}, not a list"
    if answers and impossible:
        return "answer contradicted", f"is_impossible, with {len(answers)} answers"
    if answers == [] and impossible is False:
        return "answer contradicted", "it is said to have an answer, and has none"
    return next(filter(None, (_answer_problem(answer, context) for answer in answers or ())), None)


def _answer_problem(answer: Any, context: str) -> tuple[str, str] | None:
    if not isinstance(answer, dict):
        return "wrong type", f"an answer is {_shown(answer)}, not an object"
    text, start = answer.get("text"), answer.get("answer_start")
    if not isinstance(text, str) or not text.strip():
        return "missing value", f"the text of an answer is {text!r:.40}"
    if type(start) is not int:
        return "wrong type", f"answer_start is {start!r:.40}, not a whole number"
    problem = offset_problem(context, Answer(text, start))
    return None if problem is None else ("answer not at its offset", problem)


def _row(question: Mapping[str, Any], context: str, title: Any) -> Row:
    row: Row = {"id": question["id"], "context": context, "question": question["question"]}
    if isinstance(title, str):
        row["title"] = title
    answers = [] if question.get("is_impossible") else question.get("answers")
    if answers is not None:
        row["answers"] = [{"text": answer["text"], "start": answer["answer_start"]} for answer in answers]
    return row
