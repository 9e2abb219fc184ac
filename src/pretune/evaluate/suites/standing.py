"""What a suite's runs are worth: medians and spreads over seeds, intervals, one average, and two models compared.

An interval over seeds and test items at once needs a metric that is a function of sums (`metrics/two_level.py`);
Spearman's correlation is not one, and has an interval over items alone, which the row says. With two or three seeds
such an interval is wide, and may pass the ends of the metric's range, which the true value cannot: it is cut there,
which changes nothing about how often it covers that value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean, median
from typing import Any

import numpy as np

from pretune.core.randomness import derive_rng
from pretune.evaluate.over_seeds import cut_to, difference_interval, limits, mean_interval
from pretune.evaluate.suites.suite import Part, Suite
from pretune.evaluate.table import Cell
from pretune.metrics.intervals import Interval
from pretune.metrics.significance import mcnemar
from pretune.tasks.items import Items
from pretune.tasks.task import Prediction, Scores, Task, changed
from pretune.text.choices import choices_of
from pretune.text.labels import label_name
from pretune.text.records import Record


@dataclass(frozen=True)
class Scored:
    """One run's predictions on one of a part's files. task: as the run's model is for it. baselines: scores of simple
    methods; num_train: training records."""

    part: Part
    file: str
    seed: int
    task: Task
    rows: Sequence[Record] = field(repr=False)
    predictions: Sequence[Prediction] = field(repr=False)
    baselines: Mapping[str, Scores]
    num_train: int

    @cached_property
    def scores(self) -> Scores:
        """The task's metrics and the part's own, which replace those of the same name."""
        return scores_of(self.part, self.task, self.predictions, self.rows)

    @property
    def score(self) -> float:
        """The mean of the part's metrics."""
        return fmean(self.scores[metric] for metric in self.part.metrics)

    def items(self, metric: str) -> Items:
        if metric in self.part.own:
            return self.part.own[metric](self.predictions, self.rows)
        task = self.task if metric == self.task.main_metric else changed(self.part.task, self.task, {"metric": metric})
        return task.items(self.predictions, self.rows)


def scores_of(part: Part, task: Task, predictions: Sequence[Prediction], rows: Sequence[Record]) -> Scores:
    """The scores of predictions on one of a part's files."""
    own = {metric: items(predictions, rows) for metric, items in part.own.items()}
    found = {metric: items.metric(np.arange(items.num_items)) for metric, items in own.items()}
    return task.score(predictions, rows) | found


@dataclass(frozen=True)
class Standing:
    """A metric of a part's file over the seeds. num_items: what the interval draws, records or groups of them.
    over_seeds: whether the interval is over seeds too."""

    part: str
    file: str
    metric: str
    num_train: int
    num_items: int
    scores: tuple[float, ...]
    mean: Interval
    over_seeds: bool
    best_baseline: tuple[str, float] | None

    @property
    def name(self) -> str:
        return f"{self.part} {self.file} {self.metric}"

    @property
    def is_reached_without_network(self) -> bool:
        """Whether a simple method scores at least the median."""
        return self.best_baseline is not None and self.best_baseline[1] >= median(self.scores)

    @property
    def cells(self) -> tuple[Cell, ...]:
        best = None if self.best_baseline is None else f"{self.best_baseline[0]} {self.best_baseline[1]:.3f}"
        spread = (median(self.scores), min(self.scores), max(self.scores))
        return self.part, self.file, self.metric, self.num_train, self.num_items, *spread, self.mean, best

    @property
    def facts(self) -> dict[str, Any]:
        """For suite.json."""
        return asdict(self) | {"median": median(self.scores), "best_baseline": self.best_baseline}


@dataclass(frozen=True)
class Comparison:
    """One model minus another on the same items of a part's file. mcnemar_p: exact, of the median seeds; None where
    items are not simply right or wrong."""

    part: str
    file: str
    metric: str
    difference: Interval
    mcnemar_p: float | None

    @property
    def cells(self) -> tuple[Cell, ...]:
        d = self.difference
        shown = f"{d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
        return self.part, self.file, self.metric, shown, self.mcnemar_p

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)


Key = tuple[str, str]


