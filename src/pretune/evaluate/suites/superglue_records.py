"""The items of SuperGLUE as records of our tasks: an object of its files to a record, or to several.

BoolQ, CB, RTE, AX-b, AX-g  pairs of texts (pair)
WiC      a pair of sentences, the word in quotation marks in both, as GlossBERT marks it (Huang et al. 2019)
WSC      the text, * around the noun * and # around the pronoun # (Raffel et al. 2020; `wsc` of T5's preprocessors) |
         "he refers to Mark", a hypothesis as WNLI makes one of such items (pair)
MultiRC  a pair an answer: passage | question + answer (pair), judged by itself, grouped again to be scored
ReCoRD   a record a query: passage | query with an entity in its blank, for each entity (choose)
COPA     as it is published (choose)

Wang et al. 2019 read the vectors of marked spans in WiC and WSC where we mark the text, and judge each
entity of ReCoRD by itself where we choose among them. Markup goes as T5's preprocessors take it out: `<b>`, `<br>` of
MultiRC's passages, `@highlight` of ReCoRD's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pretune.evaluate.suites.layouts import Role, named_label
from pretune.tasks.task import Prediction
from pretune.text.records import Record

AS_PUBLISHED = "expected the set as super.gluebenchmark.com publishes it (version 2): fetch the file again"
TRUTH = {"false": "false", "true": "true"}
PLACEHOLDER = "@placeholder"
Convert = Callable[[Record, Role], list[Record]]


def pairs(text: str, text_b: str, labels: Sequence[str]) -> Convert:
    """text, text_b: the keys of the two texts. labels: those that are published."""

    def convert(row: Record, role: Role) -> list[Record]:
        return [
            _record(
                row,
                role,
                {"text": _text(row, text), "text_b": _text(row, text_b)},
                dict(zip(labels, labels, strict=True)),
            )
        ]

    return convert


def wic(row: Record, role: Role) -> list[Record]:
    texts = [
        _quoted(row, _text(row, f"sentence{n}"), _number(row, f"start{n}"), _number(row, f"end{n}")) for n in (1, 2)
    ]
    return [_record(row, role, {"text": texts[0], "text_b": texts[1]}, TRUTH)]


def wsc(row: Record, role: Role) -> list[Record]:
    text, target = _text(row, "text"), _inner(row, row, "target", dict)
    places = []
    for n, mark in ((1, "*"), (2, "#")):
        span = _inner(row, target, f"span{n}_text", str).strip()
        start = _place_of(row, text, span, _inner(row, target, f"span{n}_index", int))
        places.append((start, start + len(span), mark))
    (_, first_end, _), (second_start, _, _) = sorted(places)
    if second_start < first_end:
        raise row.error("the noun and the pronoun overlap", AS_PUBLISHED)
    noun, pronoun = (text[start:end] for start, end, _ in places)
    for start, end, mark in sorted(places, reverse=True):
        text = f"{text[:start]}{mark} {text[start:end]} {mark}{text[end:]}"
    return [_record(row, role, {"text": text, "text_b": f"{pronoun} refers to {noun}"}, TRUTH)]


def copa(row: Record, role: Role) -> list[Record]:
    texts = {name: _text(row, name) for name in ("premise", "choice1", "choice2", "question")}
    found = _record(row, role, texts, {"0": "0", "1": "1"})
    if role != "submitted":
        found["label"] = int(found["label"])
    return [found]


def multirc(row: Record, role: Role) -> list[Record]:
    """idx: of the passage, the question and the answer."""
    passage = _inner(row, row, "passage", dict)
    text = re.sub(r"</?b>", "", re.sub(r"<br\s*/?>", " ", _inner(row, passage, "text", str)))
    found = []
    for question in _inner(row, passage, "questions", list):
        for answer in _inner(row, question, "answers", list):
            asked = f"{_inner(row, question, 'question', str)} {_inner(row, answer, 'text', str)}"
            idx = [_inner(row, one, "idx", int) for one in (row, question, answer)]
            record = Record({"text": text, "text_b": asked, "idx": idx}, row.path, row.line)
            if role != "submitted":
                record["label"] = named_label(row, _label(row, answer), {"0": "false", "1": "true"})
            found.append(record)
    return found


def record_queries(row: Record, role: Role) -> list[Record]:
    """text: the passage. choices: the query for each entity; entities: their texts; answers: the gold ones. idx: of the
    query. To learn from, other gold entities than the first are left out, so that one choice is right; where no wrong
    one is left, the query with its blank open stands as one. `entity_of` never takes that."""
    passage = _inner(row, row, "passage", dict)
    text = _inner(row, passage, "text", str)
    entities = list(dict.fromkeys(_entity(row, text, one) for one in _inner(row, passage, "entities", list)))
    if not entities:
        raise row.error("the passage has no entities", AS_PUBLISHED)
    text = re.sub(r"\n@highlight\n", ". ", re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", text))
    return [_query(row, role, text, entities, asked) for asked in _inner(row, row, "qas", list)]


def entity_of(prediction: Prediction, record: Record) -> str:
    """The entity that was chosen: the most probable one, or the choice where there are no probabilities."""
    entities: list[str] = record["entities"]
    scores = prediction.get("scores")
    best = prediction["choice"] if scores is None else max(range(len(entities)), key=scores.__getitem__)
    return entities[best] if best < len(entities) else ""


def check_minimal_pairs(records: Sequence[Record]) -> None:
    """AX-g: lines 1 and 2, 3 and 4 ... differ in the pronoun's gender alone, so they have one hypothesis."""
    if len(records) % 2:
        raise records[-1].error("the last line has no other of its minimal pair", AS_PUBLISHED)
    for first, second in zip(records[::2], records[1::2], strict=True):
        if first["text_b"] != second["text_b"]:
            raise second.error("another hypothesis than the line before, whose minimal pair it is", AS_PUBLISHED)


