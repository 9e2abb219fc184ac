"""Saving a run between two steps and continuing it: what a checkpoint holds, and when one may be continued.

A checkpoint has the same form for any number of processes: whole tensors under the parameters' names, gathered to
process 0, which writes them, and handed out by it again. It is continued only with the settings, data, model and hooks
that it was begun with; what does not bear on the weights may differ (`FitSettings.free_at_resume`).
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pretune.checkpoint import store
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.train.config import FitSettings
from pretune.train.numbers import all_finite
from pretune.train.run import Run
from pretune.train.shards import part, receive_all, share_state

log = logging.getLogger(__name__)


def save(run: Run, hooks: Sequence[Hook]) -> None:
    """Writes a checkpoint of the run as it stands between two steps, if it has a directory. Collective."""
    if run.out is None or run.saved == (run.step, run.hooks_due):
        return
    finite = all_finite([part(parameter) for parameter in run.optimizers.parameters])
    if not run.processes.gather(np.array([float(finite)])).all():
        what = "the weights are not finite any more: training has diverged, lower optimizer.lr"
        raise RunError(f"step {run.step}: {what}; {safe_on_disk(run.out)}")
    for hook in hooks:
        hook.on_save(run)
    if run.metrics is not None:
        run.metrics.sync()
    state = {
        "model": run.model.state_dict() if run.processes.world == 1 else run.weights(),
        "optimizer": run.optimizers.state_dict(keep=run.is_first),
        "hooks": {name: hook.state_dict() for name, hook in _named(hooks).items()},
        "run": run.state_dict(),
    }
    directory, keep = run.out / "checkpoints", run.settings.keep_checkpoints
    run.processes.on_first(lambda: str(store.save(directory, run.step, state, keep=keep, on_full=run.on_full)))
    run.saved, run.saved_at = (run.step, run.hooks_due), time.monotonic()


def _named(hooks: Sequence[Hook]) -> dict[str, Hook]:
    """A hook's name in checkpoints: its class, and its number among those of its class."""
    named: dict[str, Hook] = {}
    for hook in hooks:
        kind = type(hook).__name__
        named[f"{kind}-{sum(name.startswith(f'{kind}-') for name in named)}"] = hook
    return named


def resume(run: Run, hooks: Sequence[Hook]) -> None:
    """Continues from the last good checkpoint, if there is one. Process 0 reads it and hands it out."""
    read: list[dict[str, Any]] = []
    notes = run.processes.on_first(lambda: _read_checkpoint(run, read))
    run.notes.extend(notes)
    if state := share_state(run.processes, read[0] if read else None):
        _load(run, hooks, state)


def _read_checkpoint(run: Run, read: list[dict[str, Any]]) -> list[str]:
    """Puts the last good checkpoint's state into `read`, if there is one. Returns what the user should know."""
    assert run.out is not None
    directory = run.out / "checkpoints"
    found = store.latest(directory)
    if found.path is None and found.damaged:
        reasons = "; ".join(f"{damage.path.name}: {damage.reason}" for damage in found.damaged)
        raise RunError(f"no checkpoint in {directory} is usable ({reasons}): remove {directory} to begin anew")
    if found.path is None:
        return []
    state = store.load(found.path)
    _check_settings(run.settings, state["run"]["settings"], run.out)
    run.feed.check(state["run"]["data"], found.step)
    notes = []
    for damage in found.damaged:
        aside = store.set_aside(damage)
        what = f"checkpoint {damage.path} is damaged ({damage.reason}) and was set aside as {aside.name}"
        notes.append(f"{what}; continuing from step {found.step}")
        log.warning(notes[-1])
    store.tidy(directory, run.settings.keep_checkpoints)
    read.append(state)
    return notes


def _check_settings(settings: FitSettings, saved: dict[str, Any], out: Path) -> None:
    now = settings.model_dump(mode="json")
    changed = [key for key in now | saved if key not in settings.free_at_resume and now.get(key) != saved.get(key)]
    if changed:
        shown = "; ".join(f"{key} was {saved.get(key)} and is now {now.get(key)}" for key in changed)
        raise InputError(f"{out} holds a run with other settings: {shown}. Restore them, or choose another directory")


def _load(run: Run, hooks: Sequence[Hook], state: dict[str, Any]) -> None:
    try:
        run.parallel.load(state["model"])
    except RuntimeError as error:
        raise InputError(f"{run.out} holds a run of another model: {error}") from error
    run.optimizers.load_state_dict(state["optimizer"], run.processes.broadcast)
    named = _named(hooks)
    for name, hook_state in receive_all(run.processes, state["hooks"]).items():
        if name in named:
            named[name].load_state_dict(hook_state)
        elif hook_state:
            raise InputError(f"{run.out} holds a run with a hook {name}, which this one does not have")
    run.load_state_dict(state["run"])


def safe_on_disk(out: Path | None) -> str:
    kept = store.checkpoints(out / "checkpoints") if out is not None else []
    return f"{kept[0][1]} is safe" if kept else "no checkpoint was written before"
