"""The runs of a suite: a part fine-tuned with each seed, its files predicted and scored, a server's files answered.

Predictions are kept beside the model they come from, so that a finished suite is scored, compared and submitted again
without opening a model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.huggingface import read_json
from pretune.checkpoint.seal import MANIFEST
from pretune.core.config import load_yaml, merge, parse_assignments
from pretune.core.errors import InputError
from pretune.evaluate.findings import sentence
from pretune.evaluate.suites.standing import Scored, scores_of
from pretune.evaluate.suites.suite import Part, labelled_files, submitted_files
from pretune.tasks.run import predict
from pretune.tasks.task import Prediction, Scores, Task, open_task
from pretune.text.findings import Finding
from pretune.text.records import Record, read_records
from pretune.train.config import BUDGETS
from pretune.verbs import records
from pretune.verbs.check import check_rows
from pretune.verbs.finetune import finetune
from pretune.verbs.predictions import longest_of
from pretune.verbs.pretrained import load

Files = Mapping[str, Path]
"""What a labelled file is called (train, valid, or as the part calls it) -> the file in pretune's own layout."""


@dataclass(frozen=True)
class Request:
    """What was asked of a suite. `out` holds the runs, `data` the files as they are published; seeds: so many, from
    `first_seed` on."""

    model: str
    data: Path
    out: Path
    seeds: int
    settings: Sequence[str] | Mapping[str, Any] = ()
    threads: int | None = None
    allow_pickle: bool = False
    first_seed: int = 1

    @property
    def seed_numbers(self) -> range:
        return range(self.first_seed, self.first_seed + self.seeds)


class Run:
    """A finished fine-tuning run of a part. Its model is opened only when something must be predicted."""

    def __init__(self, folder: Path, allow_pickle: bool = False) -> None:
        self.folder, self.allow_pickle = folder, allow_pickle

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "metrics.json").read_text("utf-8")))

    @cached_property
    def task(self) -> Task:
        told = read_json(self.folder / "model" / MANIFEST).get("task")
        if not isinstance(told, dict):
            raise InputError(f"{self.folder / 'model' / MANIFEST} names no task: remove {self.folder} and run again")
        return open_task(told["name"], told["settings"])

    @cached_property
    def columns(self) -> dict[str, str]:
        """Names of the columns that its settings ask for."""
        settings = load_yaml(self.folder / "run.yaml")["settings"]
        return {name: str(column) for name, column in settings["columns"].items()}

    @cached_property
    def bundle(self) -> Bundle:
        return load(str(self.folder / "model"), allow_pickle=self.allow_pickle).bundle

    def rows(self, path: Path) -> list[Record]:
        return read_records(path, self.columns)

    def predictions(self, name: str, rows: Sequence[Record]) -> list[Prediction]:
        """Those that are kept under this name, or new ones, which are kept."""
        kept = self.folder / f"predictions-{name}.jsonl"
        if kept.is_file():
            found = records.read_json_lines(kept)
            if len(found) != len(rows):
                raise InputError(
                    f"{kept} has {len(found)} predictions for {len(rows)} records: remove it and run again"
                )
            return found
        bundle = self.bundle
        found = predict(bundle.model, self.task, rows, bundle.tokenizer, bundle.template, longest_of(bundle))
        records.write_text(kept, records.json_lines(found))
        return found


def prepared(part: Part, request: Request) -> dict[str, Path]:
    """The part's labelled files in pretune's own layout, a JSON object a line; those to be answered are read, so that
    what is wrong with any file is said before the first run."""
    found = {}
    for name, path in labelled_files(part, request.data).items():
        rows = part.layout.read(path, "train" if name == "train" else "scored")
        if not rows:
            raise InputError(f"{path}: no record in it: fetch the file again")
        found[name] = request.out / "data" / part.name / f"{name}.jsonl"
        records.write_text(found[name], records.json_lines(map(dict, rows)))
    for path in submitted_files(part, request.data).values():
        part.layout.read(path, "submitted")
    return found


def fine_tuned(part: Part, request: Request, files: Files) -> None:
    """A run for each seed that has none yet."""
    first = next(name for name in part.scored if name in files)
    for seed in request.seed_numbers:
        out = request.out / part.name / f"seed-{seed}"
        if not (out / "metrics.json").is_file():
            finetune(
                part.task,
                model=request.model,
                train=files["train"],
                valid=files.get("valid"),
                test=files[first],
                out=out,
                settings=settings_of(part, seed, request.settings),
                threads=request.threads,
                allow_pickle=request.allow_pickle,
            )


