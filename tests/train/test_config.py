"""Settings: one budget, lengths that make sense, and no torch."""

import subprocess
import sys

import pytest

from pretune.core.config import fields, resolve
from pretune.core.errors import InputError
from pretune.train.config import FitSettings


class WithDefault(FitSettings):
    epochs: float | None = 3.0


def test_given_budget_replaces_the_default_one():
    assert WithDefault().epochs == 3
    settings = resolve(WithDefault, assignments=["steps=10"])
    assert (settings.steps, settings.epochs) == (10, None)
    again = resolve(WithDefault, settings.model_dump(mode="json"))
    assert again == settings


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        ([], "when the run ends"),
        (["steps=1", "tokens=5"], "give one of them"),
        (["seconds=5", "schedule.warmup=10"], "share below 1"),
        (["steps=5", "schedule.warmup=10"], "longer than the run"),
        (["steps=5", "schedule.warmup=1.5"], "whole number"),
        (["steps=5", "schedule.name=wsd", "schedule.warmup=0.6", "schedule.decay=0.5"], "exceed the run"),
        (["steps=100", "schedule.name=wsd", "schedule.warmup=80", "schedule.decay=0.5"], "exceed the run of 100 steps"),
        (["steps=5", "short_length=512", "max_length=128"], "not below max_length"),
        (["seconds=5", "short_length=64"], "short_length=null"),
        (["epochs=inf"], "epochs: it should be a finite number"),
        (["steps=5", "schedule.warmup=inf"], "schedule.warmup: it should be a finite number"),
        (["steps=5", "optimizer.lr=0"], "optimizer.lr"),
        (["steps=5", "optimiser.lr=1"], "optimizer.lr"),
        (["steps=5", "keep_checkpoints=0"], "keep_checkpoints"),
    ],
)
def test_nonsense_is_refused(assignments, says):
    with pytest.raises(InputError, match=says):
        resolve(FitSettings, assignments=assignments)


def test_bert_lengths():
    settings = resolve(FitSettings, assignments=["steps=10", "short_length=128", "max_length=512"])
    assert settings.lengths == ((0.9, 128), (pytest.approx(0.1), 512))


def test_every_setting_is_documented():
    undocumented = [key for key, (_, _, text) in fields(FitSettings).items() if not text]
    assert not undocumented


def test_imports_no_torch():
    modules = "pretune.train.config, pretune.train.schedule, pretune.train.energy"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
