"""curve: the score against the number of labelled records, of a pre-trained model, the same body from scratch, and
simple methods.

    out/curve.yaml                       the request: task, model, settings, hashes of the files
    out/SYSTEM/size-N/seed-S/            run.json and predictions.jsonl of one model; while it trains, its checkpoints
    out/simple/size-N/seed-S/*.jsonl     predictions of the simple methods
    out/curve.json, out/report.html      scores of every draw, means with intervals, differences

Systems share their draws: those of one seed are nested (`evaluate.learning_curve.draws`). Models are scored and not
kept. The same call continues where it was interrupted, and more sizes or seeds may be asked for later.

There is no validation file: labels that choose a model are labels that were paid for, so the last weights are scored
(Perez et al. 2021). Names of labels are taken from the whole training file, and nothing else is.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pretune.core.config import load_yaml
from pretune.core.errors import InputError, unknown
from pretune.core.lock import NAME as LOCK
from pretune.core.lock import claimed
from pretune.evaluate.findings import sentence
from pretune.evaluate.learning_curve import (
    LearningCurve,
    class_of,
    curve_chart,
    curve_table,
    difference_table,
    draws,
    parse_sizes,
    verdicts,
)
from pretune.evaluate.report import Code, Report, Section, Text, write_report
from pretune.evaluate.table import as_text
from pretune.metrics.checks import IntArray
from pretune.tasks.task import Prediction, Task, open_task
from pretune.text.records import Record, read_records
from pretune.verbs import records
from pretune.verbs.check import check_rows
from pretune.verbs.console import say
from pretune.verbs.settings import CurveSettings, FinetuneSettings, resolve_run
from pretune.verbs.start import begin
from pretune.verbs.tune import tune

SYSTEMS = {"pretrained": "pre-trained", "scratch": "the same from scratch", "frozen": "frozen features"}
"""What is trained -> what reports call it. The first one is what the others are compared with."""
SIMPLE = "simple"
OWN = set(CurveSettings.model_fields) - set(FinetuneSettings.model_fields)


def curve(
    task: str,
    *,
    model: str,
    train: str | Path,
    test: str | Path,
    out: str | Path,
    sizes: str | Sequence[int] | None = None,
    seeds: int = 3,
    systems: Sequence[str] = ("pretrained", "scratch"),
    settings: Sequence[str] | dict[str, Any] = (),
    threads: int | None = None,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Fine-tunes on draws of several sizes, and returns what curve.json holds.

    sizes: numbers of labelled records, and "all"; None: 16 and four times as many each, to all. seeds: draws of each
    size. systems: pretrained, scratch (the same body with fresh weights), frozen (only the head trains). settings:
    fields of `CurveSettings`. Raises InputError for files or settings that are wrong, and where `out` holds something
    else; RunError for a run that failed.
    """
    out, device = Path(out), records.choose_device(threads)
    resolved = resolve_run(CurveSettings, {}, {}, settings)
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: give at least 1")
    for system in systems:
        if system not in SYSTEMS:
            raise unknown("system", system, SYSTEMS)
    columns = {name: str(column) for name, column in resolved.columns.items()}
    rows = {"train": read_records(train, columns=columns), "test": read_records(test, columns=columns)}
    whole = open_task(task, resolved.task).fit_labels(rows["train"])
    whole.check(rows["test"])
    asked = sizes if sizes is None or isinstance(sizes, str) else ",".join(map(str, sizes))
    plan = Plan(task, whole, model, rows["train"], rows["test"], resolved, out, device, allow_pickle)
    plan.check()
    found = [sentence(finding) for finding in check_rows(rows, whole, resolved.check) if finding.severity != "remark"]
    request = {
        "task": task,
        "model": model,
        "model_sha256": records.origin(model)["sha256"],
        "train": records.file_sha256(train),
        "test": records.file_sha256(test),
        "settings": records.assignments(settings),
    }
    with claimed(out, "pretune curve"):
        _write_request(out, request)
        results = _run(plan, parse_sizes(asked, len(rows["train"])), seeds, list(dict.fromkeys(systems)))
        return _finish(plan, results, request, [*found, *plan.notes])


def _write_request(out: Path, request: dict[str, Any]) -> None:
    """curve.yaml; InputError where the directory holds another curve, or something else. A request that was refused
    before its first run is replaced."""
    path = out / "curve.yaml"
    if next(out.glob("*/size-*"), None) and path.is_file():
        before = load_yaml(path)
        if changed := [key for key in request if before.get(key) != request[key]]:
            raise InputError(f"{out} holds another curve ({', '.join(changed)} differ): give another --out")
    elif others := {one.name for one in out.iterdir()} - {LOCK, path.name, path.name + records.PARTIAL}:
        raise InputError(f"{out} holds other files ({min(others)}): give another --out")
    records.write_yaml(path, request)


