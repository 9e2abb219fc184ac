"""Multi30k and SciTLDR as they are: sizes as published, and what methods without a network score."""

import os
from pathlib import Path

import pytest

from pretune.core.registry import find
from pretune.evaluate.suites.suite import labelled_files
from pretune.tasks.task import open_task

pytestmark = pytest.mark.data
DATA = Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[4] / "shared" / "data"))


def files_of(suite, number=0):
    part = find("pretune.evaluate.suites", "suite", suite).parts[number]
    return {name: part.layout.read(path, "scored") for name, path in labelled_files(part, DATA / suite).items()}


def test_multi30k():
    files = files_of("multi30k")
    sizes = [29_000, 1_014, 1_000, 1_000, 461, 1_071]
    assert [len(rows) for rows in files.values()] == sizes  # train, val, 2016, 2017, COCO, 2018
    found = open_task("translate").baselines(files["train"], files["test_2016_flickr"])
    assert found["copy"]["bleu"] == pytest.approx(0.0048, abs=1e-4)
    assert found["nearest-source"]["bleu"] == pytest.approx(0.1016, abs=1e-4)
    assert found["nearest-source"]["chrf"] == pytest.approx(0.3000, abs=1e-4)


def test_scitldr():
    files = files_of("scitldr")
    assert [len(rows) for rows in files.values()] == [1_992, 619, 618]
    found = open_task("summarise").baselines(files["train"], files["test"])
    figures = [round(found["first-sentence"][name], 4) for name in ("rouge1", "rouge2", "rougeL")]
    assert figures == [0.3136, 0.1231, 0.2489]
    assert max(len(record["target"]) for record in files["test"]) > 1
    assert all(isinstance(record["target"], str) for record in files_of("scitldr", 1)["test"])