def by_file(scored: Sequence[Scored]) -> dict[Key, list[Scored]]:
    """The runs on each (part, file), by seed."""
    grouped: dict[Key, list[Scored]] = {}
    for one in scored:
        grouped.setdefault((one.part.name, one.file), []).append(one)
    return {key: sorted(runs, key=lambda one: one.seed) for key, runs in grouped.items()}


def standings(scored: Sequence[Scored]) -> list[Standing]:
    """A row a part, file and metric."""
    rows = []
    for (part, file), runs in by_file(scored).items():
        for metric in runs[0].part.metrics:
            items = [one.items(metric) for one in runs]
            mean, over_seeds = mean_interval(items, derive_rng(0, "suite", _label(part, file, metric)))
            mean = cut_to(mean, *limits(metric))
            simple = {name: scores[metric] for name, scores in runs[0].baselines.items() if metric in scores}
            best = max(simple.items(), key=lambda pair: pair[1]) if simple else None
            values = tuple(one.scores[metric] for one in runs)
            rows.append(
                Standing(*(part, file, metric, runs[0].num_train, items[0].num_items), values, mean, over_seeds, best)
            )
    return rows


def average(suite: Suite, scored: Sequence[Scored]) -> tuple[float | None, str]:
    """The mean over the counted parts of the mean of their files' and metrics' medians, and what it is of, in words."""
    if not suite.has_average:
        return None, f"the parts of {suite.name} are scored apart: there is no average"
    parts: dict[str, list[float]] = {}
    for (part, _), runs in by_file(scored).items():
        if runs[0].part.is_counted:
            medians = [median(one.scores[metric] for one in runs) for metric in runs[0].part.metrics]
            parts.setdefault(part, []).append(fmean(medians))
    mean, total = fmean(fmean(files) for files in parts.values()), len(suite.counted)
    if total == 1:
        return (
            mean,
            f"the score of {suite.name} is that of {suite.counted[0].name}, the mean of its metrics: {mean:.4f}",
        )
    if len(parts) < total:
        return mean, f"average over {len(parts)} of the {total} parts, which is not {suite.name}'s: {mean:.4f}"
    aside = [part.name for part in suite.parts if not part.is_counted]
    told = f" (not counted: {', '.join(aside)})" if aside else ""
    return mean, f"average over all {total} parts of {suite.name}{told}: {mean:.4f}"


def compared(first: Sequence[Scored], second: Sequence[Scored]) -> list[Comparison]:
    """The main metric of every file that both models were scored on."""
    theirs = by_file(second)
    rows = []
    for key, runs in by_file(first).items():
        if key in theirs and theirs[key][0].rows == runs[0].rows:
            others = theirs[key]
            metric = runs[0].part.metrics[0]
            items = [[one.items(metric) for one in side] for side in (runs, others)]
            rng = derive_rng(0, "suite", _label(*key, "difference"))
            difference, _ = difference_interval(items[0], items[1], rng)
            least, most = limits(metric)
            difference = cut_to(difference, least - most, most - least)
            rows.append(Comparison(*key, metric, difference, _mcnemar(_middle(runs), _middle(others))))
    return rows


def _label(*names: str) -> str:
    return "/".join(names)


def _middle(runs: Sequence[Scored]) -> Scored:
    return sorted(runs, key=lambda one: one.score)[(len(runs) - 1) // 2]


def _mcnemar(first: Scored, second: Scored) -> float | None:
    """Of items that are simply right or wrong; None where they are not."""
    if first.part.metrics[0] in first.part.own:
        return None
    right = [
        [one for pair in zip(run.predictions, run.rows, strict=True) if (one := _is_right(*pair)) is not None]
        for run in (first, second)
    ]
    return mcnemar(*right).exact_p if len(right[0]) == len(first.rows) else None


def _is_right(prediction: Prediction, row: Record) -> float | None:
    """1 or 0; None for a value, for words and for answers, which may be right in part."""
    if isinstance(prediction, Mapping) and "choice" in prediction:
        return float(prediction["choice"] == choices_of(row).label)
    if isinstance(prediction, Mapping) and "label" in prediction:
        return float(prediction["label"] == label_name(row["label"]))
    return None
