"""Rows of a comparison beside each other: what was learnt, which losses are comparable, scores, differences, ranks.

A row is learnt if its language model's validation loss is at least `MARGIN` nats below the unigram entropy, for every
seed: a model that only knows how frequent words are has that entropy, and scores of such rows are noise. Rows are
ranked by the mean of their scores, one a suite; without suites by a loss that is comparable. Every score has one rule
for its interval (`resampled.py`), and differences from the first row are paired by seed and test item.

Replaced-token detection must do both: its generator, a language model, is judged so, and its own loss must be at least
5 % below that of always guessing the share of replaced tokens. (0.3 nats are about as much of a unigram entropy.)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from pretune.core.randomness import derive_rng
from pretune.evaluate.over_seeds import cut_to, limits
from pretune.evaluate.resampled import Resampled, mean_of, resample
from pretune.evaluate.suites.pair_scores import ScoredSet, by_phenomenon, items
from pretune.evaluate.suites.standing import Scored
from pretune.metrics.intervals import Interval
from pretune.metrics.significance import holm
from pretune.tasks.items import Items

MARGIN = 0.3
"""Nats below the unigram entropy from which on a row has learnt."""
GUESS = 0.95
"""The same for telling replaced tokens, as a share of the loss of a constant guess."""


@dataclass(frozen=True)
class Trained:
    """A row's run of one seed. metrics: its metrics.json; curve: (tokens, validation loss) of each evaluation.

    replaced_share: of the validation's tokens, by the run's own generator; None where there is none.
    """

    seed: int
    metrics: Mapping[str, Any] = field(repr=False)
    curve: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    replaced_share: float | None = None

    @property
    def loss(self) -> float:
        """Of the language model's head where there is one, else of the whole objective."""
        losses = self.metrics["loss"]
        return float(losses.get("valid_lm", losses["valid"]))

    @property
    def is_judged(self) -> bool:
        """Whether there is a language model's loss, which the unigram entropy is comparable with."""
        return "valid_lm" in self.metrics["loss"]

    @property
    def has_learnt(self) -> bool:
        if self.replaced_share is not None:
            guess = entropy_of(self.replaced_share)
            if float(self.metrics["loss"]["valid_replaced_token"]) > GUESS * guess:
                return False
        return self.is_judged and self.loss < float(self.metrics["unigram_entropy"]) - MARGIN


@dataclass(frozen=True, order=True)
class Measure:
    """A metric of a file of a suite's part. is_counted: whether it is part of the suite's mean."""

    suite: str
    part: str
    file: str
    metric: str
    is_counted: bool = True

    def __str__(self) -> str:
        file = "" if self.file in ("dev", "test", "") else f" {self.file}"
        return f"{self.part}{file} {self.metric}"


@dataclass(frozen=True, eq=False)
class Measured:
    """What a test's items say of a row's model of one seed. simple: (name, score) of the best method without it."""

    test: Measure
    items: Items
    simple: tuple[str, float] | None = None


def of_suite(suite: str, scored: Sequence[Scored]) -> list[Measured]:
    """Every metric of what a suite's runs of one seed predicted."""
    found = []
    for one in scored:
        for metric in one.part.metrics:
            simple = {name: scores[metric] for name, scores in one.baselines.items() if metric in scores}
            best = max(simple.items(), key=lambda pair: pair[1], default=None)
            test = Measure(suite, one.part.name, one.file, metric, one.part.is_counted)
            found.append(Measured(test, one.items(metric), best))
    return found


def of_pairs(suite: str, sets: Sequence[ScoredSet]) -> list[Measured]:
    """The mean accuracy over sets of minimal pairs, and over each phenomenon's sets, which is not counted again."""
    phenomena = by_phenomenon(sets)
    told = {"all": list(sets), **(phenomena if len(phenomena) > 1 else {})}
    found = []
    for name, some in told.items():
        shorter = fmean(one.shorter_is_good for one in some)
        test = Measure(suite, suite if name == "all" else f"{suite}: {name}", "", "accuracy", name == "all")
        found.append(Measured(test, items(some), ("fewer pieces", shorter)))
    return found


@dataclass(frozen=True)
class Entry:
    """A row. samples, predictions: what stands for the text's cut and for what validation asks, as in the plan.

    measured: by test, seeds in the order of `runs`.
    """

    name: str
    runs: tuple[Trained, ...] = field(repr=False)
    samples: str = ""
    predictions: str = ""
    measured: Sequence[Measured] = field(default=(), repr=False)

    @property
    def loss(self) -> float:
        """The mean over seeds."""
        return fmean(run.loss for run in self.runs)

    @property
    def not_learnt(self) -> str | None:
        """Says which seeds have not learnt; None where all have."""
        if not all(run.is_judged for run in self.runs):
            return "not judged: it has no language model's loss"
        seeds = [str(run.seed) for run in self.runs if not run.has_learnt]
        if not seeds:
            return None
        return "not learnt" if len(seeds) == len(self.runs) else f"not learnt with seed {', '.join(seeds)}"

    @property
    def has_generator(self) -> bool:
        return any(run.replaced_share is not None for run in self.runs)

    def mean(self, name: str) -> float:
        """The mean over seeds of a number in metrics.json."""
        return fmean(float(run.metrics[name]) for run in self.runs)


