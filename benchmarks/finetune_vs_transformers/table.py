"""The runs' scores as a Markdown table."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from finetune_vs_transformers.jobs import JOBS

SIDES = ("pretune", "transformers")


def table(runs: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> str:
    """Markdown: a line a metric."""
    lines = [
        "| task | metric | train / test | seeds | pretune (sd) | transformers (sd) | difference [95 %] "
        "| examples/s, pretune : transformers | padding of transformers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in tasks:
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
                f"| {_spread(ours)} | {_spread(theirs)} | {_difference(ours - theirs)} | {speed} | {padding:.2f} |"
            )
    return "\n".join(lines)


def _pairs(runs: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], ...]]:
    """(pretune's run, transformers' run) of each seed that both have done."""
    by_place = {(run["seed"], run["side"]): run for run in runs}
    seeds = sorted({seed for seed, _ in by_place})
    both = [tuple(by_place.get((seed, side), {}) for side in SIDES) for seed in seeds]
    return [pair for pair in both if all(pair)]


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ({values.std(ddof=1):.4f})" if len(values) > 1 else f"{values.mean():.4f}"


def _difference(differences: np.ndarray) -> str:
    """Mean with a paired t interval over seeds."""
    mean = differences.mean()
    if len(differences) < 2:
        return f"{mean:+.4f}"
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / math.sqrt(len(differences))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"