@dataclass
class Plan:
    """All that a run needs. whole: the task bound to the whole training file."""

    name: str
    whole: Task
    model: str
    train: Sequence[Record] = field(repr=False)
    test: Sequence[Record] = field(repr=False)
    settings: CurveSettings
    out: Path
    device: str
    allow_pickle: bool
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """InputError for settings that make no curve."""
        if self.settings.epochs is None and self.settings.steps is None:
            raise InputError("a learning curve needs epochs or steps: tokens and seconds do not grow with the labels")
        if self.settings.patience is not None:
            raise InputError("patience needs a validation file, and a learning curve has none: leave it out")
        for system in SYSTEMS:
            self.settings_for(system, 1, len(self.train))
        _ = self.classes

    @cached_property
    def classes(self) -> list[str] | None:
        if self.settings.draw == "random":
            return None
        return [class_of(self.whole.contents(record)) for record in self.train]

    def drawn(self, size: int, seed: int) -> list[Record]:
        order_N: IntArray = draws(len(self.train), seed, self.classes)
        return [self.train[number] for number in order_N[:size].tolist()]

    def bound(self, labelled: Sequence[Record]) -> Task:
        """The task bound to a draw, with the label names of the whole file."""
        return open_task(self.name, self.settings.task | self.whole.label_settings).fit_labels(labelled)

    def settings_for(self, system: str, seed: int, size: int) -> FinetuneSettings:
        """Settings of one run; at least `min_steps` long."""
        told = self.settings.model_dump(mode="json", exclude=OWN)
        ours = {"pretrained": {}, "scratch": self.settings.scratch, "frozen": self.settings.frozen}[system]
        found = resolve_run(FinetuneSettings, told, None, ours)
        steps = found.steps
        if steps is None and found.epochs is not None:
            steps = max(self.settings.min_steps, math.ceil(found.epochs * size / found.batch_size))
        adapt = "frozen" if system == "frozen" else found.adapt
        return resolve_run(FinetuneSettings, told, ours, {"steps": steps, "seed": seed, "adapt": adapt})


def _run(plan: Plan, sizes: Sequence[int], seeds: int, systems: Sequence[str]) -> LearningCurve:
    """Every run that is not done, and what all are worth."""
    results = LearningCurve(plan.whole.main_metric, plan.whole.unit)
    cut = {}
    for size in sizes:
        for seed in range(1, seeds + 1):
            labelled = plan.drawn(size, seed)
            try:
                task = plan.bound(labelled)
            except InputError as error:
                raise InputError(f"the draw of {size} {plan.whole.unit} of seed {seed}: {error}") from error
            for system in systems:
                place = plan.out / system / f"size-{size}" / f"seed-{seed}"
                predictions, facts = _model_run(plan, task, system, labelled, seed, place)
                results.add(SYSTEMS[system], size, task.items(predictions, plan.test))
                cut = facts
            for name, guesses in _simple_run(plan, task, labelled, size, seed).items():
                results.add(name, size, task.items(guesses, plan.test))
    if number := cut.get("truncated_when_scored"):
        plan.notes.append(f"{number:,} of {len(plan.test):,} test texts did not fit in max_length and were cut")
    return results


def _model_run(
    plan: Plan, task: Task, system: str, labelled: Sequence[Record], seed: int, place: Path
) -> tuple[list[Prediction], dict[str, Any]]:
    """Predictions on the test records and the facts of run.json; trained only if they are not there."""
    kept, told = place / "predictions.jsonl", place / "run.json"
    if told.is_file():
        return records.read_json_lines(kept), json.loads(told.read_text("utf-8"))
    settings = plan.settings_for(system, seed, len(labelled))
    how: dict[str, Any] = {"top": plan.settings.top, "shape": plan.settings.model, "allow_pickle": plan.allow_pickle}
    bundle = begin(plan.model, task, seed=seed, head="fresh", **how).bundle
    if "body" in bundle.fresh_weights:
        raise InputError(f"{plan.model} has fresh weights: name a pre-trained model, to compare it with fresh ones")
    if system == "scratch":
        bundle.model.initialise(seed)
    is_long = settings.steps is not None and settings.steps > settings.save_every_steps
    tuned = tune(bundle, plan.name, task, labelled, settings, out=place if is_long else None, device=plan.device)
    found = tuned.evaluate(plan.test, settings.max_length)
    facts = {
        "size": len(labelled),
        "seed": seed,
        "steps": tuned.report.steps,
        "seconds": round(tuned.report.seconds, 2),
        "scores": found.scores,
        "truncated": tuned.num_truncated,
        "truncated_when_scored": found.num_truncated,
    }
    records.write_text(kept, records.json_lines(found.predictions))
    records.write_json(told, facts)
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    score = found.scores[task.main_metric]
    unit = f"{len(labelled):,} {task.unit}, draw {seed}"
    say(f"{unit}: {SYSTEMS[system]} {task.main_metric} {score:.3f} ({facts['steps']} steps, {facts['seconds']:.0f} s)")
    return found.predictions, facts


