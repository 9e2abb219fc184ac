"""A suite: labelled sets under one name, each with its task, its official metrics and the layout it is published in.

A part is read from local files, in its published layout or with pretune's own columns (`text`, `text_b`, `label` in
the header); nothing is fetched. A file that is missing is said with the place it is published at, and the other parts
still run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError
from pretune.text.faults import Faults
from pretune.text.lines import read_lines
from pretune.text.records import Record, read_records

OWN_COLUMNS = {"text", "label"}
ENDINGS = ("", ".gz", ".zst")


@dataclass(frozen=True)
class Part:
    """One labelled set.

    metrics: the official ones, the main one first; the part's score is their mean over the files that are scored.
    train, valid: names of the file under the data directory, tried in order; without `valid` nothing is selected, the
    last weights are scored. scored: {what it is called: names} of the labelled files that give the score.
    submitted: {file of the answers the server wants: names of the unlabelled file}.
    columns: our names -> the published header's; numbers from 1 where the labelled files have none (`header=False`).
    unlabelled: the same for the files the server wants, where it differs. labels: as published -> name.
    format: tsv, or conll for columns of words and tags. settings: of the fine-tuning run.
    """

    name: str
    task: str
    metrics: tuple[str, ...]
    train: tuple[str, ...]
    scored: Mapping[str, tuple[str, ...]]
    published: str
    valid: tuple[str, ...] = ()
    submitted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    format: str = "tsv"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def server_label(self, prediction: Mapping[str, Any]) -> str:
        """What the server expects for a prediction."""
        if "value" in prediction:
            return f"{prediction['value']:.4f}"
        theirs = {name: label for label, name in self.labels.items()}
        label: str = prediction["label"]
        return theirs.get(label, label)


@dataclass(frozen=True)
class Suite:
    """Parts in their customary order, and how their scores become one figure: the mean of the parts' scores.

    source: who defined it.
    """

    name: str
    source: str
    parts: tuple[Part, ...]


def find(data: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the files that is there, plain or compressed."""
    candidates = (data / f"{name}{ending}" for name in names for ending in ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def missing(part: Part, data: Path) -> str | None:
    """Says which of the part's labelled files are not there and where they are published; None where all are."""
    files = [part.train, *part.scored.values(), *([part.valid] if part.valid else [])]
    gaps = [" or ".join(str(data / name) for name in names) for names in files if find(data, names) is None]
    return f"{part.name}: no {', '.join(gaps)}; published at {part.published}" if gaps else None


def read_part(part: Part, path: Path, *, labelled: bool = True) -> list[Record]:
    """The records of one of a part's files, with our columns and the labels' names. InputError names file and line."""
    if part.format != "tsv":
        return read_records(path, part.columns, format=part.format)
    first = next((line for _, line in read_lines(path, Faults("raise")) if line is not None), "")
    names = set(first.split("\t"))
    if names >= OWN_COLUMNS:
        return read_records(path, format="tsv")
    if labelled and not part.header:
        return list(_numbered(part, path))
    columns = part.columns if labelled else part.unlabelled or part.columns
    columns = {name: column for name, column in columns.items() if labelled or name != "label"}
    if absent := sorted(set(columns.values()) - names):
        expected = f"expected {part.name} as published, or the columns text and label"
        raise InputError(f"{path}:1: no column {', '.join(absent)}: {expected}")
    records = read_records(path, columns, format="tsv")
    return [_named(part, record) for record in records] if labelled else records


def _numbered(part: Part, path: Path) -> Iterator[Record]:
    last = max(int(column) for column in part.columns.values())
    for number, line in read_lines(path, Faults("raise")):
        cells = (line or "").split("\t")
        record = Record({}, str(path), number)
        if len(cells) < last:
            raise record.error(f"{len(cells)} columns where {part.name} has {last}", "fetch the file again")
        record.update({name: cells[int(column) - 1] for name, column in part.columns.items()})
        yield _named(part, record)


def _named(part: Part, record: Record) -> Record:
    label = str(record["label"])
    if part.labels and label not in part.labels:
        raise record.error(f"label {label!r} is none of {', '.join(part.labels)}", "fetch the file again")
    record["label"] = part.labels.get(label, label)
    return record
