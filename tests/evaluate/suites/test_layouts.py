"""Files as they are published become records; what differs from that is named with its line. Answers for scorers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import published
from pretune.core.errors import InputError
from pretune.core.registry import entries, find
from pretune.evaluate.over_seeds import cut_to, limits
from pretune.evaluate.suites.suite import Suite, labelled_files, missing, runnable
from pretune.evaluate.suites.suite import find as find_file
from pretune.metrics.answers import answer_scores
from pretune.metrics.intervals import Interval
from pretune.tasks.task import open_task
from pretune.text.choices import choices_of

FOUND = {name: find("pretune.evaluate.suites", "suite", name) for name in entries("pretune.evaluate.suites")}
SUITES = {name: suite for name, suite in FOUND.items() if isinstance(suite, Suite)}
PARTS = {part.name: part for suite in SUITES.values() for part in suite.parts}


@pytest.mark.parametrize("name", SUITES)
def test_every_part_says_what_is_missing_and_where_it_is_published(tmp_path, name):
    suite = SUITES[name]
    present, absent = runnable(suite, tmp_path)
    assert not present and suite.name == name and suite.counted
    for part in suite.parts:
        told = missing(part, tmp_path)
        assert told in absent and f"published at {part.published}" in told and "http" in told
        assert part.scored and set(part.own) <= set(part.metrics) and open_task(part.task)
        if part.trained_on is not None:
            names = [one.name for one in suite.parts]
            assert names.index(part.trained_on) < names.index(part.name) and not part.train and not part.is_counted


def test_swag(tmp_path):
    published.swag_files(tmp_path)
    layout = PARTS["SWAG"].layout
    row = layout.read(tmp_path / "val.csv", "scored")[1]
    assert row["sent1"] == "She opens, slowly." and row["label"] == "1" and "startphrase" not in row
    assert choices_of(row).seconds[1] == f"She {row['ending1']}" and choices_of(row).label == 1
    assert "label" not in layout.read(tmp_path / "test.csv", "submitted")[0]
    with pytest.raises(InputError, match=r"test\.csv:1: no column label: expected the set as it is published"):
        layout.read(tmp_path / "test.csv", "scored")
    (answers,) = PARTS["SWAG"].submitted.values()
    assert answers.write([{"choice": 2}, {"choice": 0}], []) == ",pred\n0,2\n1,0\n"


def test_sts_benchmark(tmp_path):
    published.sts_files(tmp_path)
    layout, path = PARTS["STS-B"].layout, tmp_path / "stsbenchmark" / "sts-train.csv"
    rows = layout.read(path, "train")
    assert len(rows) == 16 and rows[3]["label"] == "3.000" and rows[3]["text_b"].startswith('"')
    assert (rows[3].line, set(rows[3])) == (4, {"text", "text_b", "label"})
    path.write_text(path.read_text() + "main\tMSR\t2012\t0001\t2.0\tone sentence\n")
    with pytest.raises(InputError, match=r"sts-train\.csv:17: 6 columns where there are 7"):
        layout.read(path, "train")
    path.write_text("text\ttext_b\tlabel\nours\ttoo\t3\n")
    assert layout.read(path, "train")[0]["label"] == "3"


def test_sts_years(tmp_path):
    published.sts_files(tmp_path)
    twelve, sixteen = PARTS["STS12"], PARTS["STS16"]
    (name, path), *more = labelled_files(twelve, tmp_path).items()
    assert (name, more) == ("MSRpar", []) and [row["label"] for row in twelve.layout.read(path, "scored")][:2] == [
        "0.5",
        "1.5",
    ]
    (tmp_path / "test-gold").rename(tmp_path / "STS12-en-test")  # as SentEval calls it
    assert list(labelled_files(twelve, tmp_path)) == ["MSRpar"]
    path = labelled_files(sixteen, tmp_path)["headlines"]
    rows = sixteen.layout.read(path, "scored")
    assert [(row.line, row["label"]) for row in rows] == [(1, "1"), (3, "3"), (6, "5")]  # those that were scored
    assert all("source" not in row["text_b"] for row in rows)
    gold = path.with_name("STS2016.gs.headlines.txt")
    assert sixteen.layout.files(path) == (path, gold)
    gold.write_text("1\n2\n")
    with pytest.raises(InputError, match=r"gs\.headlines\.txt: 2 scores for 6 pairs"):
        sixteen.layout.read(path, "scored")
    path.write_text("no tab\nb\tc\n")
    with pytest.raises(InputError, match=r"input\.headlines\.txt:1: no tab between two sentences"):
        sixteen.layout.read(path, "scored")
    gold.unlink()
    with pytest.raises(InputError, match=r"STS2016\.gs\.headlines\.txt belongs beside it"):
        sixteen.layout.read(path, "scored")


def test_treebanks(tmp_path):
    published.ud_files(tmp_path)
    part = PARTS["UD"]
    files = labelled_files(part, tmp_path)
    assert [path.name for path in files.values()] == [f"xx_tiny-ud-{each}.conllu" for each in ("train", "dev", "test")]
    row = part.layout.read(files["train"], "train")[0]
    assert row["words"] == ["de", "el", "kind", "man"] and row["tags"] == ["ADP", "DET", "ADJ", "NOUN"]
    (tmp_path / "yy_other-ud-dev.conllu").write_text("")
    with pytest.raises(InputError, match=r"several files \*-ud-dev\.conllu \(xx_tiny-ud-dev\.conllu, yy_other"):
        runnable(SUITES["ud"], tmp_path)
    bare = files["train"].with_name("bare.conllu")
    bare.write_text("1\t_\t_\tX\t_\t_\t_\t_\t_\t_\n")
    with pytest.raises(InputError, match="published without its texts"):
        part.layout.read(bare, "train")


def test_diagnostic_of_glue(tmp_path):
    part = PARTS["AX"]
    head = "Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain\tPremise\tHypothesis\tLabel\n"
    full = published.write(
        tmp_path / "diagnostic" / "diagnostic-full.tsv", head + "\t\tNegation\t\tNews\ta\tb\tneutral\n"
    )
    assert part.layout.read(full, "scored") == [
        {"text": "a", "text_b": "b", "label": "neutral"}
        | dict(zip(head.split("\t")[:5], ["", "", "Negation", "", "News"], strict=True))
    ]
    asked = published.write(tmp_path / "diagnostic" / "diagnostic.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n")
    rows = part.layout.read(asked, "submitted")
    assert (rows[0]["text"], rows[0]["text_b"]) == ("a", "b")
    assert find_file(tmp_path, part.submitted["AX.tsv"].of) == asked
    assert part.submitted["AX.tsv"].write([{"label": "neutral"}], rows) == "index\tprediction\n0\tneutral\n"
    assert runnable(SUITES["glue"], tmp_path)[1][-1] == "AX: it is scored with the model of MNLI, which cannot run"


def test_answers_of_squad(tmp_path):
    published.squad_files(tmp_path)
    rows = PARTS["SQuAD-2.0"].layout.read(tmp_path / "dev-v2.0.json", "scored")
    odds = [3.0, -2.0, 0.0, 800.0, -800.0, 1.0, 0.5, -0.5]
    said = [
        {"id": row["id"], "answer": "" if one > 0 else "Rome", "null_odds": one}
        for row, one in zip(rows, odds, strict=True)
    ]
    writers = {name: answers.write for name, answers in PARTS["SQuAD-2.0"].submitted.items()}
    texts = json.loads(writers["predictions-v2.0.json"](said, rows))
    assert list(texts) == [row["id"] for row in rows] and texts["2.0-dev-1"] == "Rome" and texts["2.0-dev-0"] == ""
    p_N = np.array(list(json.loads(writers["na_prob-v2.0.json"](said, rows)).values()))
    assert p_N == pytest.approx(1 / (1 + np.exp(-np.clip(odds, -700, 700)))) and p_N.max() <= 1.0
    assert p_N[2] == 0.5 and p_N[1] == pytest.approx(0.1192, abs=1e-4)
    golds = [[answer["text"] for answer in row["answers"]] for row in rows]  # none at 0, 3 and 6
    scores = answer_scores(golds, list(texts.values()), "2.0")  # wrong: 5 alone, left unanswered
    assert (scores["exact_match"], scores["no_answer_f1"]) == (7 / 8, 1.0)


def test_an_interval_ends_where_its_metric_does():
    wide = Interval(0.9, -0.4, 1.3)
    assert cut_to(wide, *limits("accuracy")) == Interval(0.9, 0.0, 1.0)
    assert cut_to(wide, *limits("matthews")) == Interval(0.9, -0.4, 1.0)
    assert cut_to(Interval(-1.0, -1.2, -1.1), *limits("pearson")) == Interval(-1.0, -1.0, -1.0)
    assert cut_to(Interval(0.5, 0.4, 0.6), 0.0, 1.0) == Interval(0.5, 0.4, 0.6)


DATA = Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data folder, at ../shared/data or PRETUNE_DATA")
@pytest.mark.parametrize(
    ("part", "file", "number"),
    [
        ("SQuAD-1.1", "squad_v1.1/dev-v1.1.json", 10_570),
        ("SQuAD-2.0", "squad_v2.0/dev-v2.0.json.gz", 11_873),
        ("STS-B", "stsb/test.tsv", 1_379),
    ],
)
def test_real_files(part, file, number):
    """Those of the data folder that are in their published layout, or in our own columns."""
    assert len(PARTS[part].layout.read(DATA / file, "scored")) == number
