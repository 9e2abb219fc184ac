"""finetune: a model and labelled files to a model for a task, scored beside simple baselines.

The run's directory holds run.yaml, metrics.jsonl, checkpoints/, metrics.json, report.html, card.md and model/. The same
call continues an interrupted run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.disk import OnDiskFull, OnFull
from pretune.checkpoint.huggingface import read_json
from pretune.checkpoint.seal import MANIFEST
from pretune.core.hooks import Hook
from pretune.core.randomness import derive_rng
from pretune.evaluate.diagnosis import diagnose
from pretune.evaluate.findings import sentence
from pretune.evaluate.outcome import Outcome, compare_sums, sentences
from pretune.evaluate.report import Section
from pretune.evaluate.written import about_written
from pretune.metrics.intervals import Interval
from pretune.metrics.significance import paired_bootstrap
from pretune.tasks.items import Items
from pretune.tasks.run import Evaluation, evaluate_task
from pretune.tasks.task import Prediction, Task, open_task
from pretune.text.findings import Finding
from pretune.text.records import Record, read_records
from pretune.train import distribute
from pretune.train.distribute import Processes
from pretune.train.energy import average_watts, co2_kg, energy_kwh
from pretune.train.progress import ShowProgress
from pretune.verbs import pages, records
from pretune.verbs.check import check_rows
from pretune.verbs.console import say
from pretune.verbs.settings import FinetuneSettings, read_run, resolve_run
from pretune.verbs.start import begin
from pretune.verbs.tune import Tuned, tune

File = str | Path
Guesses = Mapping[str, Sequence[Prediction]]


@records.alone("finetune")
def finetune(
    task: str,
    *,
    model: str,
    train: File,
    out: File,
    valid: File | None = None,
    test: File | None = None,
    tokenizer: File | None = None,
    config: File | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    hooks: Sequence[Hook] = (),
    allow_pickle: bool = False,
    on_disk_full: OnDiskFull = "stop",
) -> dict[str, Any]:
    """Fine-tunes a model on a labelled file and returns what metrics.json holds.

    valid: chooses the best weights. test: scored once, at the end, beside baselines trained on `train`; without it the
    validation file is compared. tokenizer: for a preset with fresh weights. settings: fields of `FinetuneSettings`.
    Of processes that torchrun started, process 0 alone returns it and writes; the others return nothing ({}).
    Raises InputError for files, labels or settings that are wrong, RunError for a run that failed.
    """
    out, processes = Path(out), distribute.join(records.choose_device(threads))
    device = processes.device
    resolved = resolve_run(FinetuneSettings, {}, read_run(config, "finetune")["settings"], settings)
    rows, bound, found = _labelled(task, resolved, {"train": train, "valid": valid, "test": test})
    how: dict[str, Any] = {"head": resolved.head, "top": resolved.top, "tokenizer": tokenizer, "shape": resolved.model}
    begun = begin(model, bound, seed=resolved.seed, allow_pickle=allow_pickle, **how)
    bundle, start = begun.bundle, begun.origin
    files = {"--train": train, "--valid": valid, "--test": test}
    options = {"--model": model, "--tokenizer": tokenizer, **files, "--out": out, "--config": config}
    words = ["finetune", task, *(["--allow-pickle"] if allow_pickle else [])]
    facts = {
        "verb": "finetune",
        "command": records.command(words, options, settings),
        "task": task,
        "model": str(model),
        "start": start | begun.facts,
        "tokenizer": bundle.tokenizer.fingerprint,
        "fresh_weights": list(bundle.fresh_weights),
        "data": {name[2:]: _file_facts(path, rows[name[2:]]) for name, path in files.items() if path},
        "settings": resolved.model_dump(mode="json"),
        "environment": records.environment(device) | {"processes": processes.world},
    }
    started = {"task": task, "model": start["sha256"] or start["name"]}
    for said in begun.sentences:
        say(said)
    shown = [records.WriteRun(out / "run.yaml", facts, started), ShowProgress("fine-tuning"), *hooks]
    where: dict[str, Any] = {"out": out, "device": device, "on_disk_full": on_disk_full, "processes": processes}
    before = untuned(bundle, bound, rows, resolved.max_length, device) if processes.is_first else {}
    tuned = tune(bundle, task, bound, rows["train"], resolved, valid=rows.get("valid"), hooks=shown, **where)
    distribute.leave()
    if not processes.is_first:
        return {}
    tuned.bundle.save(out / "model", on_full=OnFull(on_disk_full))
    return _results(out, facts, tuned, rows, found, resolved, processes, before)


def _labelled(
    name: str, settings: FinetuneSettings, files: Mapping[str, File | None]
) -> tuple[dict[str, list[Record]], Task, list[Finding]]:
    """The records of each file, the task bound to their labels, and what a check of them found."""
    rows = {part: _read(path, settings) for part, path in files.items() if path}
    bound = open_task(name, settings.task).fit_labels(rows["train"])
    for part in rows.keys() - {"train"}:
        bound.check(rows[part])
    return rows, bound, check_rows(rows, bound, settings.check)


def _results(
    out: Path,
    facts: Mapping[str, Any],
    tuned: Tuned,
    rows: Mapping[str, Sequence[Record]],
    found: Sequence[Finding],
    settings: FinetuneSettings,
    processes: Processes,
    before: Guesses,
) -> dict[str, Any]:
    """Scores the test file, writes metrics.json and the pages, and returns what the verb does."""
    tested = tuned.evaluate(rows["test"], settings.max_length) if "test" in rows else None
    metrics, outcomes = _metrics(facts, tuned, tested, rows, settings, processes, before)
    if limit := read_json(out / "model" / MANIFEST).get("transformers"):
        metrics["notes"].append(f"transformers {limit}")
    metrics["notes"] += [sentence(finding) for finding in found if finding.severity != "remark"]
    metrics["check"] = [finding.as_json() for finding in found]
    sections: tuple[Section, ...] = ()
    if (judged := tested or tuned.valid) is not None:
        part, rng = metrics["baselines"]["of"], derive_rng(settings.seed, "slices")
        overall = judged.scores[tuned.task.main_metric]
        seen = diagnose(tuned.task, judged.predictions, rows[part], rows["train"], overall, rng=rng)
        metrics |= {"calibration": seen.calibration, "slices": list(seen.slices)}
        wrote = about_written(tuned.task, judged.predictions, rows[part], rows["train"])
        metrics |= {"written": wrote.figures} if wrote.figures else {}
        metrics["notes"] += wrote.sentences
        sections = (*wrote.sections, *seen.sections)
    records.write_json(out / "metrics.json", metrics)
    curve = pages.read_curve(out / "metrics.jsonl")
    report = pages.finetuning_report(facts, metrics, curve, outcomes, sections)
    pages.write_pages(out, report, pages.finetuning_card(facts, metrics, outcomes))
    return metrics | {"text": pages.finetuning_text(metrics, outcomes, out)}


def _read(path: File, settings: FinetuneSettings) -> list[Record]:
    return read_records(path, columns={name: str(column) for name, column in settings.columns.items()})


def _file_facts(path: File, rows: Sequence[Record]) -> dict[str, Any]:
    return {"path": str(path), "examples": len(rows), "sha256": records.file_sha256(path)}


def _metrics(
    facts: Mapping[str, Any],
    tuned: Tuned,
    tested: Evaluation | None,
    rows: Mapping[str, Sequence[Record]],
    settings: FinetuneSettings,
    processes: Processes,
    before: Guesses,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What metrics.json holds, and the sentences on baselines."""
    part = "test" if tested is not None else "valid"
    judged = tested if tested is not None else tuned.valid
    baselines: dict[str, dict[str, float]] = {}
    outcomes: tuple[str, ...] = ()
    interval = None
    if judged is not None:
        interval = judged.items.interval(rng=derive_rng(settings.seed, "interval"))
        baselines, outcomes = compare_with_baselines(
            tuned.task, judged, rows["train"], rows[part], settings.seed, before
        )
    report = tuned.report
    watts, watts_source = average_watts(settings.watts, processes.device, processes.world, processes.num_machines)
    metrics = {
        "task": facts["task"],
        "model": facts["model"],
        "seed": settings.seed,
        "valid": {} if tuned.valid is None else tuned.valid.scores,
        "test": {} if tested is None else tested.scores,
        "seconds": round(report.seconds, 3),
        "examples_per_second": round(report.steps * settings.batch_size / max(report.training_seconds, 1e-9), 1),
        "parameters": tuned.parameters.total,
        "trainable_parameters": tuned.parameters.trainable,
        "main_metric": tuned.task.main_metric,
        "interval": None
        if interval is None
        else {"of": part, "low": interval.low, "high": interval.high, "level": 0.95},
        "baselines": {"of": part, "scores": baselines},
        "examples": {name: len(found) for name, found in rows.items()},
        "tokens": report.tokens,
        "truncated": tuned.num_truncated,
        "truncated_when_scored": {
            name: scored.num_truncated for name, scored in (("valid", tuned.valid), ("test", tested)) if scored
        },
        "empty": tuned.num_empty,
        "steps": report.steps,
        "best_step": None if report.best is None else report.best.step,
        "watts": watts,
        "watts_source": watts_source,
        "energy_kwh": (kwh := energy_kwh(watts, report.seconds)),
        "co2_kg": co2_kg(kwh),
        "notes": _notes(tuned, rows["train"], judged),
        "score_notes": list(tuned.task.notes),
        "start": facts["start"],
    }
    return metrics, outcomes


