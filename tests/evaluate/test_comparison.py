"""Ranks, what is learnt and what is comparable, differences with intervals: on rows made by hand."""

import numpy as np
import pytest

from pretune.evaluate.comparison import Comparison, Entry, Measure, Measured, Trained, entropy_of
from pretune.evaluate.comparison_page import (
    cost_table,
    difference_table,
    loss_chart,
    result_table,
    score_forests,
    score_table,
    settings_table,
    verdicts,
)
from pretune.evaluate.resampled import mean_of, resample
from pretune.evaluate.table import as_text
from pretune.metrics.intervals import bootstrap_mean
from pretune.metrics.significance import holm
from pretune.tasks.items import Items, accuracy_items

COSTS = {"parameters": 10, "steps": 4, "tokens": 100, "flops": 1e6, "seconds": 2.0, "energy_kwh": 0.1}
WATTS = {"watts": 65.0, "watts_source": "a guess"}
ACCURACY = Measure("glue", "SST-2", "dev", "accuracy")
OTHER = Measure("ud", "UD", "test", "accuracy")
ASIDE = Measure("glue", "AX", "test", "accuracy", is_counted=False)


def trained(seed, loss, entropy=6.0, name="valid_lm"):
    metrics = {"loss": {"valid": loss, name: loss}, "unigram_entropy": entropy, **COSTS, **WATTS}
    return Trained(seed, metrics, ((50.0, loss + 1), (100.0, loss)))


def guesses(right, number=100):
    return accuracy_items(["a"] * number, ["a"] * right + ["b"] * (number - right))


def row(name, losses, right=(), predictions="p", samples="s", tests=(ACCURACY,)):
    """right: how many items each seed has right, for all tests."""
    measured = [Measured(test, guesses(number), ("majority", 0.5)) for test in tests for number in right]
    return Entry(name, tuple(trained(n, loss) for n, loss in enumerate(losses, 1)), samples, predictions, measured)


def test_rows_near_the_unigram_entropy_are_not_learnt_and_not_ranked():
    rows = [row("flat", (5.69, 5.71), (90, 90)), row("good", (5.0, 5.0), (60, 60)), row("best", (5.6, 5.69), (70, 70))]
    found = Comparison(rows)
    assert [one.not_learnt for one in rows] == ["not learnt with seed 2", None, None]
    assert row("none", (5.71, 5.8)).not_learnt == "not learnt"
    assert found.ranks == {"best": 1, "good": 2}
    shown = result_table(found).rows
    assert [cells[:2] for cells in shown] == [(1, "best"), (2, "good"), ("not learnt with seed 2", "flat")]
    assert verdicts(found)[0].startswith("Scored lower than flat: good (-0.300")
    assert verdicts(found)[-1] == "But flat itself has not learnt, so this says little."
    assert "not learnt" in as_text(score_table(found))
    alone = Entry("nsp", (trained(1, 0.1, name="valid_next_sentence"),))
    assert alone.not_learnt == "not judged: it has no language model's loss"


def test_telling_replaced_tokens_is_judged_by_both_losses():
    """With 12 % replaced, always guessing so has a loss of 0.367."""
    for loss, told, lm in ((0.30, None, 4.0), (0.36, "not learnt", 4.0), (0.30, "not learnt", 5.8)):
        run = trained(1, lm)
        metrics = run.metrics | {"loss": run.metrics["loss"] | {"valid_replaced_token": loss}}
        assert Entry("electra", (Trained(1, metrics, (), 0.12),)).not_learnt == told
    assert entropy_of(0.12) == pytest.approx(0.3669, abs=1e-4)


def test_without_suites_rows_are_ranked_by_comparable_losses():
    rows = [row("a", (4.0,)), row("b", (3.0,)), row("c", (1.0,), predictions="q"), row("d", (2.0,), "", "r", "t")]
    found = Comparison(rows)
    assert found.ranks == {"b": 1, "a": 2}
    assert found.groups == {"a": "a", "b": "a", "c": "b", "d": "c"}
    assert found.why_not_comparable(rows[1]) is None
    assert "other tokens of the same samples" in found.why_not_comparable(rows[2])
    assert "other samples" in found.why_not_comparable(rows[3])
    assert result_table(found).columns == ("rank", "row", "validation loss", "alike", "below unigram")
    assert score_forests(found) == [] and verdicts(found) == ()


