"""The feed of a pre-training run: a source of samples for each length, cut down where data is to be repeated."""

import math
from dataclasses import replace

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.protocols import Objective
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.share import Share
from pretune.corpus.store import Corpus
from pretune.train.feed import Feed, Phase, make_feed
from pretune.verbs.settings import PretrainSettings


def pretraining_feed(
    objective: Objective,
    corpus: Corpus,
    template: Template,
    settings: PretrainSettings,
    *,
    rank: int = 0,
    world: int = 1,
) -> Feed:
    """The samples of every step. Raises InputError for a corpus without samples, or with too few for `repeats`."""
    sources = [PretrainingSource(objective, corpus, template, n, settings.seed) for _, n in settings.lengths]
    feed = make_feed(sources, settings, rank=rank, world=world)
    if settings.repeats is None:
        return feed
    return replace(feed, phases=tuple(_share(phase, settings.batch_size, settings.repeats) for phase in feed.phases))


def _share(phase: Phase, batch_size: int, repeats: float) -> Phase:
    """As many steps on fewer samples. Of a last batch that the corpus does not fill, some are seen once more."""
    if phase.num_steps is None:
        raise InputError("repeats needs a run of known length: give steps, tokens or epochs")
    needed, there = phase.num_steps * batch_size, len(phase.source)
    number = max(1, math.ceil(needed / repeats))
    if needed - there * repeats >= batch_size:
        least = (needed - batch_size) // there + 1
        raise InputError(
            f"repeats={repeats:g}: the run takes {needed:,} samples, {number:,} of them different, and the corpus has "
            f"{there:,}: give repeats={least} or more, a shorter run, or more text"
        )
    return Phase(Share(phase.source, min(number, there)), phase.num_steps)