def _query(row: Record, role: Role, text: str, entities: list[str], asked: Any) -> Record:
    query, idx = _inner(row, asked, "query", str), _inner(row, asked, "idx", int)
    if PLACEHOLDER not in query:
        raise row.error(f"query {idx} has no {PLACEHOLDER}", AS_PUBLISHED)
    found = Record({"text": text, "idx": idx}, row.path, row.line)
    if role != "submitted":
        found["answers"] = list(
            dict.fromkeys(_inner(row, one, "text", str) for one in _inner(row, asked, "answers", list))
        )
        golds = [entity for entity in entities if entity in found["answers"]]
        if not golds:
            raise row.error(f"no answer of query {idx} is an entity of its passage", AS_PUBLISHED)
        if role == "train":
            entities = [entity for entity in entities if entity == golds[0] or entity not in golds]
        found["label"] = entities.index(golds[0])
    choices = [query.replace(PLACEHOLDER, entity) for entity in entities]
    return Record(found | {"entities": entities, "choices": choices + [query] * (len(choices) < 2)}, row.path, row.line)


def _entity(row: Record, text: str, place: Any) -> str:
    """The text of an entity; the published end is its last character."""
    start, last = _inner(row, place, "start", int), _inner(row, place, "end", int)
    if not 0 <= start <= last < len(text):
        raise row.error(f"an entity is at {start} to {last} of {len(text)} characters", AS_PUBLISHED)
    return text[start : last + 1]


def _quoted(row: Record, text: str, start: int, end: int) -> str:
    if not 0 <= start < end <= len(text):
        raise row.error(f"the word is at {start} to {end} of {len(text)} characters", AS_PUBLISHED)
    return f'{text[:start]}"{text[start:end]}"{text[end:]}'


def _place_of(row: Record, text: str, span: str, word: int) -> int:
    """The character at which a span starts whose first word has this number, counted at white space. Some numbers of
    the published files are off; then the nearest place where the span stands as whole words is taken."""
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    if span and 0 <= word < len(starts) and text[starts[word] :].lower().startswith(span.lower()):
        return starts[word]
    places = (
        [found.start() for found in re.finditer(rf"(?<!\w){re.escape(span)}(?!\w)", text, re.IGNORECASE)]
        if span
        else []
    )
    if not places:
        raise row.error(f"{span!r:.60} stands nowhere in the text", AS_PUBLISHED)
    said = starts[min(max(word, 0), len(starts) - 1)]
    return min(places, key=lambda place: abs(place - said))


def _record(row: Record, role: Role, values: Mapping[str, Any], labels: Mapping[str, str]) -> Record:
    """A record of these values, with its idx and, unless it is to be answered, its label's name."""
    found = Record({**values, "idx": _number(row, "idx")}, row.path, row.line)
    if role != "submitted":
        label = _label(row, row)
        found["label"] = named_label(
            row, label.lower() if labels is TRUTH and isinstance(label, str) else label, labels
        )
    return found


def _label(row: Record, holder: Mapping[str, Any]) -> Any:
    if holder.get("label") is None:
        raise row.error("the label is missing", AS_PUBLISHED)
    return holder["label"]


def _text(row: Record, name: str) -> str:
    return str(_inner(row, row, name, str))


def _number(row: Record, name: str) -> int:
    return int(_inner(row, row, name, int))


def _inner(row: Record, holder: Any, name: str, kind: type) -> Any:
    """What an object of the row holds under a name. InputError where it is missing or of another type."""
    value = holder.get(name) if isinstance(holder, Mapping) else None
    if type(value) is kind:
        return value
    if value is None:
        raise row.error(f"no {name!r}", AS_PUBLISHED)
    raise row.error(f"{name!r} is {value!r:.40}, not {kind.__name__}", AS_PUBLISHED)
