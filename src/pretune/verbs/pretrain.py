"""pretrain: a corpus and a recipe to a model.

The run's directory holds run.yaml, metrics.jsonl, checkpoints/, metrics.json, report.html, card.md and model/. The same
call continues an interrupted run; of a finished one it gives the result without training.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pretune.adapt.adaptation import count_parameters
from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.disk import OnDiskFull, OnFull, held_bytes
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.core.problem import Problem
from pretune.core.protocols import Objective
from pretune.core.strict_json import read_object
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.families.family import KINDS, HeadSpec, open_family
from pretune.families.settings import change_by_path
from pretune.nn.config import RelativeBuckets
from pretune.nn.generator import Generator
from pretune.objectives.arrangements import OnlyArranges
from pretune.objectives.bodies import body_needs, check_body
from pretune.recipes.recipe import Recipe, open_recipe
from pretune.train import distribute
from pretune.train.distribute import Processes
from pretune.train.energy import average_watts, co2_kg, energy_kwh
from pretune.train.evaluation import Evaluate, scored
from pretune.train.flops import flops_of, peak_flops, utilisation
from pretune.train.loop import autocast_dtype, fit
from pretune.train.memory import peak_bytes
from pretune.train.progress import ShowProgress
from pretune.train.run import Report
from pretune.verbs import pages, plan_outcome, records
from pretune.verbs.doctor import after_the_run, as_json, before_the_run
from pretune.verbs.generator import NOTE, with_generator
from pretune.verbs.pretraining_feed import pretraining_feed
from pretune.verbs.settings import PretrainSettings, read_run, resolve_run
from pretune.verbs.validation import Validation

MEASURED = ("peak_memory_bytes", "disk_bytes", "mfu")
"""What metrics.json says of the process that finished the run and of its machine."""
READING = {"attention.causal", "attention.prefix"}
"""Choices of a body that have no weights: what a token sees, and whether it goes on with a text."""


@records.alone("pretrain")
def pretrain(
    recipe: str | None = None,
    *,
    corpus: str | Path,
    out: str | Path,
    init: str | None = None,
    config: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    hooks: Sequence[Hook] = (),
    allow_pickle: bool = False,
    on_disk_full: OnDiskFull = "stop",
) -> dict[str, Any]:
    """Pre-trains a model and returns what metrics.json holds.

    recipe: a name from `pretune recipes` with a size (`bert-mini`); None: that of `config`, else modern. init: a model
    to start from, not fresh weights; None: that of `config`, if it names one. config: a saved run.yaml.
    settings: `KEY=VALUE` texts or a nested dict, fields of `PretrainSettings`. hooks: called besides the loop's own.
    Of processes that torchrun started, process 0 alone returns it and writes; the others return nothing ({}).
    Raises InputError for a wrong request and RunError for a run that failed; what is safe on disk is said.
    """
    out, processes = Path(out), distribute.join(records.choose_device(threads))
    device = processes.device
    saved = read_run(config, "pretrain")
    recipe, init = recipe or saved.get("recipe") or "modern", init or saved.get("init")
    chosen, size = open_recipe(recipe)
    resolved = resolve_run(PretrainSettings, chosen.defaults(size), saved["settings"], settings)
    train, valid = Corpus.open(corpus, split="train"), Corpus.open(corpus, split="valid")
    objective = chosen.make_objective(resolved.objective)
    bundle = start_model(chosen, size, resolved, train, objective, init, allow_pickle)
    which = {"rank": processes.rank, "world": processes.world}
    feed = pretraining_feed(objective, train, bundle.template, resolved, **which)
    validation = make_validation(objective, valid, bundle, resolved, device)
    whole = PretrainingSource(objective, train, bundle.template, resolved.max_length, resolved.seed)
    problems = before_the_run(whole) if processes.is_first else []
    start = {} if init is None else records.origin(init)
    facts = {
        "verb": "pretrain",
        "command": _command(recipe, corpus, out, init, config, settings, allow_pickle),
        "recipe": f"{chosen.name}-{size}",
        "init": init,
        "init_sha256": start.get("sha256"),
        "corpus": {"path": str(corpus), "fingerprint": train.fingerprint},
        "tokenizer": train.tokenizer.fingerprint,
        "sources": dict(chosen.sources),
        "settings": resolved.model_dump(mode="json"),
        "environment": records.environment(device) | {"processes": processes.world},
    }
    started = {"recipe": facts["recipe"], "init": start.get("sha256") or init}
    evaluate = Evaluate(validation, every=resolved.evaluate_every_steps or 0.1)
    shown = [records.WriteRun(out / "run.yaml", facts, started), evaluate, ShowProgress("pre-training"), *hooks]
    where: dict[str, Any] = {"out": out, "device": device, "on_disk_full": on_disk_full, "processes": processes}
    report = fit(bundle.model, objective, feed, resolved, shown, **where)
    distribute.leave()
    if not processes.is_first:
        return {}
    return _finish(out, facts, report, bundle, train, validation, resolved, processes, on_disk_full, problems)


def _finish(
    out: Path,
    facts: Mapping[str, Any],
    report: Report,
    bundle: Bundle,
    train: Corpus,
    validation: Validation,
    settings: PretrainSettings,
    processes: Processes,
    on_disk_full: OnDiskFull,
    problems: Sequence[Problem],
) -> dict[str, Any]:
    """Scores the trained model and writes what a finished run leaves."""
    valid_losses = scored(bundle.model, validation)
    if not math.isfinite(valid_losses["loss"]):
        raise RunError(f"the validation loss is not finite: training has diverged; remove {out} and lower optimizer.lr")
    bundle.save(out / "model", on_full=OnFull(on_disk_full))
    peak = max(report.peak_memory_bytes, peak_bytes(processes.device))
    taken = {"peak_memory_bytes": peak, "disk_bytes": held_bytes(out)}
    metrics = pretraining_metrics(facts, report, bundle, train, valid_losses, settings, processes) | taken
    metrics |= _measured_before(out, report)
    request = plan_outcome.request_of(facts["recipe"], train.fingerprint, facts["init"], settings)
    metrics["plan"], note = plan_outcome.compare(out, request, metrics)
    metrics["notes"] += [note] if note else []
    curve = pages.read_curve(out / "metrics.jsonl")
    metrics["findings"] = as_json([*problems, *after_the_run(curve, train, settings)])
    records.write_json(out / "metrics.json", metrics)
    pages.write_pages(
        out,
        pages.pretraining_report(facts, metrics, curve),
        pages.pretraining_card(facts, metrics, train.manifest),
    )
    return metrics | {"text": summary(metrics, out)}


def _measured_before(out: Path, report: Report) -> dict[str, float]:
    """What was measured when the run finished, where this process has trained nothing of it."""
    file = out / "metrics.json"
    if report.resumed_from != report.steps or not file.is_file():
        return {}
    try:
        before = read_object(file, "delete it")
    except InputError:
        return {}
    return {name: before[name] for name in MEASURED if isinstance(before.get(name), int | float)}


def _command(
    recipe: str,
    corpus: str | Path,
    out: Path,
    init: str | None,
    config: str | Path | None,
    settings: Sequence[str] | Mapping[str, Any],
    allow_pickle: bool,
) -> str:
    """The command line that asks for the same run."""
    options = {"--corpus": corpus, "--out": out, "--init": init, "--config": config}
    return records.command(["pretrain", recipe, *(["--allow-pickle"] if allow_pickle else [])], options, settings)


def start_model(
    recipe: Recipe,
    size: str,
    settings: PretrainSettings,
    corpus: Corpus,
    objective: Objective,
    init: str | None,
    allow_pickle: bool = False,
) -> Bundle:
    """Fresh weights of the recipe's family, or the model to start from, with the objective's heads.

    Raises InputError where the model to start from has another tokenizer than the corpus.
    """
    if isinstance(objective, OnlyArranges):
        raise InputError("this objective only arranges: add one that predicts, objective.name=full_sentences+mlm")
    if init is None:
        plain = open_family(recipe.family).config(size, corpus.tokenizer.vocab.size)
        changes = {**body_needs(objective, plain), **settings.model}
        bundle = Bundle.fresh(recipe.family, size, corpus.tokenizer, changes=changes, seed=settings.seed)
        if settings.generator is not None:
            raise InputError("generator shares the embeddings of a model to start from: name that one with --init")
        check_body(objective, bundle.model.body.config)
        bundle = bundle.with_heads(objective.heads(bundle.model.body))
    else:
        bundle = _continued(init, settings, corpus, objective, allow_pickle)
    if settings.max_length > bundle.max_length:
        raise InputError(f"max_length={settings.max_length} is more than the model's {bundle.max_length}: lower it")
    bundle.check()
    return bundle


def _continued(
    init: str, settings: PretrainSettings, corpus: Corpus, objective: Objective, allow_pickle: bool
) -> Bundle:
    if settings.model:
        raise InputError("model.* changes a fresh model's shape; a model to start from has its own")
    bare = Bundle.load(init, heads=(), allow_pickle=allow_pickle).model.body
    check_body(objective, bare.config)
    made = objective.heads(bare)
    heads = [HeadSpec(kind) for kind in KINDS if kind in made and not isinstance(made[kind], Generator)]
    bundle = Bundle.load(init, heads=heads, seed=settings.seed, allow_pickle=allow_pickle)
    if bundle.tokenizer.fingerprint != corpus.tokenizer.fingerprint:
        raise InputError(f"{init} has another tokenizer than the corpus: build the corpus with --tokenizer {init}")
    body = bundle.model.body
    body.config = _read_as_needed(init, body.config, body_needs(objective, body.config))
    return with_generator(bundle, objective.heads(bundle.model.body), settings, allow_pickle)


def _read_as_needed(init: str, config: Any, needs: Mapping[str, Any]) -> Any:
    """The config of a body to start from, changed as an objective needs it, so that files say what it was trained for.
    InputError for a change that weights do not go through."""
    if needs.get("attention.causal"):
        needs = {"attention.prefix": False, **needs}
    try:
        changed = change_by_path(config, needs, ())
    except InputError as error:
        raise InputError(f"{init} cannot be trained so: {error}") from error
    if stray := sorted(needs.keys() - READING):
        if changed != config:
            raise InputError(f"the objective needs another {', '.join(stray)} than {init} has: start without --init")
    elif isinstance(config.position, RelativeBuckets) and changed.attention.causal != config.attention.causal:
        raise InputError(
            f"{init} learned positions of both sides, and this objective reads from left to right: start from a model "
            "that does, or without --init"
        )
    return changed


def make_validation(
    objective: Objective, corpus: Corpus, bundle: Bundle, settings: PretrainSettings, device: str
) -> Validation:
    """Validation on a corpus's held-out split, the same for every run of this length.

    Raises InputError where the split gives no samples or nothing to predict; ask the training text first, whose errors
    have other cures.
    """
    source = PretrainingSource(objective, corpus, bundle.template, settings.max_length, seed=0)
    try:
        len(source)
    except InputError as error:
        reason = str(error).partition(": ")[0]
        raise InputError(
            f"the held-out split ({corpus.num_documents:,} documents, {corpus.num_tokens:,} tokens) is too small for "
            f"this objective ({reason}): build the corpus with a larger --valid-fraction"
        ) from error
    validation = Validation(objective, source, settings.valid_samples, settings.max_tokens_per_batch, device)
    validation.check()
    return validation


def pretraining_metrics(
    facts: Mapping[str, Any],
    report: Report,
    bundle: Bundle,
    corpus: Corpus,
    valid: Mapping[str, float],
    settings: PretrainSettings,
    processes: Processes,
) -> dict[str, Any]:
    """What metrics.json holds; see DESIGN section 4."""
    flops = flops_of(bundle.model, report.tally)
    device = processes.device
    watts, watts_source = average_watts(settings.watts, device, processes.world, processes.num_machines)
    kwh = energy_kwh(watts, report.seconds)
    peak = peak_flops(device, autocast_dtype(settings.precision, torch.device(device)) or torch.float32)
    peak *= processes.world
    return {
        "recipe": facts["recipe"],
        "seed": settings.seed,
        "steps": report.steps,
        "tokens": report.tokens,
        "seconds": round(report.seconds, 3),
        "tokens_per_second": round(report.tokens_per_second, 1),
        "flops": flops,
        "mfu": round(utilisation(flops, report.training_seconds, peak), 4),
        "padding_saved": round(report.padding_saved, 4),
        "loss": {"train": report.loss, "valid": valid["loss"]}
        | {f"valid_{name}": valid[name] for name in report.losses},
        "unigram_entropy": corpus.vocab.unigram_entropy(),
        "valid_perplexity": math.exp(min(valid["lm"], 700.0)) if "lm" in valid else None,
        **parameters_of(bundle),
        "watts": watts,
        "watts_source": watts_source,
        "energy_kwh": kwh,
        "co2_kg": co2_kg(kwh),
        "notes": [*report.notes, *([bundle.manifest[NOTE]] if NOTE in bundle.manifest else [])],
    }


def parameters_of(bundle: Bundle) -> dict[str, int]:
    """Parameters of the model that is saved; those of its generator, if it has one, that it does not share."""
    alone, together = (count_parameters(each.model).total for each in (bundle.alone, bundle))
    return {"parameters": alone} | ({"generator_parameters": together - alone} if together > alone else {})


def summary(metrics: Mapping[str, Any], out: Path) -> str:
    """What the command prints."""
    loss, entropy = pages.lm_loss(metrics), metrics["unigram_entropy"]
    whose = "the generator's " if pages.is_judge(metrics) else ""
    lines = [
        f"{metrics['recipe']}: {metrics['steps']:,} steps, {metrics['tokens']:,} tokens in {metrics['seconds']:,.0f} s "
        f"({metrics['tokens_per_second']:,.0f} tokens/s, MFU {metrics['mfu']:.0%})",
        f"{whose}validation loss {loss:.3f} nats a predicted piece; a model that knows only word frequencies has "
        f"{entropy:.3f}"
        if "valid_lm" in metrics["loss"]
        else f"validation loss {loss:.3f} nats a sample",
        *(f"validation loss, {name}: {value:.4f}" for name, value in pages.other_losses(metrics).items()),
        *metrics["notes"],
        *(str(Problem.of(one)) for one in metrics["findings"]),
        f"model: {out / 'model'}   report: {out / 'report.html'}",
    ]
    return "\n".join(lines)
