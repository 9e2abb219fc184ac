"""What is wrong with gold labels: mixed kinds, names that differ by blanks or case alone, too rare or common classes.

Names are compared with white space evened out and in lower case. Two names that are equal then ("Pos", "pos ") become
two classes, and every score is of a task nobody meant: an error, where both stand in the files of one check.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pretune.text.findings import MAX_PLACES, Finding, Severity, place, share
from pretune.text.labels import label_kind, label_name
from pretune.text.records import Record

FEW = 5
"""A class with fewer training examples is remarked on."""
MOST = 0.9
"""A class with a larger share makes accuracy say little."""


@dataclass
class LabelCounts:
    """The labels of one file. sequences: rows may have several (tags). missing, kinds: where rows of each stand."""

    part: str
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    sequences: bool = False

    def add(self, record: Record, labels: Sequence[Any]) -> None:
        self.sequences = self.sequences or len(labels) != 1
        for label in labels:
            name = label_name(label)
            if name not in self.counts:
                self.first[name] = place(record.path, record.line, repr(label))
            self.counts[name] += 1
            kind = label_kind(label) or "neither a name nor a whole number"
            number, places = self.kinds.setdefault(kind, (0, []))
            if len(places) < MAX_PLACES:
                places.append(place(record.path, record.line, repr(label)))
            self.kinds[kind] = number + 1, places


def label_findings(train: Sequence[LabelCounts], held_out: Sequence[LabelCounts]) -> Iterator[Finding]:
    """Everything about the labels of files that belong together."""
    files = [*train, *held_out]
    for counts in files:
        yield from _mixed(counts)
    yield from _variants(files)
    known = _together(train)
    if known.counts:
        yield from _balance(known)
        for counts in held_out:
            yield from _unseen(counts, known)


def _together(files: Sequence[LabelCounts]) -> LabelCounts:
    """The labels of several files as if they were one."""
    found = LabelCounts(", ".join(counts.part for counts in files))
    for counts in files:
        found.counts.update(counts.counts)
        found.first = counts.first | found.first
        found.sequences = found.sequences or counts.sequences
    return found


def _mixed(counts: LabelCounts) -> Iterator[Finding]:
    if counts.sequences or len(counts.kinds) < 2:
        return
    most = max(counts.kinds, key=lambda kind: counts.kinds[kind][0])
    for kind, (number, places) in counts.kinds.items():
        if kind != most:
            what = f"{share(number, counts.counts.total())} labels are {kind}, most are {most}: write all alike"
            yield Finding("error", "mixed label types", counts.part, what, number, tuple(places))


def _variants(files: Sequence[LabelCounts]) -> Iterator[Finding]:
    """Names that are equal but for blanks and case, over all files."""
    spelled: dict[str, dict[str, tuple[LabelCounts, int]]] = {}
    for counts in files:
        for name, number in counts.counts.items():
            known = spelled.setdefault(" ".join(name.split()).lower(), {})
            before = known.get(name, (counts, 0))
            known[name] = before[0], before[1] + number
    for names in spelled.values():
        if len(names) > 1:
            ordered = sorted(names, key=lambda name: -names[name][1])
            shown = ", ".join(f"{name!r} ({names[name][1]:,})" for name in ordered)
            rare = ordered[1:]
            yield Finding(
                "error",
                "label variants",
                names[rare[0]][0].part,
                f"labels that differ by blanks or case alone are classes of their own: {shown}: spell them alike",
                sum(names[name][1] for name in rare),
                tuple(names[name][0].first[name] for name in rare[:MAX_PLACES]),
            )
        elif (name := next(iter(names))) != name.strip():
            counts, number = names[name]
            what = f"the label {name!r} has blanks at its ends: they belong to its name"
            yield Finding("warning", "label blanks", counts.part, what, number, (counts.first[name],))


def _balance(train: LabelCounts) -> Iterator[Finding]:
    total, (most, number) = train.counts.total(), train.counts.most_common(1)[0]
    if len(train.counts) == 1:
        what = f"all {total:,} labels are {most!r}: there is nothing to tell apart"
        yield Finding("error", "one label", train.part, what, total, (train.first[most],))
    elif not train.sequences and number > MOST * total:
        what = (
            f"{share(number, total)} labels are {most!r}: always saying so is right as often. "
            "Read macro_f1 or matthews, not accuracy"
        )
        yield Finding("warning", "imbalance", train.part, what, number)
    rare = [name for name, count in train.counts.items() if count < FEW]
    if rare and len(train.counts) > 1:
        what = f"{share(len(rare), len(train.counts))} labels have fewer than {FEW} examples: {_listed(rare)}"
        yield Finding("remark", "rare labels", train.part, what, len(rare), _places(train.first, rare))


def _unseen(counts: LabelCounts, train: LabelCounts) -> Iterator[Finding]:
    unseen = [name for name in counts.counts if name not in train.counts]
    if unseen:
        number = sum(counts.counts[name] for name in unseen)
        what = f"{share(number, counts.counts.total())} labels are never seen in {train.part}: {_listed(unseen)}"
        severity: Severity = "warning" if counts.sequences else "error"
        yield Finding(severity, "unseen labels", counts.part, what, number, _places(counts.first, unseen))
    untested = [name for name in train.counts if name not in counts.counts]
    if untested and counts.counts:
        what = f"{share(len(untested), len(train.counts))} labels of {train.part} do not occur: {_listed(untested)}"
        yield Finding("remark", "labels not tested", counts.part, what, len(untested))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return ", ".join(map(repr, sorted(names)[:10])) + more


def _places(first: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(first[name] for name in sorted(names)[:MAX_PLACES])
