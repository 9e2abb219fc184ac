"""A suite: labelled sets under one name, each with its task, its official metrics and the layout it is published in.

Nothing is fetched. A file that is missing is said with the place it is published at, and the other parts still run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError
from pretune.evaluate.suites.layouts import Layout
from pretune.tasks.items import Items
from pretune.tasks.task import Prediction
from pretune.text.records import Record

ENDINGS = ("", ".gz", ".zst")
FEW = 3
"""Where more files than this are missing, each is called by its first name alone."""
Names = tuple[str, ...]
"""Names of one file under the data directory, tried in order, plain or compressed; `*` stands for anything."""
Metric = Callable[[Sequence[Prediction], Sequence[Record]], Items]
"""A metric that the task does not have, of predictions as they are."""
Writer = Callable[[Sequence[Prediction], Sequence[Record]], str]
"""Predictions for records as the text of a file that a server or a scorer reads."""


@dataclass(frozen=True)
class Answers:
    """A file of answers. of: the file whose records are answered; write: how."""

    of: Names
    write: Writer


@dataclass(frozen=True)
class Part:
    """One labelled set.

    metrics: the official ones, the main one first; the part's score is their mean over the files that are scored.
    own: those of them that the task does not have. layout: how its files are written.
    train, valid: without `valid` nothing is selected, the last weights are scored. scored: {what it is called: names}
    of the labelled files that give the score. submitted: {file of answers: what it answers}.
    trained_on: the part whose model is scored, for a set without training data; `train` is then empty.
    is_counted: whether the suite's average is also over this part. settings: of the fine-tuning run.
    """

    name: str
    task: str
    metrics: tuple[str, ...]
    layout: Layout
    published: str
    train: Names = ()
    valid: Names = ()
    scored: Mapping[str, Names] = field(default_factory=dict)
    submitted: Mapping[str, Answers] = field(default_factory=dict)
    own: Mapping[str, Metric] = field(default_factory=dict)
    trained_on: str | None = None
    is_counted: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """Parts in their customary order; a part comes behind the one whose model it is scored with.

    source: who defined it. has_average: whether its scores become one figure, the mean of the parts' scores.
    """

    name: str
    source: str
    parts: tuple[Part, ...]
    has_average: bool = True

    @property
    def counted(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.is_counted)


def find(data: Path, names: Names) -> Path | None:
    """The first of the files that is there, plain or compressed. InputError where a name with `*` fits several."""
    for name in names:
        for ending in ENDINGS:
            if "*" not in name:
                found = [data / f"{name}{ending}"] if (data / f"{name}{ending}").is_file() else []
            else:
                found = sorted(path for path in data.glob(f"{name}{ending}") if path.is_file())
            if len(found) > 1:
                several = ", ".join(path.name for path in found)
                raise InputError(f"{data} has several files {name} ({several}): keep one in a directory")
            if found:
                return found[0]
    return None


def labelled_files(part: Part, data: Path) -> dict[str, Path]:
    """{train, valid, or what a scored file is called: its path} of the labelled files that are there."""
    named = {"train": part.train, "valid": part.valid, **part.scored}
    return {name: path for name, names in named.items() if names and (path := find(data, names)) is not None}


def submitted_files(part: Part, data: Path) -> dict[str, Path]:
    """{file of answers: the file it answers} of those that are there."""
    return {name: path for name, one in part.submitted.items() if (path := find(data, one.of)) is not None}


def missing(part: Part, data: Path) -> str | None:
    """Says which of the part's labelled files are not there and where they are published; None where all are."""
    files = [names for names in (part.train, *part.scored.values(), part.valid) if names]
    gaps = [names for names in files if find(data, names) is None]
    shown = [" or ".join(str(data / name) for name in names[: 1 if len(gaps) > FEW else None]) for names in gaps]
    return f"{part.name}: no {', '.join(shown)}; published at {part.published}" if gaps else None


def runnable(suite: Suite, data: Path) -> tuple[list[Part], list[str]]:
    """The parts that can run, and what is missing, in words."""
    present: list[Part] = []
    absent = []
    for part in suite.parts:
        if gap := missing(part, data):
            absent.append(gap)
        files = labelled_files(part, data)
        if part.trained_on is None:
            if "train" in files and files.keys() & part.scored.keys():
                present.append(part)
        elif files or submitted_files(part, data):
            if any(other.name == part.trained_on for other in present):
                present.append(part)
            else:
                absent.append(f"{part.name}: it is scored with the model of {part.trained_on}, which cannot run")
    return present, absent
