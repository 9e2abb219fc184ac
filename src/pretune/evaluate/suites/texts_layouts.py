"""Layouts of sets whose answer is a text: parallel lines of two languages, and papers with their summaries."""

from dataclasses import dataclass
from pathlib import Path

from pretune.core.errors import InputError
from pretune.evaluate.suites.layouts import Layout, Role
from pretune.text.faults import Faults
from pretune.text.lines import read_lines
from pretune.text.records import Record, read_records


@dataclass(frozen=True)
class Parallel(Layout):
    """A file a language, whose names end in it (train.de, train.en), with a sentence a line; or one table with tabs and
    a column a language."""

    source: str
    target: str

    def read(self, path: Path, role: Role) -> list[Record]:
        if ".tsv" in path.suffixes:
            return read_records(path, {"source": self.source, "target": self.target}, format="tsv")
        first, second = ([line for _, line in read_lines(one, Faults("raise"))] for one in self.files(path))
        if len(first) != len(second):
            raise InputError(f"{path}: {len(first):,} lines, and {self._other(path)} {len(second):,}: fetch both again")
        pairs = zip(first, second, strict=True)
        return [Record({"source": a, "target": b}, str(path), line) for line, (a, b) in enumerate(pairs, 1)]

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,) if ".tsv" in path.suffixes else (path, self._other(path))

    def _other(self, path: Path) -> Path:
        name, _, ending = path.name.rpartition(f".{self.source}")
        return path.with_name(f"{name}.{self.target}{ending}")


@dataclass(frozen=True)
class Papers(Layout):
    """An object a paper: "source", a text or its sentences, and summaries ("target") or its "title". Copies that have
    joined the sentences name them "text" and "summaries"."""

    target: str = "target"

    def read(self, path: Path, role: Role) -> list[Record]:
        return [self._record(row) for row in read_records(path, format="jsonl")]

    def _record(self, row: Record) -> Record:
        source = row.get("source", row.get("text"))
        target = row.get("summaries") if self.target not in row and self.target == "target" else row.get(self.target)
        if isinstance(source, list) and all(isinstance(one, str) for one in source):
            source = " ".join(one.strip() for one in source)
        if not isinstance(source, str) or not isinstance(target, str | list):
            raise row.error(f"no source and {self.target} in the object", "expected the set as it is published")
        return Record({"source": source, "target": target}, row.path, row.line)
