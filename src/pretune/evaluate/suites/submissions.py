"""Files of answers as servers and official scorers read them: predictions for records to the text of a file.

GLUE: a table of index and prediction. SuperGLUE: an object a line, {"idx", "label"}, with labels as the toolkit of its
authors writes them (nyu-mll/jiant 1, jiant/evaluate.py): "true" or "false" for BoolQ and WiC, "True" or "False" for
WSC, 0 or 1 for COPA and for the answers of MultiRC, the entity's text for ReCoRD. SQuAD: {id: answer}, and for 2.0 the
probability that there is none, which evaluate-v2.0.py takes as --na-prob-file.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pretune.evaluate.suites.suite import Writer
from pretune.evaluate.suites.superglue_records import entity_of
from pretune.tasks.task import Prediction
from pretune.text.records import Record


def glue_table(labels: Mapping[str, str]) -> Writer:
    """labels: as published -> name, as the part's layout has them; the server wants the published ones."""
    theirs = {name: label for label, name in labels.items()}

    def write(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
        shown = [
            f"{one['value']:.4f}" if "value" in one else theirs.get(one["label"], one["label"]) for one in predictions
        ]
        return "\n".join(["index\tprediction", *(f"{n}\t{label}" for n, label in enumerate(shown))]) + "\n"

    return write


def superglue_lines(label: Callable[[Prediction], Any]) -> Writer:
    """label: what the server wants for a prediction."""

    def write(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
        pairs = zip(predictions, records, strict=True)
        return _lines({"idx": record["idx"], "label": label(one)} for one, record in pairs)

    return write


def multirc_lines(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
    """An object a passage, with its questions and their answers."""
    passages: dict[int, dict[int, list[dict[str, int]]]] = {}
    for one, record in zip(predictions, records, strict=True):
        passage, question, answer = record["idx"]
        answers = passages.setdefault(passage, {}).setdefault(question, [])
        answers.append({"idx": answer, "label": int(one["label"] == "true")})
    return _lines(
        {"idx": passage, "passage": {"questions": [{"idx": idx, "answers": found} for idx, found in questions.items()]}}
        for passage, questions in passages.items()
    )


def record_lines(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
    """An object a query, with the entity that was chosen."""
    pairs = zip(predictions, records, strict=True)
    return _lines({"idx": record["idx"], "label": entity_of(one, record)} for one, record in pairs)


def squad_answers(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
    """{id: answer}; an empty one where none is given."""
    return json.dumps({one["id"]: one["answer"] for one in predictions}, ensure_ascii=False, indent=1) + "\n"


def no_answer_probabilities(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
    """{id: the probability that there is no answer, against the best one}: the logistic function of the difference of
    their scores, so it stays in order and below the scorer's default threshold of 1, which then changes nothing."""
    return json.dumps({one["id"]: _logistic(one.get("null_odds", -math.inf)) for one in predictions}, indent=1) + "\n"


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else 1 - 1 / (1 + math.exp(odds))


def _lines(objects: Any) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
