"""The quickstart's comparison: four taggers from 100 and 300 labelled sentences, over several draws of them.

Intervals cover the test sentences and the draws; draws of one size do not overlap.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pretune.checkpoint.bundle import Bundle
from pretune.core.randomness import derive_rng
from pretune.evaluate.outcome import Outcome
from pretune.evaluate.table import Table
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import Interval, ratio_of_sums
from pretune.metrics.two_level import bootstrap_draws, bootstrap_draws_ratio
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


@dataclass
class Results:
    """counts[system, n]: for each draw a [sentences, 2] array of right words and words."""

    counts: dict[tuple[str, int], list[FloatArray]] = field(default_factory=dict)

    def add(self, system: str, num_labelled: int, counts_N2: FloatArray | None) -> None:
        assert counts_N2 is not None
        self.counts.setdefault((system, num_labelled), []).append(counts_N2)

    def num_draws(self, num_labelled: int) -> int:
        return len(self.counts[BASELINE, num_labelled])

    def accuracy(self, system: str, num_labelled: int, seed: int) -> Interval:
        """Mean accuracy over draws, with its interval over draws and test sentences."""
        counts_SN2 = np.stack(self.counts[system, num_labelled])
        return bootstrap_draws(counts_SN2, ratio_of_sums, rng=derive_rng(seed, "accuracy", system, num_labelled))

    def difference(self, first: str, second: str, num_labelled: int, seed: int) -> Outcome:
        """The first system's accuracy minus the second's, on the same draws and sentences."""
        ours_SN2, theirs_SN2 = (np.stack(self.counts[system, num_labelled]) for system in (first, second))
        right_SN = ours_SN2[..., 0] - theirs_SN2[..., 0]
        rng = derive_rng(seed, "difference", second, num_labelled)
        interval = bootstrap_draws_ratio(right_SN, ours_SN2[0, :, 1], rng=rng)
        return Outcome(f"{first} ({num_labelled} sentences)", second, "accuracy", interval)

    def table(self, num_test: int, seed: int) -> Table:
        """The quickstart's table; its note says how many draws there were."""
        draws = " and ".join(f"{self.num_draws(size)} draws of {size}" for size in SIZES)
        return Table(
            ("word accuracy of tagging", *(f"{size} labelled sentences" for size in SIZES)),
            tuple((system, *(self.accuracy(system, size, seed) for size in SIZES)) for system in SYSTEMS),
            notes=(f"{num_test} test sentences, {draws} labelled ones; in brackets: 95 % intervals over both",),
        )

    def outcomes(self, seed: int) -> list[Outcome]:
        """The fine-tuned model against every other system, at each size."""
        return [self.difference(TUNED, other, size, seed) for size in SIZES for other in (SCRATCH, FROZEN, BASELINE)]


def compare_taggers(
    model: Path, train: Sequence[Record], test: Sequence[Record], seed: int, deadline: float
) -> tuple[Results, Tuned]:
    """Every system on every draw, as long as time (`time.monotonic`) allows; and the last model tuned on 300."""
    results = Results()
    task = tag().fit_labels(train)
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
        shown = [f"{name} {ratio_of_sums(results.counts[name, size][-1].sum(0)):.3f}" for name in SYSTEMS]
        say(f"    {size} sentences, draw {draw + 1}: {', '.join(shown)}")
    assert tuned is not None
    return results, tuned


def _round(
    results: Results, model: Path, task: Task, labelled: Sequence[Record], test: Sequence[Record], seed: int
) -> Tuned:
    """All systems on one draw; gives the fine-tuned one."""
    size = len(labelled)
    frequent = task.baseline_predictions(labelled, test)["most-frequent-tag"]
    results.add(BASELINE, size, task.items(frequent, test).counts_NC)
    scratch, *pretrained = (Bundle.load(model, heads=list(task.head_specs), seed=seed) for _ in range(3))
    scratch.model.initialise(seed)
    for system, bundle in zip((SCRATCH, FROZEN, TUNED), (scratch, *pretrained), strict=True):
        tuned = tune(bundle, "tag", task, labelled, tagging_settings(system, size, seed))
        results.add(system, size, tuned.evaluate(test, 128).items.counts_NC)
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