def test_the_mean_is_over_suites_then_parts_and_counts_no_diagnostic_set():
    tests = (ACCURACY, Measure("glue", "CoLA", "dev", "accuracy"), OTHER, ASIDE)
    measured = [Measured(test, guesses(right)) for test, right in zip(tests, (80, 60, 90, 0), strict=True)]
    found = Comparison([Entry("one", (trained(1, 3.0),), "s", "p", measured)])
    assert found.average("one").estimate == pytest.approx((0.7 + 0.9) / 2)
    assert [str(test) for test in tests[2:]] == ["UD accuracy", "AX accuracy"]
    assert str(Measure("glue", "MNLI", "matched", "accuracy")) == "MNLI matched accuracy"


def test_differences_are_paired_and_corrected():
    """Ten items more of the same hundred are a sure difference; ten others are not."""
    first, better = guesses(50), guesses(62)
    other = accuracy_items(["a"] * 100, ["b"] * 44 + ["a"] * 56)
    measured = {"first": first, "better": better, "other": other}
    rows = [Entry(name, (trained(1, 3.0),), "s", "p", [Measured(ACCURACY, one)]) for name, one in measured.items()]
    found = Comparison(rows)
    sure, unsure = found.differences
    assert (sure.row, round(sure.interval.estimate, 6), sure.interval.low > 0.05) == ("better", 0.12, True)
    assert sure.p < 0.01 and unsure.p > 0.3 and unsure.interval.low < 0 < unsure.interval.high
    assert [sure.holm_p, unsure.holm_p] == holm([sure.p, unsure.p])
    cells = score_table(found).rows[0]
    assert cells[2:5] == ("0.500", "0.620*", "0.560")
    told = verdicts(found)
    assert told[0].startswith("Scored higher than first: better (") and told[1].startswith(
        "Not told apart from first: other ("
    )


def test_seeds_widen_what_items_say():
    steady, shaky = row("steady", (3.0, 3.0), (70, 70)), row("shaky", (3.0, 3.0), (55, 85))
    found = Comparison([steady, shaky])
    narrow, wide = (found.score(ACCURACY, name) for name in ("steady", "shaky"))
    assert narrow.estimate == wide.estimate == pytest.approx(0.7)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low) and wide.high <= 1
    one = bootstrap_mean([1] * 70 + [0] * 30, rng=np.random.default_rng(0))
    assert narrow.low == pytest.approx(one.low, abs=0.02)


def test_rows_share_their_resamples_whatever_the_metric():
    """A metric that is no function of sums sees the very resamples that one of sums does."""
    right = np.array([1.0] * 30 + [0.0] * 20)
    slow = Items(50, lambda numbers: float(right[numbers].mean()))
    fast = guesses(30, 50)
    ours, theirs = resample([[slow, slow], [fast, fast]], np.random.default_rng(3))
    assert np.allclose(ours.scores_BS, theirs.scores_BS)
    both = mean_of([ours, theirs])
    assert both.num_items == 100 and (both - ours).interval(np.random.default_rng(0)).high == pytest.approx(0)
    with pytest.raises(ValueError, match="equally many"):
        _ = ours - ours.first(1)


def test_tables_and_pictures_show_every_row():
    found = Comparison(
        [
            row("first", (3.0, 3.2), (60, 62), tests=(ACCURACY, OTHER)),
            row("b", (3.1, 3.1), (70, 73), tests=(ACCURACY, OTHER)),
        ]
    )
    chart = loss_chart(found)
    assert [one.name for one in chart.series] == ["first (a)", "b (a)"]
    assert chart.series[0].points == ((5e-5, 4.1), (1e-4, 3.1)) and chart.series[0].band[1] == (1e-4, 3.0, 3.2)
    assert chart.references[0].y == 6.0
    means, differences = score_forests(found)
    assert [one.name for one in means.slices] == ["first", "b"] and means.overall == pytest.approx(0.61)
    assert [one.group for one in differences.slices] == ["SST-2 accuracy", "UD accuracy", "mean over suites"]
    assert len(difference_table(found).rows) == 4 and "majority 0.500" in score_table(found).rows[0]
    assert cost_table(found).rows[0] == ("first", 10, 4, 100, "1e+06", 2, 0.1)
    told = settings_table({"a": {"x": "1", "y": "2"}, "b": {"x": "1", "y": "3", "z": None}})
    assert told.columns == ("row", "y", "z") and told.rows == (("a", "2", None), ("b", "3", None))
