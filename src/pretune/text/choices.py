"""Multiple choice: what a record asks, its choices and the right one, from any layout. Imports no torch.

Each choice is judged as one pair of texts. What the pair is made of follows whoever wrote the method down:

plain  {"text", "choices": [...], "label": index}             text | choice (Devlin et al. 2019, section 4.4)
       with a "question" in words besides                     text | question + choice (as RACE; a blank is a run of
       `_` that touches no letter or digit)
copa   {"premise", "choice1", "choice2", "question": "cause" or "effect", "label": 0 or 1}; also with "text" and
       "choices"       premise + the question in words | choice. The words are those of Roemmele et al. 2011, section 2
swag   sent1, sent2, ending0, ending1 ..., label (CSV; Zellers et al. 2018)     sent1 | sent2 + ending
       (Devlin et al. 2019, section 4.4: "the given sentence" and "a possible continuation")
race   {"article", "question", "options": [...], "answer": "A"} (Lai et al. 2017)    article | question + option; where
       the question has a blank, `_`, the option stands there (transformers' run_multiple_choice; Liu et al. 2019,
       section 5.3, put question and option together likewise)
arc    {"question": {"stem", "choices": [{"text", "label"}, ...]}, "answerKey": "C" or "3"} (Clark et al. 2018); also
       {"question": "...", "choices": {"text": [...], "label": [...]}, "answerKey"}       stem | choice

Which layout a record has is told by the columns it holds; one that fits none, or two, is an error that names the line.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretune.text.records import Record

ASKS = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}
"""COPA's questions in words."""
PLAIN = "give text, choices (a list) and label, or name the columns that hold them: columns.choices=NAME"


@dataclass(frozen=True)
class Choices:
    """layout: its name. text, seconds: the two texts of each choice's pair. texts: the choices as the file has them.
    label: the index of the right one; None where the file does not say."""

    layout: str
    text: str
    seconds: tuple[str, ...]
    texts: tuple[str, ...]
    label: int | None = None


def layout_of(record: Record) -> str:
    """The layout of a record. InputError where its columns are those of none, or of two.

    >>> layout_of(Record({"sent1": "She opens a door.", "sent2": "She", "ending0": "a", "ending1": "b", "label": "1"}))
    'swag'
    """
    found = [name for name, fits in _FITS.items() if fits(record)]
    if not found:
        has = ", ".join(map(repr, record)) or "nothing"
        raise record.error(f"no 'choices'; the record has {has}", PLAIN)
    if len(found) > 1:
        raise record.error(f"the columns of {' and of '.join(found)} at once", "leave those of one layout")
    return found[0]


def choices_of(record: Record, *, labelled: bool = True) -> Choices:
    """What a record asks. InputError for anything that is wrong, and for what is missing, the label apart. labelled:
    False where nobody needs the label: it is not looked at.

    >>> record = Record({"premise": "It rained.", "choice1": "I got wet.", "choice2": "I slept.", "question": "effect"})
    >>> choices_of(record).text
    'It rained. What happened as a result?'
    >>> choices_of(Record({"article": "A cat.", "question": "It is a _ .", "options": ["dog", "cat"], "answer": "B"}))
    Choices(layout='race', text='A cat.', seconds=('It is a dog .', 'It is a cat .'), texts=('dog', 'cat'), label=1)
    """
    if not labelled:
        kept = {name: value for name, value in record.items() if name not in ("label", "answer", "answerKey")}
        record = Record(kept, record.path, record.line)
    found = _READ[layout_of(record)](record)
    if len(found.texts) < 2:
        raise record.error(f"{len(found.texts)} choices: there is nothing to choose", "give at least two")
    for number, text in enumerate(found.texts):
        if not isinstance(text, str) or not text.strip():
            raise record.error(f"choice {number} is {text!r:.40}, not text", "write it as text")
    return found


def _plain(record: Record) -> Choices:
    texts, question = _list(record, "choices"), record.get("question")
    if isinstance(question, str) and question in ASKS:
        return _of_copa(record, "text", question, texts, _index(record, "label", len(texts)))
    text, label = _text(record, "text"), _index(record, "label", len(texts))
    if question is None:
        return Choices("plain", text, texts, texts, label)
    return Choices("plain", text, _answered(_text(record, "question"), texts, _LONE_BLANK), texts, label)


def _copa(record: Record) -> Choices:
    texts = (_text(record, "choice1"), _text(record, "choice2"))
    question = record.get("question")
    if not isinstance(question, str) or question not in ASKS:
        raise record.error(f"question is {question!r:.40}", "COPA asks for the cause or the effect")
    return _of_copa(record, "premise", question, texts, _index(record, "label", 2))


