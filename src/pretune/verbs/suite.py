"""suite: a model on a suite of labelled sets from local files, fine-tuned with several seeds, scored as its authors do.

    out/suite.yaml                   the request: suite, model, settings, hashes of the files
    out/data/PART/*.jsonl            the files in one layout, labels by their names
    out/PART/seed-N/                 a fine-tuning run each, and predictions-FILE.jsonl
    out/submission/*.tsv             answers for the suite's server, of each part's seed with the median score
    out/suite.json, out/report.html  medians, spreads, intervals, the suite's average

The same call continues where it was interrupted. What has no files is named with the place it is published at, and the
rest runs; an average over fewer parts says so.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import load_yaml
from pretune.core.errors import InputError
from pretune.core.lock import claimed
from pretune.core.registry import find as find_entry
from pretune.evaluate.report import Report, write_report
from pretune.evaluate.suites.standing import Scored, average, compared, standings
from pretune.evaluate.suites.suite import Part, Suite, find, missing, read_part
from pretune.evaluate.table import Table, as_text
from pretune.tasks.run import evaluate_task
from pretune.text.records import Record, read_records
from pretune.verbs import records
from pretune.verbs.finetune import finetune
from pretune.verbs.predictions import longest_of, task_of
from pretune.verbs.pretrained import load


def suite(
    name: str,
    *,
    model: str,
    data: str | Path,
    out: str | Path,
    seeds: int = 3,
    against: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Fine-tunes and scores a model on every part of a suite whose files are there.

    name: from `evaluate/suites/` (glue, conll). data: the directory that holds the parts' files. seeds: 1 to so many.
    against: the --out directory of another model's finished suite on the same files, to be compared with, part by part.
    settings: of the fine-tuning runs; a part's own (its metric) come first.
    Raises InputError where no part has its files, or where `out` holds another request.
    """
    out, data = Path(out), Path(data)
    chosen: Suite = find_entry("pretune.evaluate.suites", "suite", name)
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: give at least 1")
    if not data.is_dir():
        raise InputError(f"{data} is not a directory: name the one with the suite's files with --data")
    present, absent = _present(chosen, data)
    if not present:
        raise InputError(f"none of the files of {name} is in {data}:\n" + "\n".join(absent))
    with claimed(out, f"pretune suite {name}"):
        _write_request(out, chosen, str(model), data, present, settings)
        scored = [
            found
            for part in present
            for found in _run_part(part, data, out, str(model), seeds, settings, threads, allow_pickle)
        ]
        others = None if against is None else _other(Path(against), chosen, present, out)
        mean, told = average(chosen, scored)
        notes = [told, f"{seeds} seeds; in brackets: 95 % interval over seeds and test items", *absent]
        tables, facts = _tables(scored, others, notes)
        asked = {"suite": chosen.name, "model": str(model), "seeds": seeds}
        result = {**asked, "average": mean, "average_note": told, **facts, "missing": absent}
        records.write_json(out / "suite.json", result)
        write_report(Report(f"pretune suite {name}", tuple(tables), str(model), {"average": mean}), out / "report.html")
    return result | {"text": "\n\n".join(as_text(table) for table in tables)}


def _present(chosen: Suite, data: Path) -> tuple[list[Part], list[str]]:
    """The parts that can run, and what is missing, in words."""
    present, absent = [], []
    for part in chosen.parts:
        if gap := missing(part, data):
            absent.append(gap)
        if find(data, part.train) and any(find(data, names) for names in part.scored.values()):
            present.append(part)
    return present, absent


def _files(part: Part, data: Path) -> dict[str, Path]:
    """{what a file is: its path} of the labelled files that are there."""
    named = {"train": part.train, "valid": part.valid, **part.scored}
    return {name: path for name, names in named.items() if (path := find(data, names)) is not None}


def _write_request(
    out: Path,
    chosen: Suite,
    model: str,
    data: Path,
    present: Sequence[Part],
    settings: Sequence[str] | Mapping[str, Any],
) -> None:
    """suite.yaml; InputError where the directory holds other results. Seeds may be added later, and parts."""
    hashes = {
        part.name: {name: records.file_sha256(path) for name, path in _files(part, data).items()} for part in present
    }
    start = {"model": model, "model_sha256": records.origin(model)["sha256"]}
    request = {"suite": chosen.name, **start, "settings": records.assignments(settings)}
    path = out / "suite.yaml"
    if path.is_file():
        found = load_yaml(path)
        changed = [key for key in request if found.get(key) != request[key]]
        before = found.get("files", {})
        changed += [name for name in hashes.keys() & before.keys() if hashes[name] != before[name]]
        if changed:
            raise InputError(f"{out} holds another suite ({', '.join(changed)} differ): give another --out")
        hashes = before | hashes
    records.write_yaml(path, {**request, "files": hashes})


