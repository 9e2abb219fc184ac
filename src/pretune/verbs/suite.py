"""suite: a model on a suite of labelled sets from local files, fine-tuned with several seeds, scored as its authors do.

    out/suite.yaml                   the request: suite, model, settings, hashes of the files
    out/data/PART/*.jsonl            the files in one layout, labels by their names
    out/PART/seed-N/                 a fine-tuning run each, and predictions-FILE.jsonl
    out/submission/*                 answers for the suite's server or official scorer, of each part's median seed
    out/suite.json, out/report.html  medians, spreads, intervals, the suite's average

The same call continues where it was interrupted. What has no files is named with the place it is published at, and the
rest runs; an average over fewer parts says so. Every file is read before the first run, so what is wrong with one is
said at once. The runs themselves: `suite_runs.py`; suites that train nothing: `suite_pairs.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import load_yaml
from pretune.core.errors import InputError
from pretune.core.lock import claimed
from pretune.core.registry import find as find_entry
from pretune.evaluate.forest import Forest
from pretune.evaluate.report import Report, write_report
from pretune.evaluate.slices import Slice
from pretune.evaluate.suites.minimal_pairs import MinimalPairs
from pretune.evaluate.suites.standing import Scored, Standing, average, compared, standings
from pretune.evaluate.suites.suite import Part, Suite, labelled_files, runnable
from pretune.evaluate.table import Table, as_text
from pretune.verbs import records
from pretune.verbs.suite_pairs import PairRequest, judge_pairs
from pretune.verbs.suite_runs import Files, Request, fine_tuned, prepared, remarks, scored, submit

DEFAULT_SEEDS = 3


def suite(
    name: str,
    *,
    model: str,
    data: str | Path,
    out: str | Path,
    seeds: int | None = None,
    limit: int | None = None,
    against: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    allow_pickle: bool = False,
    first_seed: int = 1,
) -> dict[str, Any]:
    """Fine-tunes and scores a model on every part of a suite whose files are there; on minimal pairs, as it is.

    name: from `evaluate/suites/` (glue, superglue, squad, swag, sts, conll, ud, multi30k, scitldr, blimp). data: the
    directory that holds the parts' files. seeds: so many (3), from `first_seed` on. limit: of blimp, the first so many
    pairs of each set.
    against: the --out directory of another model's finished suite on the same files, to be compared with, part by part.
    settings: of the fine-tuning runs; they go before a part's own (its metric, its length); of blimp, `PairSettings`.
    Raises InputError where no part has its files, and where `out` holds another request.
    """
    chosen: Suite | MinimalPairs = find_entry("pretune.evaluate.suites", "suite", name)
    if isinstance(chosen, MinimalPairs):
        if seeds is not None:
            raise InputError(f"{name} is scored without training, so there are no seeds: leave --seeds out")
        asked_pairs = PairRequest(str(model), Path(data), Path(out), limit, settings, threads, allow_pickle)
        return judge_pairs(chosen, asked_pairs, None if against is None else Path(against))
    if limit is not None:
        raise InputError(f"{name} is scored on whole files: --limit is for suites of minimal pairs (blimp)")
    seeds = DEFAULT_SEEDS if seeds is None else seeds
    request = Request(str(model), Path(data), Path(out), seeds, settings, threads, allow_pickle, first_seed)
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: give at least 1")
    if not request.data.is_dir():
        raise InputError(f"{data} is not a directory: name the one with the suite's files with --data")
    present, absent = runnable(chosen, request.data)
    if not present:
        raise InputError(f"none of the files of {name} is in {data}:\n" + "\n".join(absent))
    with claimed(request.out, f"pretune suite {name}"):
        _write_request(request, chosen, present)
        shared = [] if against is None else _shared(Path(against), chosen, present, request)
        found, notes = _run(request, present)
        others = None if against is None else results(Path(against), shared, allow_pickle)
        mean, told = average(chosen, found)
        about, notes = notes, [told, _seeds_note(seeds), *notes, *absent]
        rows = standings(found)
        tables, facts = _tables(rows, notes, found, others)
        asked = {"suite": chosen.name, "model": request.model, "seeds": seeds}
        result = {**asked, "average": mean, "average_note": told, **facts, "notes": notes, "remarks": about}
        result |= {"missing": absent}
        records.write_json(request.out / "suite.json", result)
        write_report(_page(chosen, request.model, mean, rows, tables), request.out / "report.html")
    return result | {"text": "\n\n".join(as_text(table) for table in tables)}


def _seeds_note(seeds: int) -> str:
    if seeds == 1:
        return "1 seed; in brackets: 95 % interval over test items"
    return f"{seeds} seeds; in brackets: 95 % interval over seeds and test items, within the metric's range"


def _run(request: Request, present: Sequence[Part]) -> tuple[list[Scored], list[str]]:
    """Every part's runs, the finished ones without doing them again; and what a reader of the scores must know."""
    files: dict[str, Files] = {part.name: prepared(part, request) for part in present}
    found: dict[str, list[Scored]] = {}
    notes = []
    for part in present:
        trained = part.trained_on or part.name
        own = {"train": files[trained]["train"], **files[part.name]}
        if part.trained_on is None:
            fine_tuned(part, request, own)
        found[part.name] = scored(part, request.out, request.seed_numbers, own, request.allow_pickle)
        submit(part, request, own, found[trained])
        notes += remarks(part, request, own)
    return [one for runs in found.values() for one in runs], notes


