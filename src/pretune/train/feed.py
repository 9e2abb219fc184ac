"""The feed: which samples a step is made of, and its micro-batches, prepared ahead of the loop.

What a step holds is computed from its number alone: samples are numbered places of a source, a keyed permutation orders
the numbers of an epoch (`corpus.order`), and step s takes the places [s * batch_size, (s + 1) * batch_size) of that
endless order; a step across an epoch's border takes from both epochs. So nothing is remembered between steps: the state
of the data is {fingerprint, seed, epoch, sample}, a run continues anywhere at once, and the order and content are the
same for any number of workers. With `world` processes, process `rank` takes every world-th sample of each step.

A step's examples are sorted by length and cut into micro-batches of at most `max_tokens` tokens (a longer single
example is a micro-batch by itself; nothing is cut off), so that attention pads little.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pretune.core.errors import InputError
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.randomness import derive_key
from pretune.core.stream import Batch, Example
from pretune.corpus.order import shuffled
from pretune.train.config import FitSettings
from pretune.train.prefetch import prefetched

SAMPLES_FOR_MEAN = 256


class Source(Protocol):
    """Numbered samples. `example` depends on its arguments alone; workers get it pickled, so keep that small."""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes an example: corpus, tokenizer, objective, length, seed."""

    def __len__(self) -> int: ...
    def example(self, number: int, epoch: int, progress: float) -> Example: ...


@dataclass(frozen=True)
class Phase:
    """A stretch of the run with one source. num_steps: None where only the clock ends it (last phase only)."""

    source: Source
    num_steps: int | None = None


@dataclass(frozen=True)
class Place:
    """One sample of a step: the phase it belongs to, its epoch (counted over all phases) and its number."""

    phase: int
    epoch: int
    number: int


@dataclass(frozen=True)
class Feed:
    """Micro-batches of every step of a run. Raises InputError for an empty source or more processes than samples."""

    phases: tuple[Phase, ...]
    batch_size: int
    max_tokens: int
    seed: int
    workers: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise InputError(f"rank {self.rank} is not one of {self.world} processes")
        if self.batch_size < self.world:
            raise InputError(f"batch_size={self.batch_size} leaves some of {self.world} processes without a sample")
        for phase in self.phases:
            if not len(phase.source):
                raise InputError("there is no training sample: the data is empty or shorter than a sample")
        assert self.phases and all(phase.num_steps is not None for phase in self.phases[:-1])

    @property
    def num_steps(self) -> int | None:
        """Steps of the run; None where only the clock ends it."""
        last = self.phases[-1].num_steps
        return None if last is None else sum(phase.num_steps or 0 for phase in self.phases)

    @cached_property
    def fingerprint(self) -> str:
        """Stands for the samples and how many make a step."""
        parts = [[phase.source.fingerprint, len(phase.source)] for phase in self.phases]
        return hashlib.sha256(json.dumps([parts, self.batch_size]).encode()).hexdigest()

    def places(self, step: int) -> list[Place]:
        """The samples of a step that are this process's, in order. IndexError past the end of the run."""
        phase, local, first_epoch = self._phase_of(step)
        num_samples = len(self.phases[phase].source)
        start = local * self.batch_size
        places = []
        for position in range(start + self.rank, start + self.batch_size, self.world):
            epoch, index = first_epoch + position // num_samples, position % num_samples
            places.append(Place(phase, epoch, shuffled(index, num_samples, derive_key(self.seed, "order", epoch))))
        return places

    def _phase_of(self, step: int) -> tuple[int, int, int]:
        """(phase, step within it, number of its first epoch). Epochs count on, so that no phase repeats masks."""
        first_epoch = 0
        for index, phase in enumerate(self.phases):
            if phase.num_steps is None or step < phase.num_steps:
                return index, step, first_epoch
            step -= phase.num_steps
            first_epoch += math.ceil(phase.num_steps * self.batch_size / len(phase.source))
        raise IndexError(f"the run ends {step + 1} steps before")

    def step(self, step: int, progress: float) -> list[Batch]:
        """The micro-batches of a step, packed, in numpy. progress: the share of the run done before it."""
        sources = [phase.source for phase in self.phases]
        places = self.places(step)
        examples = [sources[place.phase].example(place.number, place.epoch, progress) for place in places]
        return [pack(part) for part in cut(examples, self.max_tokens)]

    def steps(self, start: int, progress_of: Callable[[int], float]) -> Iterator[list[Batch]]:
        """The steps from `start` to the end, prepared ahead. progress_of is asked when a step's preparation begins."""
        return prefetched(self, start, self.num_steps, progress_of, self.workers)

    def state(self, step: int) -> dict[str, Any]:
        """What is needed to continue before this step, as DESIGN section 4 lists it; sample counts within the epoch."""
        if self.num_steps is not None and step >= self.num_steps:
            return {"fingerprint": self.fingerprint, "seed": self.seed, "epoch": None, "sample": None}
        phase, local, first_epoch = self._phase_of(step)
        epochs, sample = divmod(local * self.batch_size, len(self.phases[phase].source))
        return {"fingerprint": self.fingerprint, "seed": self.seed, "epoch": first_epoch + epochs, "sample": sample}

    def check(self, state: dict[str, Any], step: int) -> None:
        """InputError when a saved state is of other data, or of another order of it."""
        if state["fingerprint"] != self.fingerprint:
            raise InputError(
                "the data is not what this run began with (corpus, tokenizer, objective, length or batch size differ): "
                "restore it, or begin a new run in another directory"
            )
        expected = self.state(step)
        if state != expected:
            raise InputError(f"the run's data stood at {state}, these settings lead to {expected}")


