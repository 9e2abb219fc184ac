"""The runs' scores as a Markdown table."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from finetune_vs_transformers.jobs import JOBS
from pretune.metrics.intervals import bootstrap_mean

SIDES = ("pretune", "transformers")


def table(runs: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> str:
    """Markdown: a line a metric."""
    lines = [
        "| task | metric | train / test | seeds | pretune (sd) | transformers (sd) | difference [95 %] "
        "| examples/s, pretune : transformers | padding of transformers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in tasks:
        if not JOBS[name].has_peer:
            lines += _alone(name, [run for run in runs if run["task"] == name])
            continue
        pairs = _pairs([run for run in runs if run["task"] == name])
        if not pairs:
            continue
        speeds = [statistics.median(pair[side]["examples_per_second"] for pair in pairs) for side in (0, 1)]
        speed = f"{speeds[0]:.0f} : {speeds[1]:.0f} = {speeds[0] / speeds[1]:.2f}"
        padding = statistics.mean(pair[1]["padding"] for pair in pairs)
        for metric in JOBS[name].metrics:
            ours, theirs = (np.array([pair[side]["scores"][metric] for pair in pairs]) for side in (0, 1))
            lines.append(
                f"| {name} | {metric} | {pairs[0][0]['train']} / {pairs[0][0]['test']} | {len(pairs)} "
                f"| {_spread(ours)} | {_spread(theirs)} | {_difference(ours - theirs, _values(pairs, metric))} "
                f"| {speed} | {padding:.2f} |"
            )
    return "\n".join(lines)


def _alone(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What transformers cannot do: pretune's scores."""
    if not runs:
        return []
    speed = statistics.median(run["examples_per_second"] for run in runs)
    start = f"{runs[0]['train']} / {runs[0]['test']} | {len(runs)}"
    scores = {metric: np.array([run["scores"][metric] for run in runs]) for metric in JOBS[name].metrics}
    return [
        f"| {name} | {metric} | {start} | {_spread(found)} | - | - | {speed:.0f} | - |"
        for metric, found in scores.items()
    ]


def _values(pairs: Sequence[tuple[Mapping[str, Any], ...]], metric: str) -> np.ndarray | None:
    """The differences at each test item, means over the seeds; None where the metric is no mean of items."""
    if any(metric not in run.get("values", {}) for pair in pairs for run in pair):
        return None
    return np.mean([np.subtract(*(run["values"][metric] for run in pair)) for pair in pairs], axis=0)


def _pairs(runs: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], ...]]:
    """(pretune's run, transformers' run) of each seed that both have done."""
    by_place = {(run["seed"], run["side"]): run for run in runs}
    seeds = sorted({seed for seed, _ in by_place})
    both = [tuple(by_place.get((seed, side), {}) for side in SIDES) for seed in seeds]
    return [pair for pair in both if all(pair)]


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ({values.std(ddof=1):.4f})" if len(values) > 1 else f"{values.mean():.4f}"


def _difference(differences: np.ndarray, values_N: np.ndarray | None) -> str:
    """Mean with a paired t interval over seeds; of one seed, a paired bootstrap interval over the test items."""
    mean = differences.mean()
    if len(differences) > 1:
        half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / math.sqrt(len(differences))
        return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"
    if values_N is None:
        return f"{mean:+.4f}"
    found = bootstrap_mean(values_N, rng=np.random.default_rng(0))
    return f"{mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}] (items)"