def _write_request(request: Request, chosen: Suite, present: Sequence[Part]) -> None:
    """suite.yaml; InputError where the directory holds other results. Seeds may be added later, and parts. A request
    that was refused before its first run is replaced."""
    hashes = {part.name: part_hashes(part, request.data) for part in present}
    start = {"model": request.model, "model_sha256": records.origin(request.model)["sha256"]}
    asked = {"suite": chosen.name, **start, "settings": records.assignments(request.settings)}
    path = request.out / "suite.yaml"
    if path.is_file() and next(request.out.glob("*/seed-*"), None):
        found = load_yaml(path)
        changed = [key for key in asked if found.get(key) != asked[key]]
        before = found.get("files", {})
        changed += [name for name in hashes.keys() & before.keys() if hashes[name] != before[name]]
        if changed:
            raise InputError(f"{request.out} holds another suite ({', '.join(changed)} differ): give another --out")
        hashes = before | hashes
    records.write_yaml(path, {**asked, "files": hashes})


def part_hashes(part: Part, data: Path) -> dict[str, str]:
    """{what a labelled file is: sha256}; of a file that belongs to another one, under both names."""
    found = {}
    for name, path in labelled_files(part, data).items():
        for file in part.layout.files(path):
            if file.is_file():
                found[name if file == path else f"{name} ({file.name})"] = records.file_sha256(file)
    return found


def _shared(directory: Path, chosen: Suite, present: Sequence[Part], request: Request) -> list[Part]:
    """The parts that another model's suite was scored on with the same files. InputError where there are none."""
    if not (directory / "suite.yaml").is_file():
        raise InputError(f"{directory} holds no suite: --against takes the --out directory of another `pretune suite`")
    theirs, ours = load_yaml(directory / "suite.yaml"), load_yaml(request.out / "suite.yaml")
    if theirs["suite"] != chosen.name:
        raise InputError(f"{directory} holds the suite {theirs['suite']}, not {chosen.name}")
    same = [part for part in present if theirs["files"].get(part.name) == ours["files"][part.name]]
    finished = [part for part in same if _seeds(directory, part)]
    if not finished:
        why = "no run of it is finished" if same else "their files differ"
        raise InputError(f"{directory} has no part to compare with this one: {why}")
    return finished


def _seeds(directory: Path, part: Part) -> list[int]:
    """Of a part's finished runs."""
    runs = (directory / (part.trained_on or part.name)).glob("seed-*/metrics.json")
    return sorted(int(run.parent.name.removeprefix("seed-")) for run in runs)


def results(directory: Path, parts: Sequence[Part], allow_pickle: bool = False) -> list[Scored]:
    """What the finished runs of a suite's directory predicted on these parts, without doing anything again."""
    found = []
    for part in parts:
        seeds = _seeds(directory, part)
        files = {name: directory / "data" / part.name / f"{name}.jsonl" for name in part.scored}
        files["train"] = directory / "data" / (part.trained_on or part.name) / "train.jsonl"
        files = {name: path for name, path in files.items() if path.is_file()}
        if seeds:
            found += scored(part, directory, seeds, files, allow_pickle)
    return found


def _tables(
    rows: Sequence[Standing], notes: Sequence[str], found: Sequence[Scored], others: Sequence[Scored] | None
) -> tuple[list[Table], dict[str, Any]]:
    """The tables to show, and what suite.json says of them."""
    head = ("part", "file", "metric", "train", "n", "median", "lowest", "highest", "mean [95 %]", "best simple method")
    tables = [Table(head, tuple(row.cells for row in rows), "Scores", (*notes, *_row_notes(rows)))]
    facts: dict[str, Any] = {"parts": [row.facts for row in rows]}
    if others is not None:
        differences = compared(found, others)
        facts["against"] = [difference.facts for difference in differences]
        columns = ("part", "file", "metric", "difference [95 %]", "McNemar p")
        told = ["this model minus the other on the same items"]
        both = {(one.part, one.file) for one in differences}
        left_out = dict.fromkeys(f"{row.part} {row.file}" for row in rows if (row.part, row.file) not in both)
        if left_out:
            told.append(f"left out, as the other has no scores on the same files: {', '.join(left_out)}")
        tables.append(Table(columns, tuple(one.cells for one in differences), "Against the other model", tuple(told)))
    return tables, facts


def _row_notes(rows: Sequence[Standing]) -> list[str]:
    """Names the scores that a method without a network reaches, and those whose interval is not over seeds."""
    reached = [row.name for row in rows if row.is_reached_without_network]
    by_items = [row.name for row in rows if len(row.scores) > 1 and not row.over_seeds]
    told = {"no better than a simple method, by the median": reached, "intervals over test items alone": by_items}
    return [f"{what}: {', '.join(names)}" for what, names in told.items() if names]


def _page(
    chosen: Suite, model: str, average: float | None, rows: Sequence[Standing], tables: Sequence[Table]
) -> Report:
    """report.html: the tables, and where there is an average a picture of the scores around it."""
    title = f"pretune suite {chosen.name}"
    if average is None:
        return Report(title, tuple(tables), model)
    shown = tuple(Slice("mean over seeds", row.name, row.num_items, row.mean) for row in rows)
    picture = Forest("Scores and their intervals", "score", shown, average)
    return Report(title, (tables[0], picture, *tables[1:]), model, {"average": average})