def settings_of(part: Part, seed: int, given: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The part's own settings, the user's over them, as assignments."""
    wanted = parse_assignments(records.assignments(given))
    has_budget = any(wanted.get(budget) is not None for budget in BUDGETS)
    own = {name: value for name, value in part.settings.items() if not (has_budget and name in BUDGETS)}
    return records.assignments(merge(merge(own, wanted), {"seed": seed}))


def run_of(part: Part, folder: Path, seed: int, allow_pickle: bool = False) -> Run:
    """The run whose model a part is scored with."""
    return Run(folder / (part.trained_on or part.name) / f"seed-{seed}", allow_pickle)


def scored(part: Part, folder: Path, seeds: Sequence[int], files: Files, allow_pickle: bool = False) -> list[Scored]:
    """What each seed's model says of each of the part's files. folder: of the suite's runs. Without `train` among the
    files no simple methods are asked."""
    found = []
    for name in (name for name in part.scored if name in files):
        runs = [run_of(part, folder, seed, allow_pickle) for seed in seeds]
        rows = runs[0].rows(files[name])
        simple = _baselines(part, name, runs[0], rows, files, folder) if "train" in files else {}
        for seed, run in zip(seeds, runs, strict=True):
            predictions = run.predictions(_kept_name(part, name), rows)
            num_train = int(run.metrics["examples"]["train"])
            found.append(Scored(part, name, seed, run.task, rows, predictions, simple, num_train))
    return found


def _kept_name(part: Part, file: str) -> str:
    return file if part.trained_on is None else f"{part.name}-{file}"


def _baselines(
    part: Part, name: str, run: Run, rows: Sequence[Record], files: Files, folder: Path
) -> dict[str, Scores]:
    """Scores of the simple methods: those of the run where they tell all metrics of this file, else those that are kept
    for these very files."""
    if part.trained_on is None and not part.own and name == next(one for one in part.scored if one in files):
        return dict(run.metrics["baselines"]["scores"])
    kept = folder / "data" / part.name / f"baselines-{name}.json"
    hashes = {file: records.file_sha256(files[file]) for file in ("train", name)}
    found = read_json(kept) if kept.is_file() else {}
    if found.get("files") != hashes:
        guesses = run.task.baseline_predictions(run.rows(files["train"]), rows)
        scores = {method: scores_of(part, run.task, each, rows) for method, each in guesses.items()}
        found = {"files": hashes, "scores": scores}
        records.write_json(kept, found)
    return dict(found["scores"])


def submit(part: Part, request: Request, files: Files, chosen: Sequence[Scored]) -> None:
    """The answers for a server or an official scorer, by the seed with the median score. chosen: the runs on the files
    of the part whose model it is."""
    by_score = sorted((one for one in chosen if one.file == chosen[0].file), key=lambda one: one.score)
    run = run_of(part, request.out, by_score[(len(by_score) - 1) // 2].seed, request.allow_pickle)
    labelled = {path: name for name, path in labelled_files(part, request.data).items() if name in part.scored}
    for answers, path in submitted_files(part, request.data).items():
        if path in labelled:
            rows = run.rows(files[labelled[path]])
            name = _kept_name(part, labelled[path])
        else:
            rows = part.layout.read(path, "submitted")
            name = f"{_kept_name(part, path.stem)}-{records.file_sha256(path)[:12]}"
        text = part.submitted[answers].write(run.predictions(name, rows), rows)
        records.write_text(request.out / "submission" / answers, text)


def remarks(part: Part, request: Request, files: Files) -> list[str]:
    """What a reader of a part's scores must know: texts that were cut, test records that are in the training file."""
    run = run_of(part, request.out, request.first_seed, request.allow_pickle)
    if part.trained_on is None:
        found = [sentence(Finding(**one)) for one in run.metrics["check"] if one["kind"] == "leakage"]
        if num_cut := run.metrics["truncated_when_scored"].get("test", 0):
            total = run.metrics["examples"]["test"]
            found.append(f"{num_cut:,} of {total:,} texts that are scored were cut: a larger max_length reads more")
    else:
        train, found = run.rows(files["train"]), []
        for name in (name for name in part.scored if name in files):
            shared = check_rows({"train": train, "test": run.rows(files[name])}, run.task, "warn")
            found += [f"{name}: {sentence(one)}" for one in shared if one.kind == "leakage"]
    return [f"{part.name}: {one}" for one in found]
