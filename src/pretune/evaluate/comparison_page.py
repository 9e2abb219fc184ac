"""What a comparison shows: tables of ranks, scores and costs, the loss of every row, differences with intervals."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pretune.evaluate.chart import Chart, Reference, Series
from pretune.evaluate.comparison import GUESS, MARGIN, Comparison, Difference, Entry, Measure, entropy_of
from pretune.evaluate.forest import Forest
from pretune.evaluate.slices import Slice
from pretune.evaluate.table import Cell, Table

SURE = 0.05
"""A difference counts where its adjusted p is below this."""
NO_BREAK = "\N{NO-BREAK SPACE}"
SPREAD = "lowest and highest of the seeds in parentheses"


def result_table(found: Comparison) -> Table:
    """The rows in their order of rank, those without one behind."""
    has_scores = bool(found.averages)
    rows = []
    for row in sorted(found.rows, key=lambda row: found.ranks.get(row.name, len(found.rows) + 1)):
        rank: Cell = found.ranks.get(row.name, row.not_learnt or "not ranked")
        score: tuple[Cell, ...] = _mean_cells(found, row) if has_scores else ()
        entropy = float(row.runs[0].metrics["unigram_entropy"])
        loss = (_spread([run.loss for run in row.runs]), found.groups[row.name], entropy - row.loss)
        rows.append((rank, row.name, *score, *loss))
    names = ("mean score [95 %]", f"minus {found.first.name}", "p") if has_scores else ()
    columns = ("rank", "row", *names, "validation loss", "alike", "below unigram")
    return Table(columns, tuple(rows), "Result", _result_notes(found))


def _mean_cells(found: Comparison, row: Entry) -> tuple[Cell, ...]:
    if row.name not in found.averages:
        return None, None, None
    difference = found.mean_differences.get(row.name)
    if difference is None:
        return found.average(row.name), None, None
    return found.average(row.name), signed(difference), difference.holm_p


def _result_notes(found: Comparison) -> tuple[str, ...]:
    seeds = {len(row.runs) for row in found.rows}
    over = "seeds and test items" if min(seeds) > 1 else "test items alone: one seed says nothing about others"
    notes = []
    if found.averages:
        notes.append(f"mean score: over {_suites(found)}, each the mean over its parts; intervals over {over}")
        notes.append("p: two-sided, of the difference by the same resamples, Holm's correction over the rows")
    else:
        notes.append(f"ranked by the validation loss of rows that are alike to {found.first.name}")
    notes.append(
        "validation loss: nats a predicted token, of each row's own predictions; rows of one letter under `alike` "
        f"predict the same, and only their losses can be compared{f'; {SPREAD}' if max(seeds) > 1 else ''}"
    )
    notes.append(f"not learnt: less than {MARGIN} nats below the unigram entropy; such rows are not ranked")
    notes += [_told_of_replaced(row) for row in found.rows if row.has_generator]
    reasons: dict[str, list[str]] = {}
    for row in found.rows[1:]:
        if why := found.why_not_comparable(row):
            reasons.setdefault(why, []).append(row.name)
    told = (
        f"{', '.join(names)}: not comparable with the loss of {found.first.name}: {why}"
        for why, names in reasons.items()
    )
    return (*notes, *told)


def _told_of_replaced(row: Entry) -> str:
    """The loss of a row's own task, beside that of a guess."""
    losses = fmean(float(run.metrics["loss"]["valid_replaced_token"]) for run in row.runs)
    guess = fmean(entropy_of(run.replaced_share or 0.0) for run in row.runs)
    return (
        f"{row.name}: the loss is its generator's; telling replaced tokens has {losses:.3f} nats a token, always "
        f"guessing their share {guess:.3f}, and learnt means at least {1 - GUESS:.0%} less than that"
    )


def _suites(found: Comparison) -> str:
    """The suites, with their parts where these are few or not all that a reader may expect."""
    parts: dict[str, list[str]] = {}
    for test in found.scores:
        if test.is_counted:
            parts.setdefault(test.suite, []).append(test.part)
    told = {suite: list(dict.fromkeys(names)) for suite, names in parts.items()}
    return ", ".join(suite if names == [suite] else f"{suite} ({', '.join(names)})" for suite, names in told.items())


