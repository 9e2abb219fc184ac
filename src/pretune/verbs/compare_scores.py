"""The suites of a comparison: looked at before anything is trained, then run on every row's model.

A model that was pre-trained with seed s is fine-tuned with seed s, once for each part, so that the spread over seeds is
that of doing everything again.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretune.checkpoint.huggingface import read_json
from pretune.core.errors import InputError, unknown
from pretune.core.registry import find as find_entry
from pretune.evaluate.comparison import Measured, of_pairs, of_suite
from pretune.evaluate.suites.minimal_pairs import MinimalPairs, check_limit, files_of, read_pairs
from pretune.evaluate.suites.suite import Part, Suite, runnable
from pretune.tasks.task import open_task
from pretune.text.records import read_records
from pretune.verbs import records
from pretune.verbs.check import check_rows
from pretune.verbs.settings import FinetuneSettings, resolve_run
from pretune.verbs.suite import part_hashes, results, suite
from pretune.verbs.suite_pairs import read_run
from pretune.verbs.suite_runs import Request, prepared, settings_of


@dataclass(frozen=True)
class Wanted:
    """A suite and where its files are. parts: those that can run; missing: says what is not there. limit: pairs of each
    set, of minimal pairs."""

    suite: Suite | MinimalPairs
    data: Path
    parts: tuple[Part, ...]
    missing: tuple[str, ...]
    limit: int | None = None

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def names(self) -> list[str]:
        """Of the parts, or of the sets of minimal pairs."""
        if isinstance(self.suite, MinimalPairs):
            return list(files_of(self.suite, self.data)[0])
        return [part.name for part in self.parts]

    @property
    def hashes(self) -> dict[str, Any]:
        """{part: sha256 of its files}."""
        if isinstance(self.suite, MinimalPairs):
            files, _ = files_of(self.suite, self.data)
            return {name: records.file_sha256(path) for name, path in files.items()} | {"limit": self.limit}
        return {part.name: part_hashes(part, self.data) for part in self.parts}


def open_suites(names: Sequence[str], data: Sequence[str | Path], limit: int | None = None) -> list[Wanted]:
    """names: of suites, also between commas. data: NAME=DIR for each, or one directory for a single suite.

    Raises InputError for an unknown suite, and where one has no directory, or none of its files there.
    """
    asked = [name.strip() for text in names for name in str(text).split(",")]
    if repeated := [name for name in asked if asked.count(name) > 1]:
        raise InputError(f"--suite {repeated[0]} stands there twice: leave one out")
    places = _places(asked, [str(one) for one in data])
    found = []
    for name in asked:
        chosen: Suite | MinimalPairs = find_entry("pretune.evaluate.suites", "suite", name)
        if name not in places:
            raise InputError(f"--suite {name}: name the directory with its files, --data {name}=DIR")
        if not places[name].is_dir():
            raise InputError(f"--data: {places[name]} is not a directory: name the one with the files of {name}")
        found.append(_opened(chosen, places[name], limit))
    if limit is not None and not any(isinstance(one.suite, MinimalPairs) for one in found):
        raise InputError("--limit is for suites of minimal pairs (blimp), and none is asked for: leave it out")
    return found


def _opened(chosen: Suite | MinimalPairs, data: Path, limit: int | None) -> Wanted:
    if isinstance(chosen, MinimalPairs):
        check_limit(limit)
        files, absent = files_of(chosen, data)
        if not files:
            raise InputError(str(absent))
        return Wanted(chosen, data, (), () if absent is None else (absent,), limit)
    parts, missing = runnable(chosen, data)
    if not parts:
        raise InputError(f"none of the files of {chosen.name} is in {data}:\n" + "\n".join(missing))
    return Wanted(chosen, data, tuple(parts), tuple(missing))


def _places(names: Sequence[str], data: Sequence[str]) -> dict[str, Path]:
    if len(names) == len(data) == 1 and "=" not in data[0]:
        return {names[0]: Path(data[0])}
    found: dict[str, Path] = {}
    for text in data:
        name, equals, folder = text.partition("=")
        if not equals:
            raise InputError(f"--data {text}: there are {len(names)} suites, so say whose files these are: NAME=DIR")
        if name not in names:
            raise unknown("suite of --data,", name, names)
        if name in found:
            raise InputError(f"--data {name}=... stands there twice: leave one out")
        found[name] = Path(folder)
    return found


def check_suites(wanted: Sequence[Wanted], finetune: Mapping[str, Any], longest: int) -> None:
    """Reads every file as fine-tuning will, so that what is wrong is said before anything is trained.

    longest: the longest sequence that every row's model takes. Raises InputError.
    """
    for one in wanted:
        with tempfile.TemporaryDirectory() as folder:
            request = Request("", one.data, Path(folder), 1, finetune)
            for part in one.parts:
                _check_part(part, request, longest)
        if isinstance(one.suite, MinimalPairs):
            for path in files_of(one.suite, one.data)[0].values():
                read_pairs(path, one.limit)


def _check_part(part: Part, request: Request, longest: int) -> None:
    files = prepared(part, request)
    if part.trained_on is not None:
        return
    settings = resolve_run(FinetuneSettings, {}, None, settings_of(part, 1, request.settings))
    if settings.max_length > longest:
        raise InputError(
            f"finetune.max_length={settings.max_length} ({part.name}) is more than the {longest} that every model of "
            "the comparison takes: lower it"
        )
    columns = {name: str(column) for name, column in settings.columns.items()}
    rows = {name: read_records(path, columns=columns) for name, path in files.items()}
    scored = next(name for name in part.scored if name in rows)
    rows = {name: rows[name] for name in ("train", "valid") if name in rows} | {"test": rows[scored]}
    task = open_task(part.task, settings.task).fit_labels(rows["train"])
    for name in rows.keys() - {"train"}:
        task.check(rows[name])
    check_rows(rows, task, settings.check)


def run_suite(one: Wanted, model: Path, out: Path, seed: int, finetune: Mapping[str, Any], threads: int | None) -> None:
    """Scores a model on a suite, fine-tuned with this seed; nothing is done again."""
    how: dict[str, Any] = {"model": str(model), "data": one.data, "out": out, "threads": threads}
    if isinstance(one.suite, MinimalPairs):
        done = [out / "scores" / f"{name}.jsonl" for name in one.names]
        how |= {"limit": one.limit}
    else:
        done = [out / (part.trained_on or part.name) / f"seed-{seed}" / "metrics.json" for part in one.parts]
        how |= {"seeds": 1, "first_seed": seed, "settings": finetune}
    if not ((out / "suite.json").is_file() and all(path.is_file() for path in done)):
        suite(one.name, **how)


def measured(one: Wanted, out: Path) -> list[Measured]:
    """What a finished suite says of the model of one seed, test by test."""
    if isinstance(one.suite, MinimalPairs):
        return of_pairs(one.name, read_run(out, one.suite))
    return of_suite(one.name, results(out, one.parts))


def remarks_of(one: Wanted, out: Path) -> list[str]:
    """What the suite said of the files of a run: texts that were cut, leakage, by paths that do not name the row."""
    told = read_json(out / "suite.json")
    if isinstance(one.suite, MinimalPairs):
        return [str(note) for note in told.get("notes", []) if "[UNK]" in note or "equal scores" in note]
    return [re.sub(rf"[^\s(;]*/{one.name}/data/", "data/", str(note)) for note in told.get("remarks", [])]
