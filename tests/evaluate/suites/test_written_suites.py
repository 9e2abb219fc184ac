"""Sets whose answer is a text: files as they are published become records, and a suite scores them."""

import json

import pytest

import published
from pretune.core.errors import InputError
from pretune.core.registry import find
from pretune.evaluate.suites.suite import labelled_files


def part_of(suite, name):
    return next(part for part in find("pretune.evaluate.suites", "suite", suite).parts if part.name == name)


def test_parallel_files_and_tables(tmp_path):
    part = part_of("multi30k", "Multi30k-de-en")
    files = labelled_files(part, published.multi30k_files(tmp_path))
    assert list(files) == ["train", "valid", "test_2016_flickr", "test_2017_flickr"]
    rows = part.layout.read(files["train"], "train")
    assert (
        len(rows) == 6 and rows[2] == {"source": "Ein Hund 2 train.", "target": "A dog 2 train."} and rows[2].line == 3
    )
    assert [path.name for path in part.layout.files(files["train"])] == ["train.de", "train.en"]
    (row, *_) = part.layout.read(files["test_2016_flickr"], "scored")
    assert (row["source"], row["target"]) == ("Eine Katze 0.", "A cat 0.")
    other = files["train"].with_name("train.en")
    other.write_text("A dog.\n")
    with pytest.raises(InputError, match=r"train\.de: 6 lines, and .*train\.en 1: fetch both"):
        part.layout.read(files["train"], "train")


def test_papers_with_sentences_and_without(tmp_path):
    published.scitldr_files(tmp_path)
    path = tmp_path / "SciTLDR-A" / "test.jsonl"
    rows = part_of("scitldr", "SciTLDR").layout.read(path, "scored")
    assert rows[1] == {
        "source": "We look at 1 in test. It is good.",
        "target": ["We do 1 things.", "They do 1 in test."],
    }
    assert part_of("scitldr", "SciTLDR-titles").layout.read(path, "scored")[1]["target"] == "On 1"
    path.write_text(json.dumps({"text": "We look.", "summaries": ["We do."], "title": "On"}) + "\n")
    assert part_of("scitldr", "SciTLDR").layout.read(path, "scored") == [{"source": "We look.", "target": ["We do."]}]
    path.write_text(json.dumps({"text": "We look."}) + "\n")
    with pytest.raises(InputError, match=r"test\.jsonl:1: no source and title"):
        part_of("scitldr", "SciTLDR-titles").layout.read(path, "scored")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "multi30k",
            [("Multi30k-de-en", f"test_201{year}_flickr", one) for year in (6, 7) for one in ("bleu", "chrf")],
        ),
        pytest.param(
            "scitldr",
            [(part, "test", f"rouge{n}") for part in ("SciTLDR", "SciTLDR-titles") for n in (1, 2, "L")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_suite_scores_them(world, tmp_path, name, expected):
    data = getattr(published, f"{name}_files")(tmp_path / "data")
    model = tmp_path / "gpt2"
    steps = ["steps=1", "batch_size=4", "valid_samples=4", "max_length=64"]
    assert world.command("pretrain", "gpt2-tiny", "--corpus", world.corpus, "--out", model, *steps).status == 0
    settings = ["steps=2", "batch_size=4", "max_length=48", "task.max_target=8", "check=warn"]
    named = ["--model", model / "model", "--data", data, "--out", tmp_path / "out", "--seeds", 1]
    result = world.command("suite", name, *named, *settings)
    assert result.status == 0, result.err
    found = json.loads((tmp_path / "out" / "suite.json").read_text())
    assert [(row["part"], row["file"], row["metric"]) for row in found["parts"]] == expected
    assert all(0 <= row["median"] <= 1 and row["best_baseline"] is not None for row in found["parts"])