def score_table(found: Comparison) -> Table:
    """A row a test, a column a row of the comparison; a star where the difference from the first row is sure."""
    sure = {(one.row, one.test) for one in found.differences if one.holm_p < SURE}
    lines: list[tuple[Cell, ...]] = []
    for test, scores in found.scores.items():
        cells: list[Cell] = [str(test), next(iter(scores.values())).num_items]
        for row in found.rows:
            star = "*" if (row.name, test) in sure else ""
            cells.append(f"{scores[row.name].estimate:.3f}{star}" if row.name in scores else None)
        best = _best_simple(found, test)
        lines.append((*cells, best))
    notes = (
        f"means over seeds; *: differs from {found.first.name}, p below {SURE} after Holm's correction over "
        f"{len(found.differences)} differences, those of the tests that count",
        *_names_not_learnt(found),
    )
    columns = ("test", "n", *(row.name for row in found.rows), "best simple method")
    return Table(columns, tuple(lines), "Scores", notes)


def _best_simple(found: Comparison, test: Measure) -> str | None:
    """The best method without a network, which learns from the same labels as every row."""
    best = next((one.simple for row in found.rows for one in row.measured if one.test == test), None)
    return None if best is None else f"{best[0]} {best[1]:.3f}"


def _names_not_learnt(found: Comparison) -> tuple[str, ...]:
    names = [row.name for row in found.rows if row.not_learnt]
    return (
        (f"not learnt, so that these scores are of hardly more than fresh weights: {', '.join(names)}",)
        if names
        else ()
    )


def difference_table(found: Comparison) -> Table:
    """Every score with its interval, and its difference from the first row's."""
    differences = {(one.row, one.test): one for one in found.differences}
    lines: list[tuple[Cell, ...]] = []
    for test, scores in found.scores.items():
        for row in (row.name for row in found.rows if row.name in scores):
            one = differences.get((row, test))
            told: tuple[Cell, ...] = (None, None, None) if one is None else (signed(one), one.p, one.holm_p)
            lines.append((str(test), row, found.score(test, row), *told))
    columns = ("test", "row", "score [95 %]", f"minus {found.first.name} [95 %]", "p", "p (Holm)")
    return Table(columns, tuple(lines), "Scores with intervals, and differences", _interval_note(found))


def _interval_note(found: Comparison) -> tuple[str, ...]:
    over = [str(test) for test, scores in found.scores.items() if not all(one.over_seeds for one in scores.values())]
    if not over:
        return ("intervals over seeds and test items, pairs of the same seed",)
    return ("intervals over test items alone, where there is one seed",)


def signed(one: Difference) -> str:
    found = one.interval
    return f"{found.estimate:+.3f} [{found.low:+.3f}, {found.high:+.3f}]".replace(" ", NO_BREAK)


def cost_table(found: Comparison) -> Table:
    """What a run of each row took, the mean over its seeds."""
    lines: list[tuple[Cell, ...]] = []
    for row in found.rows:
        counts = [round(row.mean(name)) for name in ("parameters", "steps", "tokens")]
        flops = f"{row.mean('flops'):.3g}"
        lines.append((row.name, *counts, flops, round(row.mean("seconds")), row.mean("energy_kwh")))
    watts = dict.fromkeys(f"{run.metrics['watts']:g} W ({run.metrics['watts_source']})" for run in found.first.runs)
    notes = (
        "of one pre-training run, the mean over seeds; tokens are real tokens, special ones included, no padding",
        f"energy: seconds at {', '.join(watts)}, times 1.58 for the data centre",
    )
    columns = ("row", "parameters", "steps", "tokens", "FLOPs", "seconds", "kWh")
    return Table(columns, tuple(lines), "Costs", notes)


def settings_table(settings: Mapping[str, Mapping[str, Any]], notes: Sequence[str] = ()) -> Table:
    """{row: its settings by dotted path}: those that are not the same for all rows."""
    keys = dict.fromkeys(key for one in settings.values() for key in one)
    absent = object()
    differing = [key for key in keys if len({repr(one.get(key, absent)) for one in settings.values()}) > 1]
    lines = [(name, *(_value(one, key) for key in differing)) for name, one in settings.items()]
    return Table(("row", *differing), tuple(lines), "What differs", tuple(notes))


