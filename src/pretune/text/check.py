"""What is wrong with labelled files: the rows of each, and what they share. `pretune check` and `finetune` call it.

One pass over a file's rows looks at texts and labels; rows are then compared as hashes (`overlap.py`). Memory is that
of the records and about 300 bytes a row. What needs a tokenizer is measured on some rows, spread evenly, of a file that
is large.

Leakage is judged by measurement: of the usual data sets (GLUE's, SST, TREC, SICK, STS-B, WNUT-17) at most 2.3 % of a
test file's rows are in the training file, of UD English EWT, whose short messages repeat, 6.5 %. With a share of
`MAX_LEAKED` or more the score is of memory to a good part, and this is an error; below, a warning that says how many.
A file of fewer than `MIN_JUDGED` rows is only warned of: it is a trial, whose interval says how little it tells.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pretune.text.contents import COUNTED, Contents
from pretune.text.findings import MAX_PLACES, Finding, Severity, by_severity, place, share, worst
from pretune.text.label_problems import LabelCounts, label_findings
from pretune.text.lengths import IntArray, Lengths, num_words, outliers
from pretune.text.overlap import Fingerprints, Leaks, leaks, repeats
from pretune.text.records import Record
from pretune.text.suspects import kind_of, suspicion

Role = Literal["train", "valid", "test"]
ContentsOf = Callable[[Record], Contents]
MAX_LEAKED = 0.1
MIN_JUDGED = 50
MAX_REPEATED = 0.1
"""A larger share of rows that are exactly repeated, or in validation and test file both, is a warning."""


@dataclass(frozen=True)
class Part:
    """One labelled file, read. unreadable: what was wrong with the lines that are not among the records."""

    name: str
    role: Role
    records: Sequence[Record] = field(repr=False)
    unreadable: tuple[Finding, ...] = ()


@dataclass
class Facts:
    """What one pass over a file found. leaks: what it shares with the training files; None for these."""

    part: Part
    rows: Fingerprints
    labels: LabelCounts
    words_N: IntArray
    findings: list[Finding]
    gold: str = "classes"
    duplicates: dict[str, int] = field(default_factory=dict)
    leaks: Leaks | None = None

    def as_json(self) -> dict[str, Any]:
        leaked = self.leaks
        return {
            "name": self.part.name,
            "rows": len(self.part.records),
            "unreadable": sum(finding.count for finding in self.part.unreadable),
            "labels": dict(self.labels.counts.most_common()) if self.gold in COUNTED else {},
            "words": Lengths.of(self.words_N).percentiles,
            "duplicates": self.duplicates,
            "in_train": None
            if leaked is None
            else {
                "rows": len(leaked.pairs),
                "share": len(leaked.pairs) / max(len(self.rows.near), 1),
                "exact": leaked.exact,
                "other_label": leaked.other_label,
            },
        }


@dataclass
class Checked:
    """The findings, worst first, and the facts of each file."""

    findings: list[Finding]
    files: list[Facts]

    @property
    def worst(self) -> str:
        return worst(self.findings)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def check_parts(parts: Sequence[Part], contents: ContentsOf) -> Checked:
    """Looks at files that belong together, training files first. contents: what a task says a record holds."""
    files = [_look(part, contents) for part in parts]
    train = [facts for facts in files if facts.part.role == "train"]
    held_out = [facts for facts in files if facts.part.role != "train"]
    found = [finding for facts in files for finding in facts.findings]
    if all(facts.gold == "classes" for facts in files):
        found += label_findings([facts.labels for facts in train], [facts.labels for facts in held_out])
    for facts in files:
        found += _repeated(facts)
    for number, facts in enumerate(train):
        for earlier in train[:number]:
            found += _in_both(facts, earlier)
    if train:
        known, records = _joined(train)
        judged = held_out[-1:]
        for facts in held_out:
            facts.leaks = leaks(facts.rows, known)
            found += _leakage(facts, records, is_judged=facts in judged)
    if [facts.part.role for facts in held_out] == ["valid", "test"]:
        found += _in_both(held_out[1], held_out[0])
    return Checked(by_severity(found), files)


def _look(part: Part, contents: ContentsOf) -> Facts:
    """One pass over the rows."""
    rows, labels = Fingerprints(), LabelCounts(part.name)
    words = []
    faults: dict[tuple[Severity, str], tuple[int, list[str]]] = {}
    golds: Counter[str] = Counter()
    for record in part.records:
        held = contents(record)
        rows.add(held)
        golds[held.gold] += held.labelled
        words.append(num_words(held.texts))
        for severity, kind, shown in _faults(held):
            number, places = faults.setdefault((severity, kind), (0, []))
            if number < MAX_PLACES:
                places.append(place(record.path, record.line, shown))
            faults[severity, kind] = number + 1, places
        if held.gold in COUNTED:
            labels.add(record, held.labels)
    findings = [*part.unreadable]
    for (severity, kind), (number, places) in faults.items():
        what = f"{share(number, len(part.records))} rows: {_SAID[kind]}"
        findings.append(Finding(severity, kind, part.name, what, number, tuple(places)))
    words_N = np.array(words, np.int64)
    findings += outliers(part.name, part.records, words_N, lambda record: _shown(contents(record)))
    gold = "values" if golds["values"] else max(golds, key=golds.__getitem__, default="classes")
    return Facts(part, rows, labels, words_N, findings, gold)


_SAID = {
    "missing text": "a text is missing",
    "missing label": "the label is missing",
    "empty text": "a text has nothing but white space: it is trained and scored as an empty text",
    "mojibake": "characters of a wrong decoding (UTF-8 read as Windows-1252): mend the file",
    "replacement character": "characters that an earlier conversion could not read: convert the source again",
    "control character": "control characters, often of a wrong decoding",
}


def _faults(held: Contents) -> Iterator[tuple[Severity, str, str]]:
    """(severity, kind, what to show) for each thing wrong with one row."""
    if not held.texts or None in held.texts:
        yield "error", "missing text", ""
    if not held.labelled:
        yield "error", "missing label", _shown(held)
    for text in held.texts:
        if text is not None and not text.strip():
            yield "warning", "empty text", ""
        elif text is not None and (reason := suspicion(text)):
            yield "warning", kind_of(reason), f"{reason}: {text}"


def _shown(held: Contents) -> str:
    return " | ".join(text for text in held.texts if text)


def _at(records: Sequence[Record], row: int) -> str:
    return place(records[row].path, records[row].line)


def _pairs(here: Sequence[Record], there: Sequence[Record], pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    return tuple(f"{_at(here, row)} and {_at(there, before)}" for before, row in pairs[:MAX_PLACES])


def _repeated(facts: Facts) -> Iterator[Finding]:
    found, records, name = repeats(facts.rows), facts.part.records, facts.part.name
    facts.duplicates = {"exact": len(found.exact), "near": len(found.near), "other_label": len(found.noisy)}
    total = len(records)
    if found.noisy:
        classes = facts.gold in COUNTED
        tail = "another label: at most one can be right" if classes else "another value or answer"
        what = f"{share(len(found.noisy), total)} rows repeat a text with {tail}"
        pairs = _pairs(records, records, found.noisy)
        yield Finding("warning" if classes else "remark", "label noise", name, what, len(found.noisy), pairs)
    if found.exact:
        severity: Severity = "warning" if len(found.exact) > MAX_REPEATED * total and total >= MIN_JUDGED else "remark"
        what = f"{share(len(found.exact), total)} rows are the same as an earlier one"
        yield Finding(severity, "duplicates", name, what, len(found.exact), _pairs(records, records, found.exact))
    if found.near:
        what = f"{share(len(found.near), total)} rows are as an earlier one but for case and punctuation"
        yield Finding("remark", "near duplicates", name, what, len(found.near), _pairs(records, records, found.near))


def _leakage(facts: Facts, train: Sequence[Record], *, is_judged: bool) -> Iterator[Finding]:
    assert facts.leaks is not None
    found, total = facts.leaks, len(facts.part.records)
    if not found.pairs:
        return
    much = len(found.pairs) >= MAX_LEAKED * total
    severity: Severity = "error" if much and is_judged and total >= MIN_JUDGED else "warning"
    what = (
        f"{share(len(found.pairs), total)} rows are in the training data ({found.exact:,} exactly, the others but for "
        f"case and punctuation; {found.other_label:,} with another label)"
    )
    what += ": a score on them is of memory; take them out of one side" if much else ""
    places = _pairs(facts.part.records, train, found.pairs)
    yield Finding(severity, "leakage", facts.part.name, what, len(found.pairs), places)


def _in_both(later: Facts, earlier: Facts) -> Iterator[Finding]:
    found = leaks(later.rows, earlier.rows)
    if found.pairs:
        what = f"{share(len(found.pairs), len(later.part.records))} rows are in {earlier.part.name} too"
        severity: Severity = "warning" if len(found.pairs) > MAX_REPEATED * len(later.part.records) else "remark"
        places = _pairs(later.part.records, earlier.part.records, found.pairs)
        yield Finding(severity, "in two files", later.part.name, what, len(found.pairs), places)


def _joined(files: Sequence[Facts]) -> tuple[Fingerprints, Sequence[Record]]:
    """The rows of several files as one."""
    if len(files) == 1:
        return files[0].rows, files[0].part.records
    rows = Fingerprints()
    for facts in files:
        rows.same += facts.rows.same
        rows.near += facts.rows.near
        rows.gold += facts.rows.gold
    return rows, [record for facts in files for record in facts.part.records]
