"""A share of the samples, repeated: how often each is seen, and that the rest is never."""

from collections import Counter

import pytest

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.corpus.share import Share
from pretune.corpus.store import Corpus
from pretune.recipes.recipe import open_recipe
from pretune.verbs.pretrain import pretrain
from pretune.verbs.pretraining_feed import pretraining_feed
from pretune.verbs.settings import PretrainSettings, resolve_run


def feed_of(world, recipe="modern", **settings):
    chosen, size = open_recipe(f"{recipe}-tiny")
    resolved = resolve_run(PretrainSettings, chosen.defaults(size), None, {"batch_size": 4, **settings})
    corpus = Corpus.open(world.corpus)
    template = Bundle.load(world.modern / "model", heads=()).template
    return pretraining_feed(chosen.make_objective(resolved.objective), corpus, template, resolved)


def seen(feed):
    places = [feed.places(step) for step in range(feed.num_steps)]
    return Counter(
        tuple(feed.phases[p.phase].source.example(p.number, 0).source.ids_T) for step in places for p in step
    )


@pytest.mark.parametrize("repeats", [1, 4, 64])
def test_every_sample_is_seen_so_often(world, repeats):
    feed = feed_of(world, steps=16, repeats=repeats, objective={"masking_rate": 0.01})
    numbers = Counter(place.number for step in range(16) for place in feed.places(step))
    assert set(numbers.values()) == {repeats} and len(numbers) == 64 // repeats
    whole = feed_of(world, steps=16)
    assert len(whole.phases[0].source) > 64 and whole.fingerprint != feed.fingerprint


@pytest.mark.parametrize(("epochs", "repeats"), [(1, 4), (2.5, 4), (4, 4), (3, 3)])
def test_passes_over_the_whole_corpus_become_repeats_of_a_share(world, epochs, repeats):
    whole = feed_of(world, epochs=epochs, batch_size=7)
    feed = feed_of(world, epochs=epochs, batch_size=7, repeats=repeats)
    there = len(whole.phases[0].source)
    assert feed.num_steps == whole.num_steps and there % 7, "the last batch takes from another pass"
    numbers = Counter(place.number for step in range(feed.num_steps) for place in feed.places(step))
    assert len(numbers) == pytest.approx(there * epochs / repeats, abs=7)
    assert sorted(set(numbers.values()) - {repeats}) in ([], [repeats - 1], [repeats + 1])
    assert numbers.total() == feed.num_steps * 7


def test_a_budget_of_tokens_has_the_same_steps(world):
    assert feed_of(world, tokens=9000, repeats=8).num_steps == feed_of(world, tokens=9000).num_steps


def test_a_sharing_process_keeps_its_part(world):
    chosen, size = open_recipe("modern-tiny")
    resolved = resolve_run(PretrainSettings, chosen.defaults(size), None, {"batch_size": 4, "steps": 8, "repeats": 2})
    corpus, template = Corpus.open(world.corpus), Bundle.load(world.modern / "model", heads=()).template
    second = pretraining_feed(chosen.make_objective({}), corpus, template, resolved, rank=1, world=2)
    assert (second.rank, second.world, len(second.places(0))) == (1, 2, 2)


def test_seeds_share_the_share(world):
    texts = [
        set(seen(feed_of(world, steps=8, repeats=8, seed=seed, objective={"mask": 0, "random": 0}))) for seed in (1, 2)
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 4


def test_both_lengths_are_cut(world):
    lengths = {"steps": 20, "max_length": 32, "short_length": 16, "short_share": 0.5, "repeats": 10}
    feed = feed_of(world, "bert", **lengths)
    assert [len(phase.source) for phase in feed.phases] == [4, 4]


def test_refusals(world):
    with pytest.raises(InputError, match=r"repeats=2: .*give repeats=\d+ or more, a shorter run"):
        feed_of(world, steps=5000, repeats=2)
    with pytest.raises(InputError, match=r"repeats=2: .*give repeats=3 or more"):
        feed_of(world, epochs=3, repeats=2)
    with pytest.raises(InputError, match="known length"):
        feed_of(world, seconds=3, repeats=2)
    with pytest.raises(InputError, match="a share of 9"):
        Share(Share(feed_of(world, steps=1).phases[0].source, 3), 9)


def test_a_repeated_run_trains(world, tmp_path):
    settings = {"steps": 4, "repeats": 4, "batch_size": 4, "max_length": 32, "valid_samples": 4}
    metrics = pretrain("modern-tiny", corpus=world.corpus, out=tmp_path / "run", settings=settings)
    assert metrics["steps"] == 4 and metrics["flops"] > 0