def cut(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """Examples of like length in groups of at most `max_tokens` tokens, or of one example; the longest come first."""
    lengths = [example.num_tokens for example in examples]
    return [[examples[number] for number in numbers] for numbers in cut_by_tokens(lengths, max_tokens)]


def make_feed(sources: Sequence[Source], settings: FitSettings, *, rank: int = 0, world: int = 1) -> Feed:
    """The feed of a run: one source for each of `settings.lengths`, and steps from steps, tokens or epochs."""
    shares = [share for share, _ in settings.lengths]
    if len(sources) != len(shares):
        raise ValueError(f"{len(sources)} sources for {len(shares)} lengths")
    num_steps = _num_steps(sources, shares, settings)
    if num_steps is None:
        phases: tuple[Phase, ...] = (Phase(sources[0]),)
    else:
        borders = [round(num_steps * sum(shares[:index])) for index in range(len(shares))] + [num_steps]
        pieces = zip(sources, borders, borders[1:], strict=False)
        phases = tuple(Phase(source, end - start) for source, start, end in pieces)
    order = (settings.batch_size, settings.max_tokens_per_batch, settings.seed, settings.workers)
    return Feed(phases, *order, rank=rank, world=world)


def _num_steps(sources: Sequence[Source], shares: Sequence[float], settings: FitSettings) -> int | None:
    if settings.steps is not None:
        return settings.steps
    if settings.epochs is not None:
        return max(1, math.ceil(settings.epochs * len(sources[0]) / settings.batch_size))
    if settings.tokens is not None:
        pairs = zip(shares, sources, strict=True)
        mean = sum(share * mean_tokens(source, settings.seed) for share, source in pairs)
        return max(1, round(settings.tokens / (mean * settings.batch_size)))
    return None


def mean_tokens(source: Source, seed: int) -> float:
    """Real tokens a sample, over the first samples of the first epoch's order; the same for every machine."""
    num_samples = len(source)
    if not num_samples:
        raise InputError("there is no training sample: the data is empty or shorter than a sample")
    key = derive_key(seed, "order", 0)
    numbers = [shuffled(index, num_samples, key) for index in range(min(num_samples, SAMPLES_FOR_MEAN))]
    return sum(source.example(number, 0, 0.0).num_tokens for number in numbers) / len(numbers)