@dataclass(frozen=True)
class Difference:
    """A row minus the first one. test: None for the mean over suites. p: two-sided; holm_p: adjusted for all tests that
    are told beside it."""

    row: str
    test: Measure | None
    interval: Interval
    p: float
    holm_p: float


def entropy_of(share: float) -> float:
    """Nats of guessing always alike of something that is so in a share of the cases.

    >>> round(entropy_of(0.5), 6), entropy_of(0.0)
    (0.693147, 0.0)
    """
    return sum(-p * math.log(p) for p in (share, 1 - share) if p > 0)


class Comparison:
    """rows: finished ones, the first is what the others are compared with."""

    def __init__(self, rows: Sequence[Entry]) -> None:
        self.rows = tuple(rows)

    @property
    def first(self) -> Entry:
        return self.rows[0]

    @cached_property
    def scores(self) -> dict[Measure, dict[str, Resampled]]:
        """{test: {row: its scores}}, all rows of a test on the same resamples."""
        items: dict[Measure, dict[str, list[Items]]] = {}
        for row in self.rows:
            for one in row.measured:
                items.setdefault(one.test, {}).setdefault(row.name, []).append(one.items)
        return {test: _resampled(test, rows) for test, rows in items.items()}

    @cached_property
    def averages(self) -> dict[str, Resampled]:
        """{row: its mean score}: over suites, of the mean over a suite's counted parts, of the mean over their files
        and metrics. Empty without suites."""
        found = {}
        for row in self.rows:
            tree: dict[str, dict[str, list[Resampled]]] = {}
            for test, scores in self.scores.items():
                if test.is_counted and row.name in scores:
                    tree.setdefault(test.suite, {}).setdefault(test.part, []).append(scores[row.name])
            if tree:
                suites = [mean_of([mean_of(metrics) for metrics in parts.values()]) for parts in tree.values()]
                found[row.name] = mean_of(suites)
        return found

    def score(self, test: Measure, row: str) -> Interval:
        found = self.scores[test][row].interval(derive_rng(0, "compare", str(test), row))
        return cut_to(found, *limits(test.metric))

    def average(self, row: str) -> Interval:
        return self.averages[row].interval(derive_rng(0, "compare", "mean", row))

    @cached_property
    def differences(self) -> list[Difference]:
        """Of every other row, in every measure that is counted; p adjusted over all of them."""
        found = []
        for test, scores in ((test, scores) for test, scores in self.scores.items() if test.is_counted):
            least, most = limits(test.metric)
            for row in (row.name for row in self.rows[1:]):
                if row in scores and self.first.name in scores:
                    interval, p = _difference(scores[row], scores[self.first.name], str(test), row)
                    found.append((row, test, cut_to(interval, least - most, most - least), p))
        return _adjusted(found)

    @cached_property
    def mean_differences(self) -> dict[str, Difference]:
        """{row: its mean score minus the first row's}; p adjusted over the rows."""
        if self.first.name not in self.averages:
            return {}
        others = [row.name for row in self.rows[1:] if row.name in self.averages]
        first = self.averages[self.first.name]
        told = [(row, None, *_difference(self.averages[row], first, "mean", row)) for row in others]
        return {one.row: one for one in _adjusted(told)}

    @cached_property
    def groups(self) -> dict[str, str]:
        """{row: a letter}: rows of one letter predict the same from the same, so their losses are comparable."""
        letters: dict[str, str] = {}
        for row in self.rows:
            letters.setdefault(
                row.predictions, chr(ord("a") + len(letters)) if len(letters) < 26 else str(len(letters))
            )
        return {row.name: letters[row.predictions] for row in self.rows}

    def why_not_comparable(self, row: Entry) -> str | None:
        """Why a row's loss says nothing beside the first row's; None where it does."""
        if row.predictions == self.first.predictions:
            return None
        if row.has_generator or self.first.has_generator:
            return "one of them is that of a generator, which is a smaller model"
        if row.samples != self.first.samples:
            return "it cuts the text into other samples"
        return "it sees or predicts other tokens of the same samples"

    @cached_property
    def ranks(self) -> dict[str, int]:
        """{row: its place, from 1}, of rows that are learnt: by the mean score, without suites by the loss among rows
        whose losses are comparable with the first one's."""
        learnt = [row for row in self.rows if row.not_learnt is None]
        if self.averages:
            chosen = [row for row in learnt if row.name in self.averages]
            chosen.sort(key=lambda row: -self.averages[row.name].estimate)
        else:
            chosen = sorted((row for row in learnt if self.why_not_comparable(row) is None), key=lambda row: row.loss)
        return {row.name: place for place, row in enumerate(chosen, 1)}


def _resampled(test: Measure, rows: Mapping[str, Sequence[Items]]) -> dict[str, Resampled]:
    found = resample(list(rows.values()), derive_rng(0, "compare", str(test)))
    return dict(zip(rows, found, strict=True))


def _difference(row: Resampled, first: Resampled, what: str, name: str) -> tuple[Interval, float]:
    number = min(len(row.scores_S), len(first.scores_S))
    found = row.first(number) - first.first(number)
    key = ("compare", "difference", what, name)
    return found.interval(derive_rng(0, *key)), found.p_value(derive_rng(0, *key))


def _adjusted(told: Sequence[tuple[str, Measure | None, Interval, float]]) -> list[Difference]:
    adjusted = holm([p for *_, p in told])
    return [Difference(*each, holm_p) for each, holm_p in zip(told, adjusted, strict=True)]