def _notes(tuned: Tuned, train: Sequence[Record], judged: Evaluation | None) -> list[str]:
    """What the run, the training file and the file that is scored have to say."""
    of_train = [f"training file: {remark}" for remark in tuned.task.remarks(train)]
    return [*tuned.report.notes, *of_train, *(judged.remarks if judged is not None else ())]


def untuned(bundle: Bundle, task: Task, rows: Mapping[str, Sequence[Record]], max_length: int, device: str) -> Guesses:
    """What the model says before it is trained, of the file it will be judged on; {} where its head is fresh then."""
    judged = rows.get("test") or rows.get("valid")
    if not task.scores_untuned or judged is None:
        return {}
    longest = min(max_length, bundle.max_length)
    model = bundle.model.to(device)
    found = evaluate_task(model, task, judged, bundle.tokenizer, bundle.template, longest)
    return {"untuned": found.predictions}


def compare_with_baselines(
    task: Task,
    judged: Evaluation,
    train: Sequence[Record],
    test: Sequence[Record],
    seed: int,
    before: Guesses | None = None,
) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Scores of the simple methods on the same records, and whether the network beats each, in sentences."""
    scores, outcomes = {}, []
    for name, guesses in {**task.baseline_predictions(train, test), **(before or {})}.items():
        scores[name] = task.score(guesses, test)
        outcomes.append(_outcome(name, task.main_metric, judged.items, task.items(guesses, test), seed))
    return scores, sentences(outcomes)


def _outcome(name: str, metric: str, network: Items, baseline: Items, seed: int) -> Outcome:
    rng = derive_rng(seed, "baseline", name)
    if network.counts_NC is not None and baseline.counts_NC is not None and network.score is not None:
        same_columns = network.counts_NC.shape == baseline.counts_NC.shape
        if same_columns:
            return compare_sums(
                "the network", name, metric, network.counts_NC, baseline.counts_NC, network.score, rng=rng
            )
    difference: Interval = paired_bootstrap(network.metric, baseline.metric, network.num_items, rng=rng).interval
    return Outcome("the network", name, metric, difference)
