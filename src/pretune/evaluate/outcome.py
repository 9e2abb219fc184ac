"""Whether a network beats a simple baseline on the same test items, said in a sentence with its interval.

Where it does not, the sentence says so: that is the point of baselines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pretune.metrics.intervals import Interval, SumScore
from pretune.metrics.significance import paired_bootstrap_sums

Verdict = Literal["beats", "not told apart", "worse"]


@dataclass(frozen=True)
class Outcome:
    """difference: the network's score minus the baseline's, in a metric of which more is better, with its interval."""

    network: str
    baseline: str
    metric: str
    difference: Interval

    @property
    def verdict(self) -> Verdict:
        """By whether the interval lies above zero, below it, or holds it."""
        if self.difference.low > 0:
            return "beats"
        return "worse" if self.difference.high < 0 else "not told apart"

    def sentence(self) -> str:
        """
        >>> print(Outcome("the network", "majority", "accuracy", Interval(0.1, 0.05, 0.15)).sentence())
        The network beats majority: accuracy +0.100 [+0.050, +0.150] (95 % interval of the difference).
        >>> print(Outcome("the network", "TF-IDF + linear", "accuracy", Interval(0.01, -0.02, 0.04)).sentence())
        The network does NOT measurably beat TF-IDF + linear: accuracy +0.010 [-0.020, +0.040] (95 % interval of the \
difference).
        """
        said = {
            "beats": "beats",
            "not told apart": "does NOT measurably beat",
            "worse": "is WORSE than",
        }[self.verdict]
        d = self.difference
        subject = self.network[:1].upper() + self.network[1:]
        figures = f"{self.metric} {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
        return f"{subject} {said} {self.baseline}: {figures} ({100 * d.level:g} % interval of the difference)."


def compare_sums(
    network: str,
    baseline: str,
    metric: str,
    network_NC: ArrayLike,
    baseline_NC: ArrayLike,
    score: SumScore,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Outcome:
    """Outcome of two systems' counts on the same items, by the paired bootstrap; see `metrics.significance`."""
    difference = paired_bootstrap_sums(network_NC, baseline_NC, score, rng=rng, level=level)
    return Outcome(network, baseline, metric, difference.interval)


def sentences(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """All sentences, those of baselines that are not beaten first."""
    order = {"worse": 0, "not told apart": 1, "beats": 2}
    return tuple(outcome.sentence() for outcome in sorted(outcomes, key=lambda outcome: order[outcome.verdict]))
