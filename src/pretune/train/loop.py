"""fit: the one training loop. It knows neither objectives nor tasks, and everything that is not the loop is a hook.

A run with a directory is resumable: rerun the same call and it continues from its last good checkpoint; after a
completed run it returns that run's report without training. Without a budget of seconds, an interrupted and continued
run has bit by bit the weights of an uninterrupted one (same machine, torch and number of threads): data come from
(seed, epoch, sample), dropout from (seed, step, micro-batch, rank), and a checkpoint holds all the rest.

    out/metrics.jsonl                a line a logged step, and one an evaluation
    out/checkpoints/step-N/          `checkpoint/store.py`
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pretune.checkpoint import store
from pretune.checkpoint.disk import OnDiskFull, OnFull
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.core.protocols import Criterion
from pretune.core.stream import Batch
from pretune.train.config import FitSettings
from pretune.train.feed import Feed
from pretune.train.numbers import NonFinite, all_finite
from pretune.train.optim import build_optimizers
from pretune.train.prefetch import WorkerDied
from pretune.train.preflight import require_room
from pretune.train.records import MetricsFile
from pretune.train.run import Report, Run
from pretune.train.signals import Interrupted, Stopped
from pretune.train.step import Step, clip, documents_of, gradients

log = logging.getLogger(__name__)


def fit(
    model: nn.Module,
    criterion: Criterion,
    feed: Feed,
    settings: FitSettings,
    hooks: Sequence[Hook] = (),
    *,
    out: Path | str | None = None,
    device: torch.device | str = "cpu",
    on_disk_full: OnDiskFull = "stop",
) -> Report:
    """Trains `model` in place on `feed` until the run's budget is used up or a hook stops it.

    out: the run's directory, for checkpoints and metrics.jsonl; None keeps nothing on disk.
    on_disk_full: "wait" waits for room and goes on.
    Raises RunError for a loss or gradient that is not finite, a checkpoint that cannot be written, or when every
    checkpoint of the run is damaged; InputError when `out` holds a run with other settings, data or model.
    """
    device = torch.device(device)
    model.to(device)
    optimizers = build_optimizers(model, settings.optimizer)
    run = Run(Step(model, criterion), feed, settings, optimizers, device)
    if out is not None:
        run.out = Path(out)
        run.on_full = OnFull(on_disk_full, lambda: run.signals.received is not None)
        run.metrics = MetricsFile(run.out / "metrics.jsonl", run.on_full)
        _resume(run, hooks)
        if run.stopped is None:
            require_room(run, hooks, on_full=on_disk_full)
        run.metrics.open_after(run.step)
    _ = run.multiplier  # a schedule that does not fit the run is refused before the first step
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for hook in hooks:
                hook.on_start(run)
            if run.stopped is None or run.hooks_due:
                _train(run, hooks)
            for hook in hooks:
                hook.on_end(run)
    finally:
        if run.metrics is not None:
            run.metrics.close()
    return run.report()


def _train(run: Run, hooks: Sequence[Hook]) -> None:
    run.model.train()
    steps = run.feed.steps(run.step, run.progress_at)
    try:
        with run.signals:
            _after_step(run, hooks)
            while not run.stopped:
                _take_step(run, next(steps))
                run.hooks_due = len(hooks)
                _after_step(run, hooks)
    except Interrupted as signal:
        save(run, hooks)
        what = f"{_safe_on_disk(run)}; the same command continues the run"
        raise Stopped(str(signal), f"after step {run.step}: {what}") from None
    except WorkerDied as error:
        save(run, hooks)
        raise RunError(f"{error}; {_safe_on_disk(run)}") from error
    finally:
        steps.close()  # type: ignore[attr-defined]


def _after_step(run: Run, hooks: Sequence[Hook]) -> None:
    """What is due between two steps; of a run that was interrupted here, what was still due."""
    while run.hooks_due:
        hooks[-run.hooks_due].on_step(run)
        run.hooks_due -= 1
    run.signals.check()
    if _save_is_due(run):
        save(run, hooks)


def _save_is_due(run: Run) -> bool:
    if run.saved[0] == run.step:
        return run.saved[1] != run.hooks_due
    minutes = run.settings.save_every_minutes
    late = minutes is not None and time.monotonic() - run.saved_at >= 60 * minutes
    return late or run.stopped is not None or run.step % run.settings.save_every_steps == 0


def _take_step(run: Run, batches: Sequence[Batch]) -> None:
    """One optimizer step; one whose numbers are not finite is counted, but leaves the weights as they are."""
    started = time.perf_counter()
    multiplier = run.multiplier
    run.optimizers.zero_grad()
    parameters = run.optimizers.parameters
    place = (run.settings.seed, run.step, run.feed.rank)
    autocast = autocast_dtype(run.settings.precision, run.device)
    bad: NonFinite | None = None
    try:
        result = gradients(run.module, parameters, batches, place, run.device, autocast, run.signals.check)
    except NonFinite as error:
        _stop_or_skip(run, bad := error)
    else:
        clip(parameters, result.norm, run.settings.clip_norm)
        run.optimizers.step(multiplier)
        run.loss, run.losses, run.grad_norm = result.loss, result.losses, result.norm
        run.recent.append({"total": result.loss} | result.losses)
    before = run.tally.tokens
    run.tally.add(batches)
    run.step += 1
    run.lr = run.settings.optimizer.lr * multiplier
    seconds = time.perf_counter() - started
    run.training_seconds += seconds
    run.tokens_per_second = (run.tally.tokens - before) / max(seconds, 1e-9)
    _note_end(run)
    _record_step(run, batches, bad)


def _stop_or_skip(run: Run, error: NonFinite) -> None:
    limit = run.settings.max_skipped_steps if run.settings.on_non_finite == "skip" else 0
    if run.numbers.num_skipped >= limit:
        todo = f"{limit} were left out before" if limit else "on_non_finite=skip would leave it out"
        raise RunError(f"{error}; stopped before the weights were changed; {_safe_on_disk(run)}; {todo}") from error
    run.numbers.num_skipped += 1


def _record_step(run: Run, batches: Sequence[Batch], bad: NonFinite | None) -> None:
    """Lines of metrics.jsonl: a step left out or a spike at once with its samples, an ordinary step where it is due."""
    samples = {"samples": [[place.epoch, place.number] for place in run.feed.places(run.step - 1)]}
    if bad is not None:
        run.log({"event": "skipped", "what": bad.what, "documents": bad.documents} | samples)
        return
    if spike := run.numbers.spike(run.loss):
        run.log({"event": "spike"} | spike | {"documents": documents_of(batches)} | samples)
    if run.stopped or run.step % run.settings.log_every_steps == 0:
        _log_step(run)


def _note_end(run: Run) -> None:
    if run.num_steps is not None and run.step >= run.num_steps:
        run.stop("steps")
    elif run.progress >= 1:
        run.stop("seconds")


def _log_step(run: Run) -> None:
    run.log(
        {
            "progress": run.progress,
            "loss": run.loss,
            "losses": run.losses,
            "lr": run.lr,
            "grad_norm": run.grad_norm,
            "tokens": run.tally.tokens,
            "tokens_per_second": round(run.tokens_per_second, 1),
        }
    )


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type products are computed in, None for the parameters' own."""
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and has_it) else None


