"""The quickstart as a whole, with seconds of pre-training instead of a hundred; and what it refuses."""

import json

import pytest

from pretune.core.errors import InputError
from pretune.verbs import quickstart as quickstart_verb
from pretune.verbs import quickstart_tagging
from pretune.verbs.quickstart import NEXT, quickstart


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(quickstart_tagging, "ROUNDS", ((100, 0), (300, 0)))
    fewer = {system: (1.0, lr) for system, (_, lr) in quickstart_tagging.EPOCHS_AND_LR.items()}
    monkeypatch.setattr(quickstart_tagging, "EPOCHS_AND_LR", fewer)
    compare = quickstart_verb.compare_taggers
    monkeypatch.setattr(quickstart_verb, "compare_taggers", lambda *of: compare(*of[:2], of[2][:150], *of[3:]))


def test_the_whole_job(short, tmp_path):
    result = quickstart(tmp_path / "q", pretrain_seconds=2.0)
    assert set(result["accuracy"]) == set(quickstart_tagging.SYSTEMS)
    assert result["draws"] == {"100": 1, "300": 1}
    for row in result["accuracy"].values():
        assert all(low <= estimate <= high for estimate, low, high in row.values())
    saved = json.loads((tmp_path / "q" / "results.json").read_text())
    assert saved == {key: value for key, value in result.items() if key != "text"}
    page = (tmp_path / "q" / "report.html").read_text()
    assert "unigram entropy" in page and "Filling blanks" in page
    assert NEXT in result["text"] and str(tmp_path / "q" / "report.html") in result["text"]
    again = quickstart(tmp_path / "q", pretrain_seconds=2.0)
    assert again["pretraining"]["steps"] == result["pretraining"]["steps"], "pre-training was done and is kept"
    assert again["accuracy"] == result["accuracy"]


def test_it_writes_into_no_other_directory(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds other files"):
        quickstart(tmp_path)
    with pytest.raises(InputError, match="positive"):
        quickstart(tmp_path / "new", pretrain_seconds=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
