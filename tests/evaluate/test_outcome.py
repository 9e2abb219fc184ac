"""The word on baselines follows the interval of the difference."""

import numpy as np
import pytest

from pretune.evaluate.outcome import Outcome, compare_sums, sentences
from pretune.metrics.intervals import Interval, ratio_of_sums


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (0.01, 0.2, "beats", "beats majority"),
        (-0.01, 0.2, "not told apart", "does NOT measurably beat majority"),
        (0.0, 0.2, "not told apart", "does NOT measurably beat majority"),
        (-0.2, -0.01, "worse", "is WORSE than majority"),
    ],
)
def test_verdict(low: float, high: float, verdict: str, words: str) -> None:
    outcome = Outcome("the network", "majority", "accuracy", Interval((low + high) / 2, low, high))
    assert outcome.verdict == verdict
    assert f"The network {words}: accuracy {(low + high) / 2:+.3f} [{low:+.3f}, {high:+.3f}]" in outcome.sentence()


def test_from_counts_and_unbeaten_first() -> None:
    rng = np.random.default_rng(0)
    good = (rng.random(500) < 0.9).astype(float)
    same = rng.permutation(good)
    bad = (rng.random(500) < 0.5).astype(float)
    counts = [np.stack([values, np.ones(500)], -1) for values in (good, same, bad)]
    found = [
        compare_sums("the network", name, "accuracy", counts[0], other, ratio_of_sums, rng=np.random.default_rng(1))
        for name, other in (("majority", counts[2]), ("TF-IDF", counts[1]))
    ]
    assert found[0].difference.estimate == pytest.approx(good.mean() - bad.mean())
    assert [outcome.verdict for outcome in found] == ["beats", "not told apart"]
    first, second = sentences(found)
    assert "TF-IDF" in first and "majority" in second