def _of_copa(record: Record, column: str, question: str, texts: tuple[str, ...], label: int | None) -> Choices:
    return Choices("copa", f"{_text(record, column).rstrip()} {ASKS[question]}", texts, texts, label)


def _swag(record: Record) -> Choices:
    names = sorted((name for name in record if re.fullmatch(r"ending\d+", name)), key=lambda name: int(name[6:]))
    if names != [f"ending{number}" for number in range(len(names))]:
        raise record.error(f"endings are {', '.join(names)}", "number them from ending0 without gaps")
    texts = tuple(_text(record, name) for name in names)
    start = _text(record, "sent2").rstrip()
    seconds = tuple(f"{start} {text}" if start else text for text in texts)
    return Choices("swag", _text(record, "sent1"), seconds, texts, _index(record, "label", len(texts)))


def _race(record: Record) -> Choices:
    texts = _list(record, "options")
    letters = [chr(ord("A") + number) for number in range(len(texts))]
    seconds = _answered(_text(record, "question"), texts, _BLANK)
    return Choices("race", _text(record, "article"), seconds, texts, _named(record, "answer", letters))


def _arc(record: Record) -> Choices:
    question = record.get("question")
    asked: Any = question if isinstance(question, Mapping) else {"stem": question, "choices": record.get("choices")}
    choices = asked.get("choices")
    if isinstance(choices, Mapping):
        texts, labels = choices.get("text"), choices.get("label")
    elif isinstance(choices, list) and all(isinstance(each, Mapping) for each in choices):
        texts, labels = [each.get("text") for each in choices], [each.get("label") for each in choices]
    else:
        texts = labels = None
    if not isinstance(texts, list) or not isinstance(labels, list) or len(texts) != len(labels):
        raise record.error("the choices of the question are no list of text and label", "write them as ARC's files do")
    if not isinstance(asked.get("stem"), str):
        raise record.error(f"the question's stem is {asked.get('stem')!r:.40}, not text", "write it as text")
    return Choices(
        "arc", asked["stem"], tuple(texts), tuple(texts), _named(record, "answerKey", list(map(str, labels)))
    )


_READ: Mapping[str, Callable[[Record], Choices]] = {
    "plain": _plain,
    "copa": _copa,
    "swag": _swag,
    "race": _race,
    "arc": _arc,
}
_FITS: Mapping[str, Callable[[Record], bool]] = {
    "plain": lambda record: "choices" in record and not isinstance(record["choices"], Mapping),
    "copa": lambda record: "choice1" in record,
    "swag": lambda record: "ending0" in record,
    "race": lambda record: "options" in record,
    "arc": lambda record: isinstance(record.get("question"), Mapping) or isinstance(record.get("choices"), Mapping),
}


_BLANK = re.compile("_+")
_LONE_BLANK = re.compile(r"(?<!\w)_+(?!\w)")
"""Not the underscore of a name such as my_var."""


def _answered(question: str, texts: Sequence[Any], blank: re.Pattern[str]) -> tuple[str, ...]:
    """The question with each choice in its blank, or behind it."""
    if blank.search(question):
        return tuple(blank.sub(lambda _, text=text: str(text), question, count=1) for text in texts)  # type: ignore[misc]
    return tuple(f"{question.rstrip()} {text}" for text in texts)


def _text(record: Record, column: str) -> str:
    value = record.get(column)
    if value is None:
        has = ", ".join(map(repr, record))
        raise record.error(f"no {column!r}; the record has {has}", f"fill it in, or name it: columns.{column}=NAME")
    if not isinstance(value, str):
        raise record.error(f"{column!r} is {type(value).__name__}, not text", "write it as text")
    return value


def _list(record: Record, column: str) -> tuple[str, ...]:
    value = record[column]
    if not isinstance(value, list):
        raise record.error(f"{column!r} is {type(value).__name__}, not a list of texts", 'write ["...", "..."]')
    return tuple(value)


def _index(record: Record, column: str, num_choices: int) -> int | None:
    """The index of the right choice, from 0; as a whole number or, in CSV, as one in digits."""
    value = record.get(column)
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number < num_choices:
        raise record.error(f"label {value!r:.40} is no index of {num_choices} choices", f"give 0 to {num_choices - 1}")
    return number


def _named(record: Record, column: str, names: Sequence[str]) -> int | None:
    """The index of the right choice, whose name stands in the column."""
    value = record.get(column)
    if value is None or value == "":
        return None
    if list(names).count(str(value)) != 1:
        raise record.error(f"{column} {value!r:.40} is not one of the choices {', '.join(names)}", "name one of them")
    return list(names).index(str(value))