def _simple_run(
    plan: Plan, task: Task, labelled: Sequence[Record], size: int, seed: int
) -> dict[str, list[Prediction]]:
    """Predictions of the simple methods, by name."""
    place = plan.out / SIMPLE / f"size-{size}" / f"seed-{seed}"
    listed = place / "methods.json"
    if listed.is_file():
        names = json.loads(listed.read_text("utf-8"))["methods"]
        return {name: records.read_json_lines(place / f"{name}.jsonl") for name in names}
    found = task.baseline_predictions(labelled, plan.test)
    for name, guesses in found.items():
        records.write_text(place / f"{name}.jsonl", records.json_lines(guesses))
    records.write_json(listed, {"methods": list(found)})
    return found


def _finish(plan: Plan, results: LearningCurve, request: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """curve.json and report.html, and what the verb returns."""
    first = results.systems[0]
    said = verdicts(results, first)
    told = (*_how(plan), *plan.whole.notes, *notes)
    tables = [curve_table(results), difference_table(results, first)]
    result = {
        **{key: request[key] for key in ("task", "model")},
        "metric": results.metric,
        "unit": results.unit,
        "test_records": len(plan.test),
        "points": _points(results),
        "differences": _differences(results, first),
        "notes": list(told),
    }
    records.write_json(plan.out / "curve.json", result)
    unbeaten = any("NOT" in one or "WORSE" in one for one in said)
    sections: tuple[Section, ...] = (
        curve_chart(results),
        Text("Against the others", said, warning=unbeaten),
        *tables,
        Text("How it was measured", told),
        Code("Settings", "\n".join(records.assignments(plan.settings.model_dump(mode="json")))),
    )
    report = write_report(Report(f"Learning curve: {plan.name}", sections, plan.model), plan.out / "report.html")
    text = "\n\n".join([as_text(tables[0]), "\n".join(said), f"report: {report}"])
    return result | {"text": text}


def _how(plan: Plan) -> tuple[str, ...]:
    settings = plan.settings
    drawn = "at random" if settings.draw == "random" else "with every class as often as in the whole file"
    if settings.steps is None:
        epochs = f"{settings.epochs:g} epoch{'' if settings.epochs == 1 else 's'}"
        length = f"{epochs} of its draw, and at least {settings.min_steps} steps (min_steps)"
    else:
        length = f"{settings.steps} steps"
    return (
        f"Labelled {plan.whole.unit} are drawn {drawn} from {len(plan.train):,}; a draw contains the smaller ones of "
        "its seed, and all systems learn from the same.",
        f"Every run lasts {length}, {settings.batch_size} {plan.whole.unit} a step: with few labels some epochs would "
        "be too few steps (Mosbach et al. 2021; Zhang et al. 2021). The last weights are scored; nothing is chosen on "
        "other labels.",
        f"Scored on {len(plan.test):,} test {plan.whole.unit}. The names of the labels are those of the whole training "
        "file.",
    )


def _points(results: LearningCurve) -> list[dict[str, Any]]:
    rows = []
    for system, size in results.items:
        mean, over_draws = results.mean(system, size)
        rows.append(
            {
                "system": system,
                "size": size,
                "scores": results.scores(system, size),
                "mean": mean.estimate,
                "low": mean.low,
                "high": mean.high,
                "over_draws": over_draws,
            }
        )
    return rows


def _differences(results: LearningCurve, first: str) -> list[dict[str, Any]]:
    rows = []
    for other in (system for system in results.systems if system != first):
        for size in results.sizes:
            found = results.difference(first, other, size)
            d = found.difference
            figures = {"difference": d.estimate, "low": d.low, "high": d.high, "verdict": found.verdict}
            rows.append({"of": first, "minus": other, "size": size} | figures)
    return rows
