"""Layouts: a part's files, as they are published, to records of its task. One class a way of writing them.

The columns of the records are pretune's own, their labels have names. A file in pretune's own columns (`text` and
`label` in the header) is read too where the published one is a table. InputError names file and line.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pretune.core.errors import InputError
from pretune.text.faults import Faults
from pretune.text.lines import read_lines
from pretune.text.records import Record, read_records

OWN_COLUMNS = {"text", "label"}
Role = Literal["train", "scored", "submitted"]
"""What a file is for: to learn from, to be scored with its labels, or to be answered for a server, without labels."""


class Layout(Protocol):
    def read(self, path: Path, role: Role) -> list[Record]:
        """The records of a file."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """The file and others that belong to it."""
        return (path,)


@dataclass(frozen=True)
class Tsv(Layout):
    """A table with tabs. columns: our names -> the published header's; numbers from 1 where the labelled files have
    none (`has_header=False`). unlabelled: the same for the files the server wants, where it differs. labels: as
    published -> name; empty: as published."""

    columns: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    has_header: bool = True
    unlabelled: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: Path, role: Role) -> list[Record]:
        names = set(_first_line(path).split("\t"))
        if names >= OWN_COLUMNS:
            return read_records(path, format="tsv")
        if role != "submitted" and not self.has_header:
            return [self._named(record) for record in _numbered(path, self.columns)]
        columns = self.columns if role != "submitted" else self.unlabelled or self.columns
        columns = {name: column for name, column in columns.items() if role != "submitted" or name != "label"}
        if absent := sorted(set(columns.values()) - names):
            raise _not_as_published(path, absent)
        records = read_records(path, columns, format="tsv")
        return records if role == "submitted" else [self._named(record) for record in records]

    def _named(self, record: Record) -> Record:
        record["label"] = named_label(record, record["label"], self.labels)
        return record


@dataclass(frozen=True)
class Csv(Layout):
    """A table with commas. columns: those that are kept under their own names; label: the one that holds it."""

    columns: tuple[str, ...]
    label: str = "label"

    def read(self, path: Path, role: Role) -> list[Record]:
        kept = self.columns if role == "submitted" else (*self.columns, self.label)
        records = read_records(path, format="csv")
        if absent := [name for name in kept if name not in records[0]]:
            raise _not_as_published(path, absent)
        return [Record({name: row[name] for name in kept}, row.path, row.line) for row in records]


@dataclass(frozen=True)
class Objects(Layout):
    """JSON objects, one a line. convert: an object to one record or several, each with an `idx`, which no other
    record of the file may have. check: what must hold of all of them."""

    convert: Callable[[Record, Role], list[Record]]
    check: Callable[[Sequence[Record]], None] | None = None

    def read(self, path: Path, role: Role) -> list[Record]:
        records: list[Record] = []
        seen: dict[object, int] = {}
        for row in read_records(path, format="jsonl"):
            for record in self.convert(row, role):
                idx = tuple(record["idx"]) if isinstance(record["idx"], list) else record["idx"]
                if idx in seen:
                    told = f"idx {record['idx']} stands in line {seen[idx]} already"
                    raise row.error(told, "every item needs an idx of its own: fetch the file again")
                seen[idx] = row.line
                records.append(record)
        if self.check is not None:
            self.check(records)
        return records


@dataclass(frozen=True)
class Columns(Layout):
    """A token a line in columns, as CoNLL-2003 has them, or CoNLL-U; by the file's ending, else `format`. columns: as
    `read_records` has them."""

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = "conll"

    def read(self, path: Path, role: Role) -> list[Record]:
        records = read_records(path, self.columns, format=self.format)
        if all(word == "_" for record in records for word in record["words"]):
            raise InputError(f"{path}: every word is _: a treebank published without its texts; add them first")
        return records


@dataclass(frozen=True)
class Squad(Layout):
    """SQuAD JSON (`text/squad.py`)."""

    def read(self, path: Path, role: Role) -> list[Record]:
        return read_records(path)


@dataclass(frozen=True)
class StsBenchmark(Layout):
    """STS-B as its authors publish it: no header, no quotes; genre, file, year, number, score, two sentences, and in
    some lines where these are from. The files are called .csv and have tabs."""

    def read(self, path: Path, role: Role) -> list[Record]:
        if set(_first_line(path).split("\t")) >= OWN_COLUMNS:
            return read_records(path, format="tsv")
        return list(_numbered(path, {"label": "5", "text": "6", "text_b": "7"}))


@dataclass(frozen=True)
class StsPairs(Layout):
    """A test set of SemEval's STS tasks: `STS.input.NAME.txt`, two sentences a line and a tab between them, and beside
    it `STS.gs.NAME.txt`, a score a line. Pairs without a score, which 2015 and 2016 have, are left out, as there."""

    def files(self, path: Path) -> tuple[Path, ...]:
        return path, path.with_name(path.name.replace(".input.", ".gs."))

    def read(self, path: Path, role: Role) -> list[Record]:
        path, gold = self.files(path)
        if not gold.is_file():
            raise InputError(f"{path} has no scores: {gold.name} belongs beside it")
        pairs, scores = ([(n, line or "") for n, line in read_lines(file, Faults("raise"))] for file in (path, gold))
        if len(pairs) != len(scores):
            raise InputError(f"{gold}: {len(scores)} scores for {len(pairs)} pairs: fetch both files again")
        found = []
        for (number, pair), (_, score) in zip(pairs, scores, strict=True):
            cells = pair.split("\t")
            record = Record({}, str(path), number)
            if len(cells) < 2:
                raise record.error("no tab between two sentences", "fetch the file again")
            if score.strip():
                record.update({"text": cells[0], "text_b": cells[1], "label": score.strip()})
                found.append(record)
        return found


def named_label(record: Record, label: object, labels: Mapping[str, str]) -> str:
    """The name of a published label. InputError for one that is none of them.

    >>> named_label(Record({}), True, {"false": "no", "true": "yes"})
    'yes'
    """
    text = str(label).lower() if isinstance(label, bool) else str(label)
    if labels and text not in labels:
        raise record.error(f"label {text!r} is none of {', '.join(labels)}", "fetch the file again")
    return labels.get(text, text)


def _first_line(path: Path) -> str:
    return next((line for _, line in read_lines(path, Faults("raise")) if line is not None), "")


def _not_as_published(path: Path, absent: Sequence[str]) -> InputError:
    expected = "expected the set as it is published, or the columns text and label"
    return InputError(f"{path}:1: no column {', '.join(absent)}: {expected}")


def _numbered(path: Path, columns: Mapping[str, str]) -> Iterator[Record]:
    """Records of a table without a header. columns: our name -> number from 1."""
    last = max(int(column) for column in columns.values())
    for number, line in read_lines(path, Faults("raise")):
        cells = (line or "").split("\t")
        record = Record({}, str(path), number)
        if len(cells) < last:
            raise record.error(f"{len(cells)} columns where there are {last}", "fetch the file again")
        record.update({name: cells[int(column) - 1] for name, column in columns.items()})
        yield record