def _run_part(
    part: Part,
    data: Path,
    out: Path,
    model: str,
    seeds: int,
    settings: Sequence[str] | Mapping[str, Any],
    threads: int | None,
    allow_pickle: bool,
) -> list[Scored]:
    """Every seed's run, those that are finished without doing them again, and what they are worth."""
    files = {name: _converted(part, path, out / "data" / part.name / name) for name, path in _files(part, data).items()}
    scored_files = [name for name in part.scored if name in files]
    found = []
    for seed in range(1, seeds + 1):
        run = out / part.name / f"seed-{seed}"
        if not (run / "metrics.json").is_file():
            finetune(
                part.task,
                model=model,
                train=files["train"],
                valid=files.get("valid"),
                test=files[scored_files[0]],
                out=run,
                settings=_settings(part, seed, settings),
                threads=threads,
                allow_pickle=allow_pickle,
            )
        metrics = json.loads((run / "metrics.json").read_text("utf-8"))
        for name in scored_files:
            found.append(_scored(part, seed, name, run, files[name], metrics))
    _submit(part, data, out, found)
    return found


def _settings(part: Part, seed: int, given: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The part's own settings, then the user's, as assignments."""
    return [*records.assignments(part.settings), *records.assignments(given), f"seed={seed}"]


def _converted(part: Part, path: Path, stem: Path) -> Path:
    """A file in pretune's own layout: a JSON object a line."""
    target = stem.with_suffix(".jsonl")
    rows = read_part(part, path)
    records.write_text(target, "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))
    return target


def _scored(part: Part, seed: int, name: str, run: Path, path: Path, metrics: Mapping[str, Any]) -> Scored:
    """One run on one file: predictions are kept, so that they can be compared without the model."""
    kept = run / f"predictions-{name}.jsonl"
    rows = read_records(path)
    bundle = load(str(run / "model")).bundle
    _, task = task_of(bundle, part.task)
    if kept.is_file():
        predictions = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    else:
        found = evaluate_task(bundle.model, task, rows, bundle.tokenizer, bundle.template, longest_of(bundle))
        predictions = found.predictions
        lines = (json.dumps(prediction, ensure_ascii=False) + "\n" for prediction in predictions)
        records.write_text(kept, "".join(lines))
    baselines = metrics["baselines"]["scores"] if name == next(iter(part.scored)) else {}
    return Scored(part, name, seed, task, rows, predictions, baselines, int(metrics["examples"]["train"]))


def _submit(part: Part, data: Path, out: Path, found: Sequence[Scored]) -> None:
    """The answers for the server, by the seed with the median score."""
    by_score = sorted((one for one in found if one.file == found[0].file), key=lambda one: one.score)
    chosen = by_score[(len(by_score) - 1) // 2]
    for name, names in part.submitted.items():
        if (path := find(data, names)) is not None:
            rows: list[Record] = read_part(part, path, labelled=False)
            answers = load(str(out / part.name / f"seed-{chosen.seed}" / "model")).predict(rows)
            lines = [f"{number}\t{part.server_label(answer)}" for number, answer in enumerate(answers)]
            records.write_text(out / "submission" / name, "\n".join(["index\tprediction", *lines]) + "\n")


def _other(directory: Path, chosen: Suite, present: Sequence[Part], out: Path) -> list[Scored]:
    """What another model's finished suite predicted on the same files."""
    if not (directory / "suite.yaml").is_file():
        raise InputError(f"{directory} holds no suite: --against takes the --out directory of another `pretune suite`")
    theirs, ours = load_yaml(directory / "suite.yaml"), load_yaml(out / "suite.yaml")
    if theirs["suite"] != chosen.name:
        raise InputError(f"{directory} holds the suite {theirs['suite']}, not {chosen.name}")
    found = []
    for part in present:
        if theirs["files"].get(part.name) != ours["files"][part.name]:
            continue
        for run in sorted((directory / part.name).glob("seed-*/metrics.json")):
            metrics = json.loads(run.read_text("utf-8"))
            seed = int(run.parent.name.removeprefix("seed-"))
            files = directory / "data" / part.name
            names = [name for name in part.scored if (files / f"{name}.jsonl").is_file()]
            found += [_scored(part, seed, name, run.parent, files / f"{name}.jsonl", metrics) for name in names]
    return found


def _tables(
    scored: Sequence[Scored], others: Sequence[Scored] | None, notes: Sequence[str]
) -> tuple[list[Table], dict[str, Any]]:
    """The tables to show, and what suite.json says of them."""
    rows = standings(scored)
    columns = (
        "part",
        "file",
        "metric",
        "train",
        "n",
        "median",
        "lowest",
        "highest",
        "mean [95 %]",
        "best simple method",
    )
    tables = [Table(columns, tuple(row.cells for row in rows), "Scores", tuple(notes))]
    facts: dict[str, Any] = {"parts": [row.facts for row in rows]}
    if others is not None:
        differences = compared(scored, others)
        facts["against"] = [difference.facts for difference in differences]
        head = ("part", "file", "metric", "difference [95 %]", "McNemar p")
        told = "this model minus the other on the same items; parts whose files differ are left out"
        tables.append(Table(head, tuple(one.cells for one in differences), "Against the other model", (told,)))
    return tables, facts
