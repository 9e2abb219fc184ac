"""What a suite's runs are worth: medians and spreads over seeds, intervals, one average, and two models compared.

An interval over seeds and test items at once needs a metric that is a function of sums (`metrics/two_level.py`);
Spearman's correlation is not one, and has an interval over items alone, which the row says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean, median
from typing import Any

from pretune.core.randomness import derive_rng
from pretune.evaluate.over_seeds import difference_interval, mean_interval
from pretune.evaluate.suites.suite import Part, Suite
from pretune.evaluate.table import Cell
from pretune.metrics.intervals import Interval
from pretune.metrics.significance import mcnemar
from pretune.tasks.items import Items
from pretune.tasks.task import Prediction, Scores, Task, changed
from pretune.text.labels import label_name
from pretune.text.records import Record


@dataclass(frozen=True)
class Scored:
    """One run's predictions on one of a part's files. baselines: of simple methods; num_train: training records."""

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
        return self.task.score(self.predictions, self.rows)

    @property
    def score(self) -> float:
        """The mean of the part's metrics."""
        return fmean(self.scores[metric] for metric in self.part.metrics)

    def items(self, metric: str) -> Items:
        task = self.task if metric == self.task.main_metric else changed(self.part.task, self.task, {"metric": metric})
        return task.items(self.predictions, self.rows)


@dataclass(frozen=True)
class Standing:
    """A metric of a part's file over the seeds. over_seeds: whether the interval is over seeds too."""

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
    def cells(self) -> tuple[Cell, ...]:
        best = None if self.best_baseline is None else f"{self.best_baseline[0]} {self.best_baseline[1]:.3f}"
        mean = str(self.mean) + ("" if self.over_seeds else " (items)")
        spread = (median(self.scores), min(self.scores), max(self.scores))
        return self.part, self.file, self.metric, self.num_train, self.num_items, *spread, mean, best

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
            simple = {name: scores[metric] for name, scores in runs[0].baselines.items() if metric in scores}
            best = max(simple.items(), key=lambda pair: pair[1]) if simple else None
            values = tuple(one.scores[metric] for one in runs)
            rows.append(
                Standing(*(part, file, metric, runs[0].num_train, len(runs[0].rows)), values, mean, over_seeds, best)
            )
    return rows


def average(suite: Suite, scored: Sequence[Scored]) -> tuple[float, str]:
    """The mean over parts of the mean of their files' and metrics' medians, and over how many parts it is."""
    parts: dict[str, list[float]] = {}
    for (part, _), runs in by_file(scored).items():
        medians = [median(one.scores[metric] for one in runs) for metric in runs[0].part.metrics]
        parts.setdefault(part, []).append(fmean(medians))
    mean = fmean(fmean(files) for files in parts.values())
    if len(parts) == len(suite.parts):
        return mean, f"average over all {len(parts)} parts of {suite.name}: {mean:.4f}"
    return mean, f"average over {len(parts)} of the {len(suite.parts)} parts, which is not {suite.name}'s: {mean:.4f}"


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
            rows.append(Comparison(*key, metric, difference, _mcnemar(_middle(runs), _middle(others))))
    return rows


def _label(*names: str) -> str:
    return "/".join(names)


def _middle(runs: Sequence[Scored]) -> Scored:
    return sorted(runs, key=lambda one: one.score)[(len(runs) - 1) // 2]


def _mcnemar(first: Scored, second: Scored) -> float | None:
    right = []
    for run in (first, second):
        if not all(isinstance(one, Mapping) and "label" in one for one in run.predictions):
            return None
        pairs = zip(run.predictions, run.rows, strict=True)
        right.append([float(one["label"] == label_name(row["label"])) for one, row in pairs])
    return mcnemar(*right).exact_p
