"""fit: the one training loop. It knows neither objectives nor tasks, and everything that is not the loop is a hook.

A run with a directory is resumable: rerun the same call and it continues from its last good checkpoint; after a
completed run it returns that run's report without training. Without a budget of seconds, an interrupted and continued
run has bit by bit the weights of an uninterrupted one (same machine, torch and number of threads): data come from
(seed, epoch, sample), dropout from (seed, step, micro-batch, rank), and a checkpoint holds all the rest.

    out/metrics.jsonl                a line a logged step, and one an evaluation
    out/checkpoints/step-N/          `checkpoint/store.py`
"""

import logging
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from pretune.checkpoint.disk import OnDiskFull, OnFull
from pretune.core.errors import RunError
from pretune.core.hooks import Hook
from pretune.core.protocols import Criterion
from pretune.core.stream import Batch
from pretune.train.config import FitSettings
from pretune.train.distribute import ALONE, Processes, is_lost
from pretune.train.feed import Feed
from pretune.train.joint import joint_gradients
from pretune.train.numbers import NonFinite
from pretune.train.optim import build_optimizers
from pretune.train.parallel import Parallel
from pretune.train.prefetch import WorkerDied
from pretune.train.preflight import require_room
from pretune.train.records import MetricsFile
from pretune.train.resume import resume, safe_on_disk, save
from pretune.train.run import Report, Run, amounts
from pretune.train.runtime import in_training
from pretune.train.signals import Interrupted, Stopped
from pretune.train.step import Step, clip, documents_of, gradients, sum_counts

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
    processes: Processes = ALONE,
) -> Report:
    """Trains `model` in place on `feed` until the run's budget is used up or a hook stops it.

    out: the run's directory, for checkpoints and metrics.jsonl; None keeps nothing on disk.
    on_disk_full: "wait" waits for room and goes on.
    processes: those that train together (`distribute.join`), each with its slices of the feed. All get the same report
    and the same weights; process 0 alone writes. Hooks run in all of them, and what they keep in a checkpoint is
    process 0's. With `distribution=fsdp` hooks see a sharded copy of the model, until the end.
    Raises RunError for a loss or gradient that is not finite, a checkpoint that cannot be written, or when every
    checkpoint of the run is damaged; InputError when `out` holds a run with other settings, data or model.
    """
    device = torch.device(device)
    if (feed.rank, feed.world) != (processes.rank, processes.world):
        raise ValueError(f"a feed for process {feed.rank} of {feed.world}, in {processes.rank} of {processes.world}")
    folder = None if out is None else Path(out)
    try:
        if processes.world == 1 or settings.distribution == "ddp":
            model.to(device)
        parallel = Parallel(Step(model, criterion), processes, settings.distribution)
        run = Run(parallel, feed, settings, build_optimizers(parallel.model, settings.optimizer), device, folder)
        _run(run, hooks, on_disk_full)
        parallel.finish(device)
    except RuntimeError as error:
        if processes.world == 1 or not is_lost(error):
            raise
        what = str(error).splitlines()[0][:200]
        raise RunError(f"a process of this job died ({what}); {safe_on_disk(folder)}") from error
    return run.report()


def _run(run: Run, hooks: Sequence[Hook], on_disk_full: OnDiskFull) -> None:
    if run.out is not None:
        signals = run.signals  # not the run: it would hold itself, and its model and optimizer with it
        run.on_full = OnFull(on_disk_full, lambda: signals.received is not None)
        resume(run, hooks)
        if run.stopped is None:
            run.processes.on_first(lambda: require_room(run, hooks, on_full=on_disk_full))
        if run.is_first:
            run.metrics = MetricsFile(run.out / "metrics.jsonl", run.on_full)
            run.metrics.open_after(run.step)
    _ = run.multiplier  # a schedule that does not fit the run is refused before the first step
    try:
        with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
            for hook in hooks:
                hook.on_start(run)
            if run.stopped is None or run.hooks_due:
                _train(run, hooks)
            for hook in hooks:
                hook.on_end(run)
    finally:
        if run.metrics is not None:
            run.metrics.close()


