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
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.core.protocols import Criterion
from pretune.core.stream import Batch
from pretune.train.config import FitSettings
from pretune.train.feed import Feed
from pretune.train.optim import build_optimizers
from pretune.train.records import MetricsFile
from pretune.train.run import Report, Run
from pretune.train.step import Step, clip, gradients

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
) -> Report:
    """Trains `model` in place on `feed` until the run's budget is used up or a hook stops it.

    out: the run's directory, for checkpoints and metrics.jsonl; None keeps nothing on disk.
    Raises RunError for a loss or gradient that is not finite, a checkpoint that cannot be written, or when every
    checkpoint of the run is damaged; InputError when `out` holds a run with other settings, data or model.
    """
    device = torch.device(device)
    model.to(device)
    optimizers = build_optimizers(model, settings.optimizer)
    run = Run(Step(model, criterion), feed, settings, optimizers, device)
    if out is not None:
        run.out = Path(out)
        run.metrics = MetricsFile(run.out / "metrics.jsonl")
        _resume(run, hooks)
        run.metrics.open_after(run.step)
    _ = run.multiplier  # a schedule that does not fit the run is refused before the first step
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for hook in hooks:
                hook.on_start(run)
            if run.stopped is None:
                _train(run, hooks)
            for hook in hooks:
                hook.on_end(run)
    finally:
        if run.metrics is not None:
            run.metrics.close()
    return run.report()


def _train(run: Run, hooks: Sequence[Hook]) -> None:
    run.model.train()
    autocast = autocast_dtype(run.settings.precision, run.device)
    steps = run.feed.steps(run.step, run.progress_at)
    try:
        for batches in steps:
            _take_step(run, batches, autocast)
            _note_end(run)
            if run.stopped or run.step % run.settings.log_every_steps == 0:
                _log_step(run)
            for hook in hooks:
                hook.on_step(run)
            if run.stopped or run.step % run.settings.save_every_steps == 0:
                save(run, hooks)
            if run.stopped:
                break
    finally:
        steps.close()  # type: ignore[attr-defined]


def _take_step(run: Run, batches: Sequence[Batch], autocast: torch.dtype | None) -> None:
    started = time.perf_counter()
    multiplier = run.multiplier
    run.optimizers.zero_grad()
    parameters = run.optimizers.parameters
    place = (run.settings.seed, run.step, run.feed.rank)
    try:
        result = gradients(run.module, parameters, batches, place, run.device, autocast)
    except RunError as error:
        raise RunError(f"{error}; {_safe_on_disk(run)}") from error
    clip(parameters, result.norm, run.settings.clip_norm)
    run.optimizers.step(multiplier)
    before = run.tally.tokens
    run.tally.add(batches)
    run.step += 1
    run.loss, run.losses, run.grad_norm = result.loss, result.losses, result.norm
    run.lr = run.settings.optimizer.lr * multiplier
    run.recent.append({"total": result.loss} | result.losses)
    seconds = time.perf_counter() - started
    run.training_seconds += seconds
    run.tokens_per_second = (run.tally.tokens - before) / max(seconds, 1e-9)


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
    if run.out is None:
        return
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
    store.save(run.out / "checkpoints", run.step, state, keep=run.settings.keep_checkpoints)


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
