"""The quickstart's comparison: four taggers from 100 and 300 labelled sentences, over several draws of them.

Intervals cover the test sentences and the draws; draws of one size do not overlap.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from pretune.checkpoint.bundle import Bundle
from pretune.evaluate.learning_curve import LearningCurve
from pretune.evaluate.outcome import Outcome
from pretune.evaluate.table import Table
from pretune.tasks.tag import tag
from pretune.tasks.task import Task
from pretune.text.records import Record
from pretune.train.config import OptimizerSettings, ScheduleSettings
from pretune.verbs.console import say
from pretune.verbs.settings import FinetuneSettings
from pretune.verbs.tune import Tuned, tune

BASELINE, SCRATCH, FROZEN, TUNED = SYSTEMS = (
    "most frequent tag",
    "same encoder from scratch",
    "frozen features + linear",
    "pre-trained + fine-tuned",
)
SIZES = (100, 300)
ROUNDS = ((100, 0), (300, 0), (100, 1), (300, 1), (100, 2), (100, 3), (100, 4), (300, 2))
"""(labelled sentences, draw), in the order in which they are run."""
NUM_SURE_ROUNDS = 4
"""These many rounds are run however long they take; the others only if they end before the deadline."""
EPOCHS_AND_LR = {SCRATCH: (20.0, 2e-3), FROZEN: (20.0, 5e-3), TUNED: (15.0, 2e-3)}
"""Each system's own, chosen on training sentences that are in none of the draws (benchmarks/LOG.md)."""


def accuracy_table(results: LearningCurve, num_test: int, seed: int) -> Table:
    """The quickstart's table; its note says how many draws there were."""
    draws = " and ".join(f"{results.num_draws(size)} draws of {size}" for size in SIZES)
    return Table(
        ("word accuracy of tagging", *(f"{size} labelled sentences" for size in SIZES)),
        tuple((system, *(results.mean(system, size, seed)[0] for size in SIZES)) for system in SYSTEMS),
        notes=(f"{num_test} test sentences, {draws} labelled ones; in brackets: 95 % intervals over both",),
    )


def outcomes(results: LearningCurve, seed: int) -> list[Outcome]:
    """The fine-tuned model against every other system, at each size."""
    return [results.difference(TUNED, other, size, seed) for size in SIZES for other in (SCRATCH, FROZEN, BASELINE)]


def compare_taggers(
    model: Path, train: Sequence[Record], test: Sequence[Record], seed: int, deadline: float
) -> tuple[LearningCurve, Tuned]:
    """Every system on every draw, as long as time (`time.monotonic`) allows; and the last model tuned on 300."""
    task = tag().fit_labels(train)
    results = LearningCurve(task.main_metric, task.unit)
    longest: dict[int, float] = {}
    tuned: Tuned | None = None
    for number, (size, draw) in enumerate(ROUNDS):
        began = time.monotonic()
        if number >= NUM_SURE_ROUNDS and began + longest[size] > deadline:
            continue
        labelled = train[draw * size : (draw + 1) * size]
        last = _round(results, model, task, labelled, test, seed * 10_000 + size * 10 + draw)
        tuned = last if size == max(SIZES) else tuned
        longest[size] = max(longest.get(size, 0.0), time.monotonic() - began)
        shown = [f"{name} {results.scores(name, size)[-1]:.3f}" for name in SYSTEMS]
        say(f"    {size} sentences, draw {draw + 1}: {', '.join(shown)}")
    assert tuned is not None
    return results, tuned


def _round(
    results: LearningCurve, model: Path, task: Task, labelled: Sequence[Record], test: Sequence[Record], seed: int
) -> Tuned:
    """All systems on one draw; gives the fine-tuned one."""
    size = len(labelled)
    frequent = task.baseline_predictions(labelled, test)["most-frequent-tag"]
    results.add(BASELINE, size, task.items(frequent, test))
    scratch, *pretrained = (Bundle.load(model, heads=list(task.head_specs), seed=seed) for _ in range(3))
    scratch.model.initialise(seed)
    for system, bundle in zip((SCRATCH, FROZEN, TUNED), (scratch, *pretrained), strict=True):
        tuned = tune(bundle, "tag", task, labelled, tagging_settings(system, size, seed))
        results.add(system, size, tuned.evaluate(test, 128).items)
    return tuned


def tagging_settings(system: str, size: int, seed: int) -> FinetuneSettings:
    """Settings of one system's tagger."""
    epochs, lr = EPOCHS_AND_LR[system]
    return FinetuneSettings(
        seed=seed,
        epochs=epochs if size == min(SIZES) else epochs / 1.5,
        batch_size=16,
        adapt="frozen" if system == FROZEN else "full",
        optimizer=OptimizerSettings(lr=lr),
        schedule=ScheduleSettings(warmup=0.1),
    )
