"""What each row of a comparison will be, found out before the first run: its length, what it predicts, what it costs.

Whatever is wrong with a row (a setting, a body that cannot be, a corpus without two documents) is said here, with its
name. A row's model is built once for that, and let go.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.protocols import Context, Objective
from pretune.core.randomness import derive_key, derive_rng
from pretune.core.stream import Example
from pretune.corpus.order import shuffled
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.recipes.recipe import open_recipe
from pretune.train.flops import flops_of
from pretune.train.run import tallied
from pretune.verbs.compare_rows import Row
from pretune.verbs.pretrain import make_validation, start_model
from pretune.verbs.pretraining_feed import pretraining_feed
from pretune.verbs.settings import PretrainSettings

NUM_MEASURED = 256
"""Samples whose lengths and predictions give a step's tokens and FLOPs, as many as `tokens` is turned into steps by."""
NUM_COMPARED = 32
"""Validation samples that tell whether two rows predict the same."""


@dataclass(frozen=True)
class Budget:
    """What every row gets: real tokens, or FLOPs of its own model and objective. InputError unless exactly one."""

    tokens: int | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.flops is None):
            raise InputError("give each row the same budget: either --tokens N or --flops F")
        if not 0 < (amount := self.tokens or self.flops or 0) < math.inf:
            raise InputError(f"a budget of {amount:g} is no length of a run: give a number above 0")

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" if self.tokens is not None else f"{self.flops:g} FLOPs"


@dataclass(frozen=True)
class Plan:
    """A row and its runs. settings: of a run, without the seed. steps: of the run with seed 1. longest: the longest
    sequence its model takes.

    samples: stands for the samples that the text is cut into; predictions: for what is to be predicted from what in
    validation. Rows that share them saw the same text in the same order, and have comparable losses.
    """

    row: Row
    settings: Mapping[str, Any]
    resolved: PretrainSettings
    steps: int
    tokens_per_step: float
    flops_per_step: float
    longest: int
    samples: str
    predictions: str


def make_plan(row: Row, corpus: Corpus, valid: Corpus, budget: Budget) -> Plan:
    """InputError, with the row's name, for a row that cannot be trained so."""
    try:
        return _plan(row, corpus, valid, budget)
    except InputError as error:
        raise InputError(f"{row.name}: {error}") from error


def _plan(row: Row, corpus: Corpus, valid: Corpus, budget: Budget) -> Plan:
    recipe, size = open_recipe(row.recipe)
    probe = row.resolved(tokens=1, seed=1, repeats=None)
    objective = recipe.make_objective(probe.objective)
    bundle = start_model(recipe, size, probe, corpus, objective, None)
    tokens, flops = _costs(bundle, objective, corpus, probe)
    length = _length(budget, tokens, flops)
    settings = {**row.settings, **length}
    resolved = row.resolved(seed=1, **length)
    feed = pretraining_feed(objective, corpus, bundle.template, resolved)
    validation = make_validation(objective, valid, bundle, resolved, "cpu")
    steps = feed.num_steps or 0
    return Plan(row, settings, resolved, steps, tokens, flops, bundle.max_length, *_digests(validation.source))


def _length(budget: Budget, tokens_per_step: float, flops_per_step: float) -> dict[str, Any]:
    """The setting that makes a run as long as the budget. InputError where that is not one step."""
    wanted, step = (budget.tokens, tokens_per_step) if budget.tokens is not None else (budget.flops, flops_per_step)
    if (wanted or 0) < step:
        raise InputError(
            f"{budget} are less than one step, which takes {step:,.0f}: give more, or lower batch_size or max_length"
        )
    return {"tokens": budget.tokens} if budget.tokens is not None else {"steps": round((budget.flops or 0) / step)}


def _costs(bundle: Bundle, objective: Objective, corpus: Corpus, settings: PretrainSettings) -> tuple[float, float]:
    """Real tokens and FLOPs of a step, by the first samples of each length, weighted by its share of the run."""
    tokens = flops = 0.0
    for share, max_length in settings.lengths:
        source = PretrainingSource(objective, corpus, bundle.template, max_length, settings.seed)
        examples = _first(source, settings.seed)
        told = tallied([pack([example]) for example in examples])
        each = share * settings.batch_size / len(examples)
        tokens += each * told.tokens
        flops += each * flops_of(bundle.model, told)
    return tokens, flops


def _first(source: PretrainingSource, seed: int) -> list[Example]:
    """The samples a run of this seed begins with."""
    total, key = len(source), derive_key(seed, "order", 0)
    return [source.example(shuffled(place, total, key), 0, 0.0) for place in range(min(total, NUM_MEASURED))]


def _digests(source: PretrainingSource) -> tuple[str, str]:
    """What stands for the samples, and for what is predicted from what: the same for rows that differ in neither."""
    cut, predicted = hashlib.sha256(str(len(source)).encode()), hashlib.sha256()
    places = np.linspace(0, len(source) - 1, min(len(source), NUM_COMPARED)).astype(int)
    for number in map(int, places):
        template = source.template
        special = template.num_special(1), template.num_special(2)
        context = Context(
            source.corpus.vocab, source.max_length, derive_rng(0, 0, number), special, place=(0, 0, number)
        )
        for span in source.objective.arrange(source.corpus, number, context).spans:
            cut.update(span.ids_P.tobytes() + b"|")
        example = source.example(number, 0, 1.0)
        for part in _asked(example):
            predicted.update(np.ascontiguousarray(part).astype(np.int64).tobytes() + b"|")
    return cut.hexdigest(), predicted.hexdigest()


def _asked(example: Example) -> Sequence[Any]:
    """What the model sees of an example, and what its language model's head is asked.

    Beside "replaced_token" that head is a generator's, a smaller model: its loss is comparable with no other.
    """
    stream, targets = example.source, example.predict.get("lm")
    seen = [stream.ids_T, stream.sees_up_to_T, int("replaced_token" in example.predict)]
    return seen if targets is None else [*seen, targets.at_MK, targets.gold_M]
