"""check: what is wrong with labelled files, before a model is trained on them.

Every line that cannot be read is named, and so is what can be read and is suspicious: see `text/check.py` for the
rules, and `text/findings.py` for errors, warnings and remarks. `finetune` looks at its files in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import resolve
from pretune.core.errors import InputError
from pretune.evaluate.findings import as_lines, findings_text
from pretune.tasks.measured import Measured, estimate, measure
from pretune.tasks.task import Task, open_task
from pretune.text.check import Checked, Part, Role, check_parts
from pretune.text.contents import Contents, contents_of
from pretune.text.faults import Faults
from pretune.text.findings import MAX_PLACES, Finding, by_severity, place, worst
from pretune.text.records import Record, iterate_records
from pretune.verbs.doctor import check_folder, is_checkable
from pretune.verbs.predictions import longest_of
from pretune.verbs.settings import CheckHow, CheckSettings, FinetuneSettings

File = str | Path
ROLES: tuple[Role, ...] = ("train", "valid", "test")
REFUSED = ("leakage", "label variants")
"""What a run does not begin with: its score would be wrong and look right. What cannot be used at all, such as a
missing label, the task refuses itself."""


def check(
    files: File | Sequence[File],
    *,
    task: str | None = None,
    model: str | None = None,
    tokenizer: File | None = None,
    max_length: int | None = None,
    valid: File | None = None,
    test: File | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Looks at training files, and at what else belongs to them: {"worst", "findings", "files", "text"}.

    worst: error, warning, remark or clean. findings: the worst first, each with severity, kind, part, what, count and
    places. files: rows, labels, lengths and overlaps of each. task: whose labels and texts they hold; without it the
    usual columns are looked at. model: whose tokenizer and longest sequence say what is cut; without it that is
    estimated. settings: fields of `CheckSettings`. A directory of a corpus, or of a run of `pretrain`, is looked at by
    itself (`doctor.py`).
    Raises InputError for files that cannot be opened, lack a column, or hold nothing to check.
    """
    train = [files] if isinstance(files, str | Path) else list(files)
    if folders := [path for path in train if is_checkable(Path(path))]:
        if len(train) > 1 or task or model or valid or test:
            raise InputError(f"{folders[0]} is a corpus or a run: check it alone, without options")
        return check_folder(Path(folders[0]))
    given = settings if isinstance(settings, Mapping) else None
    resolved = resolve(CheckSettings, given or {}, assignments=() if given is not None else list(settings))
    opened = None if task is None else open_task(task, resolved.task)
    contents: Callable[[Record], Contents] = contents_of if opened is None else opened.contents
    bundle = None
    if model is not None:
        bundle = Bundle.load(model, tokenizer=tokenizer, heads=[], allow_pickle=allow_pickle)
    longest = _longest(max_length, bundle)
    columns = {name: str(column) for name, column in resolved.columns.items()}
    parts = [read_part(path, "train", columns, contents) for path in train]
    parts += [read_part(path, role, columns, contents) for role, path in _held_out(valid, test) if path is not None]
    checked = check_parts(parts, contents)
    measured = [_measured(part, contents, bundle, longest, opened) for part in parts]
    sizes = zip(parts, measured, strict=True)
    found = [*checked.findings, *(finding for part, size in sizes for finding in size.findings(part.name))]
    if opened is not None and not any(finding.severity == "error" for finding in found):
        found += _refused(opened, parts)
    return _result(by_severity(found), checked, measured)


def _held_out(valid: File | None, test: File | None) -> tuple[tuple[Role, File | None], ...]:
    return ("valid", valid), ("test", test)


def _longest(asked: int | None, bundle: Bundle | None) -> int:
    default: int = FinetuneSettings().max_length
    if asked is not None and asked < 1:
        raise InputError(f"max_length={asked}: give at least 1")
    if bundle is None:
        return asked or default
    told = longest_of(bundle) if "task" in bundle.manifest else min(default, bundle.max_length)
    if asked is not None and asked > bundle.max_length:
        raise InputError(f"max_length={asked} is more than the model's {bundle.max_length}: lower it")
    return asked or told


@dataclass
class Collected(Faults):
    """Notes bad lines instead of raising at the first. found: reason -> how many, and where the first ones are."""

    found: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def report(self, path: str | Path, line: int, reason: str, detail: str = "") -> None:
        number, places = self.found.setdefault(reason, (0, []))
        if len(places) < MAX_PLACES:
            places.append(place(str(path), line, detail))
        self.found[reason] = number + 1, places


def read_part(path: File, role: Role, columns: Mapping[str, str], contents: Callable[[Record], Contents]) -> Part:
    """A file, all of it that can be read. InputError where it has nothing to check."""
    faults = Collected()
    records = list(iterate_records(path, columns, on_error=faults))
    if not records:
        reasons = "; ".join(f"{places[0]}: {reason}" for reason, (_, places) in faults.found.items())
        raise InputError(f"{path}: no row can be read: {reasons}")
    if not any(contents(record).texts for record in records):
        names = ", ".join(map(repr, records[0])) or "nothing"
        raise InputError(
            f"{path}: no text in it; its rows have {names}: name the column, for example columns.text=NAME"
        )
    unreadable = [
        Finding("error", reason, str(path), f"{number:,} lines cannot be read: {reason}", number, tuple(places))
        for reason, (number, places) in faults.found.items()
    ]
    return Part(str(path), role, records, tuple(unreadable))


def check_rows(rows: Mapping[str, Sequence[Record]], task: Task, how: CheckHow) -> list[Finding]:
    """Looks at the records of a run, {"train": ..., "valid": ..., "test": ...}, for the task that is to learn them.

    Raises InputError where what is found would give a wrong score without anybody noticing (`REFUSED`), unless how says
    otherwise: "warn" goes on and tells, "skip" does not look.
    """
    if how == "skip":
        return []
    parts = [Part(role, role, rows[role]) for role in ROLES if role in rows]
    findings = check_parts(parts, task.contents).findings
    refused = [finding for finding in findings if finding.severity == "error" and finding.kind in REFUSED]
    if refused and how == "refuse":
        told = "\n".join(line for finding in refused for line in as_lines(finding))
        raise InputError(f"the score would not mean what it says:\n{told}\nMend the files, or set check=warn to go on")
    return findings


def _measured(
    part: Part, contents: Callable[[Record], Contents], bundle: Bundle | None, longest: int, task: Task | None
) -> Measured:
    if bundle is None:
        return estimate(part.records, contents, longest)
    return measure(part.records, contents, bundle.tokenizer, bundle.template, longest, task)


def _refused(task: Task, parts: Sequence[Part]) -> list[Finding]:
    """What the task itself says of labels, where nothing was found before."""
    try:
        bound = task.fit_labels([record for part in parts if part.role == "train" for record in part.records])
        for part in parts:
            bound.check(part.records)
    except InputError as error:
        return [Finding("error", "refused", parts[0].name, str(error), 1)]
    return []


def _result(findings: Sequence[Finding], checked: Checked, measured: Sequence[Measured]) -> dict[str, Any]:
    files = [facts.as_json() | {"pieces": size.as_json()} for facts, size in zip(checked.files, measured, strict=True)]
    result = {"worst": worst(findings), "findings": [finding.as_json() for finding in findings], "files": files}
    return result | {"text": findings_text(findings, files)}
