"""Every recipe of the folder, at every size; and the first 20 losses of the two tiny ones (golden.json).

Where the numerics change on purpose, `PRETUNE_WRITE_GOLDEN=1 pytest tests/recipes` writes the losses anew.
"""

import json
import os
from pathlib import Path

import pytest

from pretune.core.errors import InputError
from pretune.core.registry import entries
from pretune.families.family import open_family
from pretune.recipes.recipe import open_recipe
from pretune.verbs.settings import PretrainSettings, resolve_run

GOLDEN = Path(__file__).with_name("golden.json")
RECIPES = list(entries("pretune.recipes"))
TOLERANCE = 1e-4
"""Relative, in fp32 with one thread: sums in another order differ by about 1e-6 at the first step."""


def sizes():
    return [(name, size) for name in RECIPES for size in open_family(open_recipe(name)[0].family).presets]


@pytest.mark.parametrize("name, size", sizes())
def test_defaults_are_a_run(name, size):
    recipe, found = open_recipe(f"{name}-{size}")
    assert (recipe.name, found) == (name, size)
    settings = resolve_run(PretrainSettings, recipe.defaults(size))
    assert settings.steps or settings.tokens
    objective = recipe.make_objective(settings.objective)
    assert {"arrange", "corrupt", "counts", "loss"} <= set(dir(objective))


@pytest.mark.parametrize("name", RECIPES)
def test_every_choice_has_a_source(name):
    recipe, size = open_recipe(name)
    assert size == recipe.size
    assert {"architecture", "objective", "optimizer"} <= set(recipe.sources)
    assert all(recipe.sources.values())
    assert set(recipe.by_size) <= set(open_family(recipe.family).presets)


@pytest.mark.parametrize("name", ["brt", "bert-huge", "bertie", ""])
def test_unknown_names(name):
    with pytest.raises(InputError, match="unknown"):
        open_recipe(name)


def test_unknown_settings_of_an_objective():
    with pytest.raises(InputError, match="did you mean masking_rate"):
        open_recipe("bert")[0].make_objective({"masking_rat": 0.2})
    with pytest.raises(InputError, match=r"objective.\*: masking_rate: "):
        open_recipe("bert")[0].make_objective({"masking_rate": "much"})


@pytest.mark.parametrize("name", ["modern-tiny", "bert-tiny"])
def test_golden_losses(world, tmp_path, name):
    words = ["steps=20", "batch_size=8", "seed=7", "log_every_steps=1", "valid_samples=1", "max_length=64"]
    words += ["short_length=32", "precision=fp32", "optimizer.lr=1e-3", "--threads", "1"]
    run = tmp_path / "run"
    result = world.command("pretrain", name, "--corpus", world.corpus, "--out", run, *words)
    assert result.status == 0, result.err
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "losses" in line]
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("PRETUNE_WRITE_GOLDEN"):
        golden[name] = [round(loss, 7) for loss in losses]
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert losses == pytest.approx(golden[name], rel=TOLERANCE)
