"""What scores of minimal pairs are worth: accuracy of sets, phenomena and the whole, intervals, two models compared.

Intervals are over pairs, drawn anew within each set (the sets are the suite's, and stay). A bootstrap of the mean of n
right-or-wrong items is a binomial draw, so a thousand resamples of 67,000 pairs take no time. They say nothing about
training the model again: for several seeds there is `items`, which `evaluate/over_seeds.py` takes.

Beside each score stands that of a method without a model: the sentence with fewer pieces is taken for the good one,
half a point where both have as many. A sum of log-probabilities prefers short sentences by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.evaluate.slices import widened
from pretune.evaluate.table import Cell
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import Interval, percentiles
from pretune.metrics.significance import mcnemar
from pretune.tasks.items import Items, of_sums

LEVEL, NUM_RESAMPLES = 0.95, 2000


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """A set's pairs, N of them. score_N2: of the good and the bad sentence. num_pieces_N2, num_unknown_N2: how many
    pieces they have, and how many of these are [UNK]."""

    name: str
    phenomenon: str
    score_N2: NDArray[np.float64]
    num_pieces_N2: NDArray[np.int64]
    num_unknown_N2: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score_N2)

    @property
    def is_right_N(self) -> NDArray[np.bool_]:
        """Equal scores are wrong."""
        return self.score_N2[:, 0] > self.score_N2[:, 1]

    @property
    def num_tied(self) -> int:
        return int((self.score_N2[:, 0] == self.score_N2[:, 1]).sum())

    @property
    def num_with_unknown(self) -> int:
        """Pairs with [UNK] in a sentence."""
        return int(self.num_unknown_N2.any(-1).sum())

    @property
    def shorter_is_good(self) -> float:
        """Accuracy of taking the sentence with fewer pieces."""
        good_N, bad_N = self.num_pieces_N2.T
        return float(np.where(good_N == bad_N, 0.5, good_N < bad_N).mean())

    def first(self, number: int) -> "ScoredSet":
        """Its first pairs."""
        scores_N2, pieces_N2, unknown_N2 = self.score_N2, self.num_pieces_N2, self.num_unknown_N2
        return ScoredSet(self.name, self.phenomenon, scores_N2[:number], pieces_N2[:number], unknown_N2[:number])


@dataclass(frozen=True)
class Accuracy:
    """Of a set, or the mean over the sets of a phenomenon or of all."""

    name: str
    phenomenon: str | None
    num_sets: int
    num_pairs: int
    accuracy: Interval
    shorter: float

    @property
    def facts(self) -> dict[str, Any]:
        """For suite.json."""
        return asdict(self)


def accuracy_of(name: str, sets: Sequence[ScoredSet], rng: np.random.Generator) -> Accuracy:
    """The mean accuracy of sets, with its interval."""
    right_S = np.array([one.is_right_N.mean() for one in sets])
    size_S = np.array([len(one) for one in sets])
    drawn_B = (rng.binomial(size_S, right_S, size=(NUM_RESAMPLES, len(sets))) / size_S).mean(-1)
    interval = widened(percentiles(float(right_S.mean()), drawn_B, LEVEL), int(size_S.sum()))
    phenomena = {one.phenomenon for one in sets}
    phenomenon = phenomena.pop() if len(phenomena) == 1 else None
    shorter = float(np.mean([one.shorter_is_good for one in sets]))
    return Accuracy(name, phenomenon, len(sets), int(size_S.sum()), interval, shorter)


def by_phenomenon(sets: Sequence[ScoredSet]) -> dict[str, list[ScoredSet]]:
    """{phenomenon: its sets}, in order."""
    found: dict[str, list[ScoredSet]] = {}
    for one in sets:
        found.setdefault(one.phenomenon, []).append(one)
    return found


@dataclass(frozen=True)
class PairedDifference:
    """One model's accuracy minus another's on the same pairs. mcnemar_p: exact, over all pairs."""

    name: str
    num_pairs: int
    difference: Interval
    mcnemar_p: float

    @property
    def cells(self) -> tuple[Cell, ...]:
        d = self.difference
        return self.name, self.num_pairs, f"{d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]", self.mcnemar_p

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)


def difference_of(
    name: str, ours: Sequence[ScoredSet], theirs: Sequence[ScoredSet], rng: np.random.Generator
) -> PairedDifference:
    """Of the same sets with as many pairs each: the mean over sets, pairs drawn for both models together."""
    means, drawn_B = [], np.zeros(NUM_RESAMPLES)
    for first, second in zip(ours, theirs, strict=True):
        difference_N = first.is_right_N.astype(np.int64) - second.is_right_N
        share_3 = np.array([(difference_N == value).mean() for value in (-1, 0, 1)])
        counts_B3 = rng.multinomial(len(first), share_3, size=NUM_RESAMPLES)
        drawn_B += (counts_B3[:, 2] - counts_B3[:, 0]) / len(first)
        means.append(difference_N.mean())
    interval = percentiles(float(np.mean(means)), drawn_B / len(means), LEVEL)
    right = [np.concatenate([one.is_right_N for one in side]).astype(np.int64) for side in (ours, theirs)]
    return PairedDifference(name, len(right[0]), interval, mcnemar(*right).exact_p)


def on_same_pairs(ours: Sequence[ScoredSet], theirs: Sequence[ScoredSet]) -> tuple[list[ScoredSet], list[ScoredSet]]:
    """The sets that both have, cut to the pairs that both have."""
    known = {one.name: one for one in theirs}
    found = [(one, known[one.name]) for one in ours if one.name in known]
    sizes = [min(len(first), len(second)) for first, second in found]
    pairs = [(first.first(size), second.first(size)) for (first, second), size in zip(found, sizes, strict=True)]
    return [first for first, _ in pairs], [second for _, second in pairs]


def items(sets: Sequence[ScoredSet]) -> Items:
    """The mean accuracy of sets as a metric of their pairs, for intervals over runs and pairs at once.

    A resample draws from all pairs, so that sets change their sizes with it; a set that is not drawn counts as 0.
    """
    number_N = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    is_set_NS = np.eye(len(sets))[number_N]
    right_NS = is_set_NS * np.concatenate([one.is_right_N for one in sets])[:, None]
    return of_sums(np.concatenate([right_NS, is_set_NS], -1), _mean_of_sets)


def _mean_of_sets(sums: FloatArray) -> FloatArray:
    right, size = np.split(sums, 2, -1)
    return np.asarray((right / np.maximum(size, 1)).mean(-1))


def as_rows(scored: ScoredSet, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    """A JSON object a pair: its id, the two scores (good, bad), numbers of pieces and of [UNK]."""
    columns = (scored.score_N2, scored.num_pieces_N2, scored.num_unknown_N2)
    return [
        {"pair": id, "scores": score, "pieces": pieces, "unknown": unknown}
        for id, score, pieces, unknown in zip(ids, *(column.tolist() for column in columns), strict=True)
    ]


def from_rows(name: str, phenomenon: str, rows: Sequence[Mapping[str, Any]]) -> ScoredSet:
    """What `as_rows` wrote."""
    scores = np.array([row["scores"] for row in rows], np.float64)
    counts = (np.array([row[key] for row in rows], np.int64) for key in ("pieces", "unknown"))
    return ScoredSet(name, phenomenon, scores, *counts)
