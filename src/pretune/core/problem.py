"""Problem: what is wrong with a corpus or a run, in words, with what to change. Imports no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """kind: a name for programs. seen: what was found, with its figure. why: what it does to a model. change: what to
    set or do instead.

    >>> print(Problem("unknown", "3 % of the tokens are [UNK]", "nothing is learnt of them", "train a tokenizer"))
    unknown: 3 % of the tokens are [UNK]. Why it matters: nothing is learnt of them. What to change: train a tokenizer.
    """

    kind: str
    seen: str
    why: str
    change: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.seen}. Why it matters: {self.why}. What to change: {self.change}."

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> "Problem":
        """What `as_json` gave."""
        return cls(facts["kind"], facts["seen"], facts["why"], facts["change"])
