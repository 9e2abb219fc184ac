"""PretrainingSource: the numbered samples of a corpus under an objective, each a function of (seed, epoch, number).

Nothing else is needed to make a sample again, so the state of the data is {fingerprint, seed, epoch, sample}. With a
fixed epoch it is a fixed evaluation set.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from pretune.core.assemble import Template, assemble
from pretune.core.errors import InputError
from pretune.core.protocols import Context, Objective
from pretune.core.randomness import derive_rng
from pretune.core.stream import Example
from pretune.corpus.store import Corpus


@dataclass(frozen=True, eq=False)
class PretrainingSource:
    """Samples of at most `max_length` tokens, special tokens of the template included."""

    objective: Objective
    corpus: Corpus
    template: Template
    max_length: int
    seed: int

    @cached_property
    def _num_samples(self) -> int:
        num_samples = self.objective.samples(self.corpus, self.max_length, self._num_special)
        if num_samples < 1:
            raise InputError(f"{self.corpus!r} gives no sample of at most {self.max_length} tokens: give more text")
        return num_samples

    def __len__(self) -> int:
        return self._num_samples

    @cached_property
    def _num_special(self) -> tuple[int, int]:
        return self.template.num_special(1), self.template.num_special(2)

    def example(self, number: int, epoch: int, progress: float = 0.0) -> Example:
        """Sample `number` as epoch `epoch` sees it. origin_E is the sample's number."""
        context = Context(
            vocab=self.corpus.vocab,
            max_length=self.max_length,
            rng=derive_rng(self.seed, epoch, number),
            num_special=self._num_special,
            progress=progress,
            place=(self.seed, epoch, number),
            start_id=self.template.start_id,
        )
        segments = self.objective.arrange(self.corpus, number, context)
        return self.objective.corrupt(assemble(segments, self.template, origin=number), context)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that decides which samples there are: corpus, split, objective, template, length."""
        parts = (self.corpus.fingerprint, self.corpus.split, repr(self.objective), repr(self.template), self.max_length)
        return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8")).hexdigest()
