"""A share of a corpus's samples, to be repeated: what is lost when there is less text than the run is long.

Raffel et al. 2020 ("T5"), section 3.4.2, cut their corpus to a 64th and less and go on training on it. Here samples are
cut, drawn at random over the whole corpus, the same for every seed of the run. Deviations: masks are drawn anew in each
epoch, as everywhere; what an objective takes from elsewhere (a random second span) may come from outside the share.
"""

from dataclasses import dataclass
from typing import Protocol

from pretune.core.errors import InputError
from pretune.core.randomness import derive_key
from pretune.core.stream import Example
from pretune.corpus.order import shuffled


class Samples(Protocol):
    """Numbered samples, as `train.feed.Source`."""

    @property
    def fingerprint(self) -> str: ...
    def __len__(self) -> int: ...
    def example(self, number: int, epoch: int, progress: float) -> Example: ...


@dataclass(frozen=True)
class Share:
    """So many of a source's samples. InputError where it has fewer."""

    source: Samples
    num_samples: int

    def __post_init__(self) -> None:
        if not 1 <= self.num_samples <= len(self.source):
            raise InputError(f"a share of {self.num_samples:,} samples of {len(self.source):,}: give more text")

    def __len__(self) -> int:
        return self.num_samples

    def example(self, number: int, epoch: int, progress: float = 0.0) -> Example:
        place = shuffled(number, len(self.source), derive_key("share of the samples"))
        return self.source.example(place, epoch, progress)

    @property
    def fingerprint(self) -> str:
        return f"{self.source.fingerprint}, {self.num_samples} samples of it"
