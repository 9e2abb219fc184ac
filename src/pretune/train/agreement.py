"""What the processes agree on before each step, in one exchange: every process brings a row of numbers.

Counts come first (DESIGN section 2), so the processes talk before each step anyway; what else all must know alike
travels along: how many micro-batches each has, what goes through the model, process 0's clock, and whether anybody was
sent a signal or a hook of it asks for the end. So all stop after the same step, and nobody waits for one that has left.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pretune.train.distribute import Processes

UNKNOWN = "names that the others do not know"


@dataclass(frozen=True)
class Told:
    """Everybody's facts of one step, by rank: not a number where a process does not have a fact."""

    names: list[str]
    rows_PK: NDArray[np.float64]

    def of(self, name: str) -> NDArray[np.float64]:
        """[P] values of a fact; 0 where a process does not have it."""
        return np.nan_to_num(self.rows_PK[:, self.names.index(name)])

    def sum(self, name: str) -> float:
        return float(self.of(name).sum())

    def max(self, name: str) -> float:
        return float(self.of(name).max())

    def first(self, name: str) -> float:
        """Process 0's value."""
        return float(self.of(name)[0])

    def sums(self, prefix: str) -> dict[str, float]:
        """{rest of the name: sum} of the facts whose names begin so, and that some process has."""
        columns = zip(self.names, self.rows_PK.T, strict=True)
        names = [name for name, row_P in columns if name.startswith(prefix) and not np.isnan(row_P).all()]
        return {name.removeprefix(prefix): self.sum(name) for name in names}


@dataclass
class Agreement:
    """Exchanges facts. names: those everybody knows, in one order; a new one costs a second exchange, once."""

    processes: Processes
    names: list[str] = field(default_factory=list)

    def exchange(self, facts: Mapping[str, float]) -> Told:
        """Everybody's facts. Collective."""
        told = self._gather(facts)
        if told.sum(UNKNOWN):
            everybodys = self.processes.gather_json(list(facts))
            self.names = list(dict.fromkeys([*self.names, *(name for names in everybodys for name in names)]))
            told = self._gather(facts)
        return told

    def _gather(self, facts: Mapping[str, float]) -> Told:
        new = float(any(name not in self.names for name in facts))
        row = [new, *(float(facts.get(name, math.nan)) for name in self.names)]
        return Told([UNKNOWN, *self.names], self.processes.gather(np.array(row)))
