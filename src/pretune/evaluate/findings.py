"""What a check of labelled files found, as text for a terminal: a table of the files, one of the labels, the findings.

The page of a run has the same tables and sentences.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pretune.evaluate.table import Cell, Table, as_text
from pretune.text.findings import SEVERITIES, Finding

MAX_LABELS = 20
Files = Sequence[Mapping[str, Any]]


def as_lines(finding: Finding) -> list[str]:
    """A finding as a line, and its places below."""
    more = finding.count - len(finding.places)
    places = [f"    {one}" for one in finding.places]
    if places and more > 0:
        places.append(f"    and {more:,} more")
    return [f"  {finding.part}: {finding.kind}: {finding.what}", *places]


def findings_text(findings: Sequence[Finding], files: Files) -> str:
    """Everything `pretune check` prints."""
    tables = [files_table(files), *([labels] if (labels := labels_table(files)) else [])]
    lines = [line for table in tables for line in (as_text(table), "")]
    for severity in SEVERITIES:
        some = [finding for finding in findings if finding.severity == severity]
        if some:
            lines += [f"{severity}s ({len(some)})", *(line for finding in some for line in as_lines(finding)), ""]
    return "\n".join(lines).rstrip() if findings else "\n".join([*lines, "nothing to remark on"])


def sentence(finding: Finding) -> str:
    """A finding in one line, with its first places.

    >>> sentence(Finding("warning", "leakage", "test", "1 of 2 rows are in the training data", 1, ("a:1 and b:2",)))
    'test: leakage: 1 of 2 rows are in the training data (a:1 and b:2)'
    """
    places = "; ".join(finding.places[:2]) + (" ..." if finding.count > 2 and finding.places else "")
    return f"{finding.part}: {finding.kind}: {finding.what}" + (f" ({places})" if finding.places else "")


def findings_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    """Findings, as metrics.json has them, as a table of a page."""
    rows: list[tuple[Cell, ...]] = [
        (one["severity"], one["part"], one["kind"], one["what"], "; ".join(one["places"][:3]) or None)
        for one in findings
    ]
    return Table(("", "file", "kind", "what", "where"), tuple(rows), "Check of the files")


def files_table(files: Files) -> Table:
    """A row a file: rows, lengths, duplicates, overlap with the training files."""
    measured = files[0]["pieces"]
    cut = "longer" if measured["of"] == "estimate" else "cut"
    lengths = ("words 50 %", "95 %", "max", "pieces 95 %", cut)
    rows: list[tuple[Cell, ...]] = []
    for file in files:
        words, pieces, leaked = file["words"], file["pieces"], file["in_train"]
        middle: list[Cell] = [words.get(name) for name in ("50 %", "95 %", "max")]
        middle += [pieces["pieces"].get("95 %"), pieces[cut]]
        share = None if leaked is None else leaked["share"]
        rows.append((file["name"], file["rows"], file["unreadable"], *middle, file["duplicates"]["exact"], share))
    longest = f"max_length={measured['max_length']}"
    of_model = f"pieces are the model's; cut: share of rows that lose a part at {longest}"
    estimated = f"pieces are estimated; longer: share of rows longer than {longest}"
    notes = (estimated if cut == "longer" else of_model,)
    return Table(("file", "rows", "unreadable", *lengths, "duplicates", "in train"), tuple(rows), notes=notes)


def labels_table(files: Files) -> Table | None:
    """A row a label, a column a file: how often. None where labels are no classes."""
    if not any(file["labels"] for file in files):
        return None
    totals: dict[str, int] = {}
    for file in files:
        for name, number in file["labels"].items():
            totals[name] = totals.get(name, 0) + number
    names = sorted(totals, key=lambda name: (-totals[name], name))
    rows: list[tuple[Cell, ...]] = []
    for name in names[:MAX_LABELS]:
        cells: list[Cell] = [name]
        for file in files:
            number, total = file["labels"].get(name, 0), sum(file["labels"].values())
            cells += [number, number / max(total, 1)]
        rows.append(tuple(cells))
    more = len(names) - MAX_LABELS
    notes = (f"and {more:,} more labels",) if more > 0 else ()
    return Table(("label", *(part for file in files for part in (file["name"], "share"))), tuple(rows), notes=notes)
