"""Labels in config.json: id2label, label2id and problem_type, both ways."""

from collections.abc import Mapping
from typing import Any

from pretune.core.errors import InputError
from pretune.families.family import PROBLEMS, HeadSpec, Problem


def read_labels(hf: Mapping[str, Any], num_labels: int) -> tuple[str, ...]:
    """The names in order of a head with `num_labels` outputs; LABEL_0 ... where the file has none, as in transformers.

    >>> read_labels({"id2label": {"0": "no", "1": "yes"}}, 2)
    ('no', 'yes')
    """
    named = hf.get("id2label")
    if named is None:
        return tuple(f"LABEL_{number}" for number in range(num_labels))
    if not isinstance(named, Mapping):
        raise InputError(f"config.json: id2label is {named!r:.80}: expected an object")
    if not all(isinstance(label, str | int | float) for label in named.values()):
        raise InputError(f"config.json: id2label is {named!r:.80}: expected a name for each number")
    by_id = {str(number): str(label) for number, label in named.items()}
    if set(by_id) != {str(number) for number in range(num_labels)}:
        raise InputError(
            f"config.json: id2label names {str(sorted(by_id)):.80}, and the classifier has {num_labels} outputs"
        )
    return tuple(by_id[str(number)] for number in range(num_labels))


def read_problem(hf: Mapping[str, Any], num_labels: int) -> Problem:
    """problem_type; where the file has none, one output is a value and several are classes, as transformers guesses."""
    problem = hf.get("problem_type")
    if problem is None:
        return "regression" if num_labels == 1 else "single_label_classification"
    for known in PROBLEMS:
        if problem == known:
            return known
    raise InputError(f"config.json: problem_type is {problem!r:.60}: expected {', '.join(PROBLEMS)}")


def write_labels(spec: HeadSpec) -> dict[str, Any]:
    """The keys of config.json for a head with labels, and none for one without.

    >>> write_labels(HeadSpec("sequence", ("score",), problem="regression"))["label2id"]
    {'score': 0}
    """
    if not spec.labels:
        return {}
    found: dict[str, Any] = {
        "id2label": {str(number): label for number, label in enumerate(spec.labels)},
        "label2id": {label: number for number, label in enumerate(spec.labels)},
    }
    if spec.kind == "sequence":
        found["problem_type"] = spec.problem
    return found