def _train(run: Run, hooks: Sequence[Hook]) -> None:
    run.model.train()
    steps = run.feed.steps(run.step, run.progress_at)
    try:
        with run.signals, in_training(run.device) as heap:
            _after_step(run, hooks)
            while not run.stopped:
                batches = next(steps)
                _agree(run, batches)
                if not run.stopped:
                    _take_step(run, batches)
                    run.hooks_due = len(hooks)
                    heap.after_step()
                _after_step(run, hooks)
    except Interrupted as how:
        save(run, hooks)
        what = f"{safe_on_disk(run.out)}; the same command continues the run"
        raise Stopped(str(how), f"after step {run.step}: {what}") from None
    except WorkerDied as error:
        if run.processes.world == 1:  # of several, the others are in the middle of a step and cannot help to save
            save(run, hooks)
        raise RunError(f"{error}; {safe_on_disk(run.out)}") from error
    finally:
        steps.close()  # type: ignore[attr-defined]


def _agree(run: Run, batches: Sequence[Batch]) -> None:
    """All processes learn what the next step consists of, and whether anyone wants to leave before it."""
    counts = {f"count/{name}": count for name, count in sum_counts(run.parallel.step.criterion, batches).items()}
    told = run.agree({"batches": len(batches)} | amounts(batches) | counts)
    if number := int(told.max("signal")):
        raise Interrupted(signal.Signals(number).name)
    if run.stopped and run.step % run.settings.log_every_steps:
        _log_step(run)


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
    late = minutes is not None and run.unsaved_seconds >= 60 * minutes
    return late or run.stopped is not None or run.step % run.settings.save_every_steps == 0


def _take_step(run: Run, batches: Sequence[Batch]) -> None:
    """One optimizer step; one whose numbers are not finite is counted, but leaves the weights as they are."""
    started = time.perf_counter()
    assert run.told is not None
    multiplier = run.multiplier
    run.optimizers.zero_grad()
    parameters = run.optimizers.parameters
    place = (run.settings.seed, run.step, run.feed.rank)
    autocast = autocast_dtype(run.settings.precision, run.device)
    bad: NonFinite | None = None
    try:
        if run.processes.world == 1:
            check = run.signals.check
            result = gradients(run.parallel.step, parameters, batches, place, run.device, autocast, check)
        else:
            counts, most = run.told.sums("count/"), int(run.told.max("batches"))
            rounds = run.parallel.num_rounds(len(batches), most)
            result = joint_gradients(run.parallel, parameters, batches, counts, rounds, place, run.device, autocast)
    except NonFinite as error:
        _stop_or_skip(run, bad := error)
    else:
        clip(parameters, result.norm, run.settings.clip_norm)
        run.optimizers.step(multiplier)
        run.loss, run.losses, run.grad_norm = result.loss, result.losses, result.norm
        run.recent.append({"total": result.loss} | result.losses)
    before = run.tally.tokens
    run.tally.add(run.told)
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
        raise RunError(f"{error}; stopped before the weights were changed; {safe_on_disk(run.out)}; {todo}") from error
    run.numbers.num_skipped += 1


def _record_step(run: Run, batches: Sequence[Batch], bad: NonFinite | None) -> None:
    """Lines of metrics.jsonl: a step left out or a spike at once with its samples, an ordinary step where it is due."""
    places = replace(run.feed, rank=0, world=1).places(run.step - 1)
    samples = {"samples": [[place.epoch, place.number] for place in places]}
    if bad is not None:
        run.log({"event": "skipped", "what": bad.what, "documents": bad.documents} | samples)
        return
    if spike := run.numbers.spike(run.loss):
        everybodys = run.processes.gather_json(documents_of(batches))
        documents = sorted({number for numbers in everybodys for number in numbers})
        run.log({"event": "spike"} | spike | {"documents": documents} | samples)
    if run.stopped or run.step % run.settings.log_every_steps == 0:
        _log_step(run)


def _note_end(run: Run) -> None:
    if run.num_steps is not None and run.step >= run.num_steps:
        run.stopped = run.stopped or "steps"
    elif run.progress >= 1:
        run.stopped = run.stopped or "seconds"


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
