"""pretune's side: its settings, and a run that is scored."""

import math
import time
from argparse import Namespace
from typing import Any

from finetune_vs_transformers.jobs import MODEL, Data, Job, scores_of, values_of
from pretune.checkpoint.bundle import Bundle
from pretune.core.hooks import Hook
from pretune.verbs.tune import FinetuneSettings, tune

SAYS = ("label", "value", "choice", "answer")
"""Where a task's prediction says what it predicts."""


def settings_of(job: Job, options: Namespace, seed: int) -> FinetuneSettings:
    """For equal losses the warm-up is a whole number of steps: of a share, transformers rounds the steps up."""
    length, warmup = {"epochs": options.epochs}, options.warmup
    if options.mode == "losses":
        length, warmup = {"steps": options.steps}, math.ceil(options.warmup * options.steps)
    return FinetuneSettings(
        seed=seed,
        batch_size=options.batch_size,
        max_length=job.max_length,
        optimizer={"lr": options.lr},
        schedule={"warmup": warmup},
        **length,
    )


class Recorder(Hook):
    """The loss of each step and the numbers of its examples."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.order: list[int] = []

    def on_step(self, run: Any) -> None:
        self.losses.append(run.loss)
        self.order.extend(place.number for place in run.feed.places(run.step - 1))


class Stopwatch(Hook):
    """When each step ended."""

    def on_start(self, run: Any) -> None:
        self.times = [time.perf_counter()]

    def on_step(self, run: Any) -> None:
        self.times.append(time.perf_counter())


def time_pretune(data: Data, options: Namespace, seed: int) -> dict[str, Any]:
    """Some steps, timed after `options.warmup`."""
    settings = FinetuneSettings(
        seed=seed,
        batch_size=options.batch_size,
        max_length=data.job.max_length,
        optimizer={"lr": options.lr},
        schedule={"warmup": 0.1},
        steps=options.warmup + options.steps,
        epochs=None,
    )
    watch = Stopwatch()
    bundle = Bundle.load(MODEL, heads=data.task.head_specs, seed=seed)
    tune(bundle, data.job.task, data.task, data.train, settings, hooks=[watch])
    seconds = watch.times[-1] - watch.times[options.warmup]
    return {
        "examples_per_second": options.steps * options.batch_size / seconds,
        "seconds": seconds,
        "warmup_seconds": watch.times[options.warmup] - watch.times[0],
    }


def run_pretune(data: Data, settings: FinetuneSettings) -> dict[str, Any]:
    bundle = Bundle.load(MODEL, heads=data.task.head_specs, seed=settings.seed)
    tuned = tune(bundle, data.job.task, data.task, data.train, settings)
    predictions = tuned.evaluate(data.test, settings.max_length).predictions
    if data.job.task == "tag":
        found: list[Any] = [[word["entity"] for word in sentence] for sentence in predictions]
    else:
        found = [next(one[key] for key in SAYS if key in one) for one in predictions]
    report = tuned.report
    return {
        "scores": scores_of(data, found),
        "values": values_of(data, found),
        "steps": report.steps,
        "examples_per_second": report.steps * settings.batch_size / report.seconds,
        "padding": 0.0,
        "truncated": tuned.num_truncated,
    }