def _value(settings: Mapping[str, Any], key: str) -> Cell:
    return str(settings[key]) if settings.get(key) is not None else None


def _spread(values: Sequence[float]) -> str:
    told = f"{fmean(values):.3f} ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else f"{values[0]:.3f}"
    return told.replace(" ", NO_BREAK)


def loss_chart(found: Comparison) -> Chart:
    """Validation loss of every row against the tokens it saw; bands from the lowest seed to the highest."""
    series = tuple(_series(row, found.groups[row.name]) for row in found.rows)
    entropy = Reference("unigram entropy", float(found.first.runs[0].metrics["unigram_entropy"]))
    notes = ["The letter behind a name says whose predictions are alike; lines of different letters say nothing beside "
             "each other, but each shows how fast its row learns."]  # fmt: skip
    if max(len(row.runs) for row in found.rows) > 1:
        notes.append("Lines: means over seeds; bands: from the lowest to the highest seed.")
    label = "nats a predicted token"
    return Chart("Validation loss", "million tokens", label, series, (entropy,), notes=tuple(notes))


def _series(row: Entry, letter: str) -> Series:
    """Evaluations are at the same shares of the run, so the n-th of each seed go together."""
    points, band = {}, {}
    for together in zip(*(run.curve for run in row.runs), strict=False):
        tokens = fmean(at for at, _ in together) / 1e6
        losses = [loss for _, loss in together]
        points[tokens] = fmean(losses)
        band[tokens] = (tokens, min(losses), max(losses))
    shown = tuple(band.values()) if len(row.runs) > 1 else ()
    return Series(f"{row.name} ({letter})", tuple(points.items()), shown)


def score_forests(found: Comparison) -> list[Forest]:
    """The mean scores, and of each test the differences from the first row, with their intervals."""
    if not found.averages:
        return []
    rows = [row.name for row in found.rows if row.name in found.averages]
    means = tuple(
        Slice("row", _named(found, name), found.averages[name].num_items, found.average(name)) for name in rows
    )
    first = found.first.name
    level = found.averages[first].estimate if first in found.averages else means[0].score.estimate  # type: ignore[union-attr]
    forests = [Forest("Mean scores", "mean score", means, level, reference=first)]
    together = [(str(one.test), one) for one in found.differences]
    together += [("mean over suites", one) for one in found.mean_differences.values()] if len(found.scores) > 1 else []
    told = [Slice(group, one.row, _num_items(found, one), one.interval) for group, one in together]
    if told:
        title = f"Differences from {first}"
        forests.append(Forest(title, f"score minus that of {first}", tuple(told), 0.0, reference="no difference"))
    return forests


def _named(found: Comparison, name: str) -> str:
    row = next(row for row in found.rows if row.name == name)
    return name if row.not_learnt is None else f"{name}: not learnt"


def _num_items(found: Comparison, one: Difference) -> int:
    scores = found.averages if one.test is None else found.scores[one.test]
    return scores[one.row].num_items


def verdicts(found: Comparison) -> tuple[str, ...]:
    """Which rows score higher or lower than the first one, and which are not told apart from it, in sentences."""
    first = found.first.name
    said: dict[str, list[str]] = {
        f"Scored higher than {first}": [],
        f"Scored lower than {first}": [],
        f"Not told apart from {first}": [],
    }
    higher, lower, neither = said.values()
    lacking = {row.name: row.not_learnt for row in found.rows}
    for row, one in found.mean_differences.items():
        if lacking[row] is None:
            place = neither if one.holm_p >= SURE else higher if one.interval.estimate > 0 else lower
            place.append(f"{row} ({signed(one)}, p = {one.holm_p:.3g})")
    sentences = [f"{what}: {', '.join(names)}." for what, names in said.items() if names]
    if lacking[first] is not None and sentences:
        sentences.append(f"But {first} itself has not learnt, so this says little.")
    return tuple(sentences)
