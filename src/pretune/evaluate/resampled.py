"""Scores of several systems on the same resamples of the test items, so that any difference of them is paired.

A score of S seeds is kept with its values on B resamples of the items. Sums, means over test sets and differences of
systems are then taken resample by resample, and one rule gives their intervals over seeds and items
(`metrics/two_level.py`; of one seed, over items alone). Systems of equally many seeds are paired by seed.

Not here: two test sets that share items; they are taken as independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import Interval, percentiles, resample_weights
from pretune.metrics.significance import two_sided
from pretune.metrics.two_level import resampled_means
from pretune.tasks.items import Items

NUM_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Resampled:
    """scores_S: of each seed on the N items as they are; scores_BS: on each resample of them."""

    scores_S: FloatArray
    scores_BS: FloatArray
    num_items: int

    def __sub__(self, other: "Resampled") -> "Resampled":
        """Seed by seed; ValueError where the seeds are not equally many."""
        if len(self.scores_S) != len(other.scores_S):
            raise ValueError(f"{len(self.scores_S)} seeds minus {len(other.scores_S)}: give equally many")
        scores_S, scores_BS = self.scores_S - other.scores_S, self.scores_BS - other.scores_BS
        return Resampled(scores_S, scores_BS, min(self.num_items, other.num_items))

    def first(self, num_seeds: int) -> "Resampled":
        return Resampled(self.scores_S[:num_seeds], self.scores_BS[:, :num_seeds], self.num_items)

    @property
    def estimate(self) -> float:
        """The mean over the seeds."""
        return float(self.scores_S.mean())

    @property
    def over_seeds(self) -> bool:
        """Whether its interval is over seeds too."""
        return len(self.scores_S) > 1

    def interval(self, rng: np.random.Generator) -> Interval:
        """Of the mean over seeds, 95 %."""
        return percentiles(self.estimate, self._means(rng), 0.95)

    def p_value(self, rng: np.random.Generator) -> float:
        """Two-sided, of a difference that is zero."""
        return two_sided(self._means(rng))

    def _means(self, rng: np.random.Generator) -> FloatArray:
        if not self.over_seeds:
            return np.asarray(self.scores_BS[:, 0])
        return resampled_means(self.scores_S, self.scores_BS, self.num_items, rng)


def mean_of(scores: Sequence[Resampled]) -> Resampled:
    """The mean over test sets."""
    scores_S = np.mean([one.scores_S for one in scores], 0)
    return Resampled(scores_S, np.mean([one.scores_BS for one in scores], 0), sum(one.num_items for one in scores))


def resample(systems: Sequence[Sequence[Items]], rng: np.random.Generator) -> list[Resampled]:
    """Scores of every system, which has Items of the same test records for each of its seeds.

    >>> from pretune.tasks.items import accuracy_items
    >>> first, second = (accuracy_items(list("aabb"), list(guess)) for guess in ("aabb", "abbb"))
    >>> better, worse = resample([[first], [second]], np.random.default_rng(0))
    >>> (better - worse).interval(np.random.default_rng(0)).estimate
    0.25
    """
    seed = int(rng.integers(1 << 62))
    return [Resampled(*_scores(items, seed), items[0].num_items) for items in systems]


def _scores(runs: Sequence[Items], seed: int) -> tuple[FloatArray, FloatArray]:
    found = [(one.metric(np.arange(one.num_items)), _on_resamples(one, np.random.default_rng(seed))) for one in runs]
    return np.array([score for score, _ in found], np.float64), np.stack([column for _, column in found], -1)


def _on_resamples(items: Items, rng: np.random.Generator) -> FloatArray:
    """[B]; the resamples are the generator's, whatever the metric."""
    blocks = resample_weights(items.num_items, NUM_RESAMPLES, rng)
    counts_NC, score = items.counts_NC, items.score
    if counts_NC is not None and score is not None:
        return np.concatenate([score(weights_BN @ counts_NC) for weights_BN in blocks])
    every_N = np.arange(items.num_items)
    return np.array([items.metric(np.repeat(every_N, row_N.astype(int))) for block in blocks for row_N in block])
