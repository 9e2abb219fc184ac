"""What a run on minimal pairs says: accuracies, notes, tables, pictures; and two models beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pretune.core.randomness import derive_rng
from pretune.evaluate.forest import Forest
from pretune.evaluate.likelihood import Scoring
from pretune.evaluate.slices import Slice
from pretune.evaluate.suites.minimal_pairs import MinimalPairs
from pretune.evaluate.suites.pair_scores import (
    Accuracy,
    ScoredSet,
    accuracy_of,
    by_phenomenon,
    difference_of,
    on_same_pairs,
)
from pretune.evaluate.table import Table

OVERALL = "overall"
ACCURACY = ("n", "accuracy [95 %]", "shorter")


def _rng(name: str) -> np.random.Generator:
    return derive_rng(0, "suite", name)


@dataclass(frozen=True)
class Verdict:
    """A model on a suite. absent: which files are missing, in words."""

    suite: MinimalPairs
    model: str
    scoring: Scoring
    limit: int | None
    sets: Sequence[ScoredSet]
    absent: str | None

    @cached_property
    def overall(self) -> Accuracy:
        return accuracy_of(OVERALL, self.sets, _rng(OVERALL))

    @cached_property
    def phenomena(self) -> list[Accuracy]:
        return [accuracy_of(name, some, _rng(name)) for name, some in by_phenomenon(self.sets).items()]

    @cached_property
    def each(self) -> list[Accuracy]:
        return [accuracy_of(one.name, [one], _rng(one.name)) for one in self.sets]

    @property
    def average_note(self) -> str:
        """What the overall figure is of."""
        name, total = self.suite.name, len(self.suite.sets)
        told = (
            f"mean accuracy over {len(self.sets)} of the {total} sets of {name}: {self.overall.accuracy.estimate:.4f}"
        )
        return told if self.absent is None and self.limit is None else f"{told}, which is not {name}'s figure"

    @property
    def notes(self) -> list[str]:
        """What a reader of the scores must know."""
        columns = "in brackets: 95 % interval over pairs; shorter: accuracy of taking the sentence with fewer pieces"
        notes = [self.average_note, f"scored by {self.scoring}, without training; {columns}", *self.suite.about]
        if self.limit is not None:
            notes.append(f"the first {self.limit:,} pairs of each set (--limit)")
        if tied := sum(one.num_tied for one in self.sets):
            notes.append(f"{tied:,} pairs have two equal scores, most likely by equal pieces, and count as wrong")
        if unknown := sum(one.num_with_unknown for one in self.sets):
            notes.append(f"{unknown:,} pairs have words that the tokenizer does not know ([UNK]): they tell little")
        return [*notes, *([self.absent] if self.absent else [])]

    @property
    def facts(self) -> dict[str, Any]:
        """What suite.json says."""
        return {
            "suite": self.suite.name,
            "model": self.model,
            "scoring": self.scoring,
            "limit": self.limit,
            "pairs": self.overall.num_pairs,
            "average": self.overall.accuracy.estimate,
            "average_note": self.average_note,
            "overall": self.overall.facts,
            "phenomena": [one.facts for one in self.phenomena],
            "sets": [one.facts for one in self.each],
            "notes": self.notes,
            "missing": [] if self.absent is None else [self.absent],
        }

    @property
    def table(self) -> Table:
        rows = [
            (one.name, one.num_sets, one.num_pairs, one.accuracy, one.shorter)
            for one in (*self.phenomena, self.overall)
        ]
        return Table(("phenomenon", "sets", *ACCURACY), tuple(rows), "By phenomenon", tuple(self.notes))

    @property
    def pictures(self) -> list[Forest]:
        """The accuracies and their intervals, of phenomena and of sets."""
        metric, mean = "accuracy (chance: 0.5)", self.overall.accuracy.estimate
        phenomena = [Slice("phenomenon", one.name, one.num_pairs, one.accuracy) for one in self.phenomena]
        sets = [Slice(str(one.phenomenon), one.name, one.num_pairs, one.accuracy) for one in self.each]
        return [
            Forest("Accuracy by phenomenon", metric, tuple(phenomena), mean),
            Forest("Accuracy by set", metric, tuple(sets), mean),
        ]


def table_of_sets(each: Sequence[Accuracy]) -> Table:
    """A row a set."""
    rows = [(one.name, one.phenomenon, one.num_pairs, one.accuracy, one.shorter) for one in each]
    return Table(("set", "phenomenon", *ACCURACY), tuple(rows), "By set")


def against_table(
    sets: Sequence[ScoredSet], request: Mapping[str, Any], others: Sequence[ScoredSet]
) -> tuple[list[dict[str, Any]], Table]:
    """This model minus another, overall and by phenomenon, on the pairs that both were asked of. request: the other's
    suite.yaml."""
    ours, theirs = on_same_pairs(sets, others)
    second = by_phenomenon(theirs)
    rows = [difference_of(OVERALL, ours, theirs, _rng("difference"))]
    rows += [difference_of(name, some, second[name], _rng(name)) for name, some in by_phenomenon(ours).items()]
    told = f"this model minus {request['model']} (scored by {request['scoring']}), {len(ours)} sets, the same pairs"
    columns = ("phenomenon", "n", "difference [95 %]", "McNemar p")
    return [one.facts for one in rows], Table(columns, tuple(one.cells for one in rows), "Against the other", (told,))
