"""Medians with their spread (least to greatest), and ratios of runs side by side."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median and, of several, the least and the greatest."""
    if not values:
        return "failed"
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):,.{digits}f}, {max(values):,.{digits}f}]"


def values(results: Sequence[Mapping[str, Any]], name: str, **which: Any) -> dict[int, float]:
    """A figure of the results that are as `which` says, by repetition."""
    chosen = [result for result in results if which.items() <= result.items() and name in result]
    return {result["repetition"]: result[name] for result in chosen}


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    """Ours by theirs, repetition by repetition."""
    return spread([ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())], 2)


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def heading(*cells: str) -> list[str]:
    return [row(*cells), "|" + "---|" * len(cells)]