def save(run: Run, hooks: Sequence[Hook]) -> None:
    """Writes a checkpoint of the run as it stands between two steps, if it has a directory."""
    if run.out is None or run.saved == (run.step, run.hooks_due):
        return
    if not all_finite(run.optimizers.parameters):
        what = "the weights are not finite any more: training has diverged, lower optimizer.lr"
        raise RunError(f"step {run.step}: {what}; {_safe_on_disk(run)}")
    for hook in hooks:
        hook.on_save(run)
    assert run.metrics is not None
    run.metrics.sync()
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizers.state_dict(),
        "hooks": {name: hook.state_dict() for name, hook in _named(hooks).items()},
        "run": run.state_dict(),
    }
    keep = run.settings.keep_checkpoints
    store.save(run.out / "checkpoints", run.step, state, keep=keep, on_full=run.on_full)
    run.saved, run.saved_at = (run.step, run.hooks_due), time.monotonic()


def _named(hooks: Sequence[Hook]) -> dict[str, Hook]:
    """A hook's name in checkpoints: its class, and its number among those of its class."""
    named: dict[str, Hook] = {}
    for hook in hooks:
        kind = type(hook).__name__
        named[f"{kind}-{sum(name.startswith(f'{kind}-') for name in named)}"] = hook
    return named


def _resume(run: Run, hooks: Sequence[Hook]) -> None:
    """Continues from the last good checkpoint, if there is one."""
    assert run.out is not None
    directory = run.out / "checkpoints"
    found = store.latest(directory)
    if found.path is None and found.damaged:
        reasons = "; ".join(f"{damage.path.name}: {damage.reason}" for damage in found.damaged)
        raise RunError(f"no checkpoint in {directory} is usable ({reasons}): remove {directory} to begin anew")
    if found.path is None:
        return
    state = store.load(found.path)
    _check_settings(run.settings, state["run"]["settings"], run.out)
    run.feed.check(state["run"]["data"], found.step)
    for damage in found.damaged:
        aside = store.set_aside(damage)
        what = f"checkpoint {damage.path} is damaged ({damage.reason}) and was set aside as {aside.name}"
        note = f"{what}; continuing from step {found.step}"
        log.warning(note)
        run.notes.append(note)
    _load(run, hooks, state)
    store.tidy(directory, run.settings.keep_checkpoints)


def _check_settings(settings: FitSettings, saved: dict[str, Any], out: Path) -> None:
    now = settings.model_dump(mode="json")
    changed = [key for key in now | saved if key not in settings.free_at_resume and now.get(key) != saved.get(key)]
    if changed:
        shown = "; ".join(f"{key} was {saved.get(key)} and is now {now.get(key)}" for key in changed)
        raise InputError(f"{out} holds a run with other settings: {shown}. Restore them, or choose another directory")


def _load(run: Run, hooks: Sequence[Hook], state: dict[str, Any]) -> None:
    try:
        run.model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise InputError(f"{run.out} holds a run of another model: {error}") from error
    run.optimizers.load_state_dict(state["optimizer"])
    named = _named(hooks)
    for name, hook_state in state["hooks"].items():
        if name in named:
            named[name].load_state_dict(hook_state)
        elif hook_state:
            raise InputError(f"{run.out} holds a run with a hook {name}, which this one does not have")
    run.load_state_dict(state["run"])


def _safe_on_disk(run: Run) -> str:
    kept = store.checkpoints(run.out / "checkpoints") if run.out is not None else []
    return f"{kept[0][1]} is safe" if kept else "no checkpoint was written before"
