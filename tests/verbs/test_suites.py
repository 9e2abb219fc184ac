"""Every suite from the command line, on tiny files in its published layout: scores, notes, answers, no model twice."""

import json
import shutil

import pytest

import published
from pretune.core.errors import InputError
from pretune.core.registry import find
from pretune.text.records import Record
from pretune.verbs import records, suite_runs
from pretune.verbs.suite import suite
from pretune.verbs.suite_runs import Request, Run, prepared, settings_of

SETTINGS = ["steps=2", "batch_size=4", "max_length=48", "optimizer.lr=1e-3"]


def run(world, name, data, out, *words):
    result = world.command("suite", name, "--model", world.modern / "model", "--data", data, "--out", out, *words)
    assert result.status == 0, result.err
    return result, json.loads((out / "suite.json").read_text())


def rows_of(found):
    return {(row["part"], row["file"], row["metric"]): row for row in found["parts"]}


@pytest.fixture(scope="module")
def superglue(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("superglue")
    data = published.superglue_files(folder / "data")
    result, found = run(world, "superglue", data, folder / "out", "--seeds", 1, *SETTINGS)
    return data, folder / "out", result, found


def test_superglue_is_scored_as_officially(superglue):
    _, out, result, found = superglue
    rows = rows_of(found)
    assert [key[:1] + key[2:] for key in rows] == [
        ("BoolQ", "accuracy"),
        ("CB", "accuracy"),
        ("CB", "macro_f1"),
        ("COPA", "accuracy"),
        ("MultiRC", "f1a"),
        ("MultiRC", "exact_match"),
        ("ReCoRD", "f1"),
        ("ReCoRD", "exact_match"),
        ("RTE", "accuracy"),
        ("WiC", "accuracy"),
        ("WSC", "accuracy"),
        ("AX-b", "matthews"),
        ("AX-g", "accuracy"),
        ("AX-g", "gender_parity"),
    ]
    sizes = {(part, metric): row["num_items"] for (part, _, metric), row in rows.items()}
    assert sizes["MultiRC", "exact_match"] == 12 and sizes["ReCoRD", "f1"] == 12  # questions and queries
    assert sizes["AX-g", "accuracy"] == 6 and sizes["AX-g", "gender_parity"] == 3  # pairs
    assert all(row["best_baseline"] is not None for row in rows.values())
    scores = {}
    for (part, _, _), row in rows.items():
        scores.setdefault(part, []).append(row["median"])
    means = [sum(each) / len(each) for part, each in scores.items() if not part.startswith("AX")]
    assert len(means) == 8 and found["average"] == pytest.approx(sum(means) / 8)
    assert found["average_note"].startswith("average over all 8 parts of superglue (not counted: AX-b, AX-g): ")
    assert "no better than a simple method" in result.out and not (out / "AX-b").exists()


def test_superglue_answers(superglue):
    data, out, _, _ = superglue
    names = ["AX-b", "AX-g", "BoolQ", "CB", "COPA", "MultiRC", "RTE", "ReCoRD", "WSC", "WiC"]
    assert sorted(path.stem for path in (out / "submission").iterdir()) == names
    found = {
        name: [json.loads(line) for line in (out / "submission" / f"{name}.jsonl").read_text().splitlines()]
        for name in names
    }
    labels = {name: {row["label"] for row in rows} for name, rows in found.items() if name != "MultiRC"}
    assert [row["idx"] for row in found["BoolQ"]] == list(range(6)) and labels["BoolQ"] <= {"true", "false"}
    assert (
        labels["WSC"] <= {"True", "False"} and labels["COPA"] <= {0, 1} and labels["ReCoRD"] <= {"Ann", "Bob", "Rome"}
    )
    assert labels["RTE"] | labels["AX-b"] | labels["AX-g"] <= {"entailment", "not_entailment"}
    asked = [json.loads(line) for line in (data / "MultiRC" / "test.jsonl").read_text().splitlines()]
    shape = [[len(question["answers"]) for question in row["passage"]["questions"]] for row in asked]
    assert [[len(q["answers"]) for q in row["passage"]["questions"]] for row in found["MultiRC"]] == shape
    scored = [
        json.loads(line) for line in (out / "RTE" / "seed-1" / "predictions-AX-b-test.jsonl").read_text().splitlines()
    ]
    assert [row["label"] for row in found["AX-b"]] == [row["label"] for row in scored]


def test_a_finished_suite_opens_no_model(world, superglue, monkeypatch):
    data, out, _, found = superglue
    before = {path.name: path.read_text() for path in (out / "submission").iterdir()}

    def refuse(*_, **__):
        raise AssertionError("a model is opened")

    monkeypatch.setattr(suite_runs, "load", refuse)
    monkeypatch.setattr(suite_runs, "finetune", refuse)
    again = suite("superglue", model=str(world.modern / "model"), data=data, out=out, seeds=1, settings=SETTINGS)
    assert json.loads(json.dumps(again["parts"])) == found["parts"] and again["notes"] == found["notes"]
    assert {path.name: path.read_text() for path in (out / "submission").iterdir()} == before
    with open(data / "RTE" / "test.jsonl", "a") as file:  # one more to answer: the model must be asked
        file.write('{"premise": "a", "hypothesis": "b", "idx": 99}\n')
    with pytest.raises(AssertionError, match="a model is opened"):
        suite("superglue", model=str(world.modern / "model"), data=data, out=out, seeds=1, settings=SETTINGS)
    kept = out / "RTE" / "seed-1" / "predictions-val.jsonl"
    kept.write_text(kept.read_text() * 2)
    with pytest.raises(InputError, match="has 12 predictions for 6 records: remove it and run again"):
        suite("superglue", model=str(world.modern / "model"), data=data, out=out, seeds=1, settings=SETTINGS)


def test_a_bad_file_is_told_before_anything_is_trained(world, tmp_path):
    data = published.superglue_files(tmp_path / "data")
    path = data / "WSC" / "test.jsonl"
    path.write_text(path.read_text().replace("Mark", "Bill", 1))
    out = tmp_path / "out"
    result = world.command("suite", "superglue", "--model", world.modern / "model", "--data", data, "--out", out)
    assert result.status == 2 and "WSC/test.jsonl:1: 'Mark' stands nowhere in the text" in result.err
    assert not list(out.glob("*/seed-*"))
    shutil.rmtree(data / "RTE")
    with pytest.raises(InputError, match="WSC"):
        suite("superglue", model=str(world.modern / "model"), data=data, out=tmp_path / "other")


def test_squad(world, tmp_path):
    data, out = published.squad_files(tmp_path / "data"), tmp_path / "out"
    result, found = run(world, "squad", data, out, "--seeds", 2, *SETTINGS)
    assert list(rows_of(found)) == [
        (f"SQuAD-{version}", "dev", metric) for version in ("1.1", "2.0") for metric in ("f1", "exact_match")
    ]
    assert found["average"] is None and "scored apart: there is no average" in result.out
    predictions = json.loads((out / "submission" / "predictions-v2.0.json").read_text())
    no_answer = json.loads((out / "submission" / "na_prob-v2.0.json").read_text())
    assert list(predictions) == list(no_answer) == [f"2.0-dev-{n}" for n in range(8)]
    assert all((no_answer[name] > 0.5) == (text == "") for name, text in predictions.items())
    scores = rows_of(found)["SQuAD-2.0", "dev", "exact_match"]["scores"]
    right = sum((text == "Rome") if int(name[-1]) % 3 else (text == "") for name, text in predictions.items())
    assert right / 8 in [pytest.approx(score) for score in scores]
    again, _ = run(world, "squad", data, tmp_path / "other", "--seeds", 1, "--against", out, *SETTINGS)
    assert "Against the other model" in again.out


def test_swag(world, tmp_path):
    data, out = published.swag_files(tmp_path / "data"), tmp_path / "out"
    _, found = run(world, "swag", data, out, "--seeds", 1, *SETTINGS)
    assert list(rows_of(found)) == [("SWAG", "val", "accuracy")]
    answers = (out / "submission" / "SWAG.csv").read_text().splitlines()
    assert answers[0] == ",pred" and [line.split(",")[0] for line in answers[1:]] == [str(n) for n in range(12)]
    _, found = run(world, "swag", data, tmp_path / "other", "--seeds", 1, "--against", out, *SETTINGS)
    assert found["against"][0]["mcnemar_p"] == 1.0  # the same model: no item differs


def test_sts_scores_the_years_with_the_model_of_stsb(world, tmp_path):
    data, out = published.sts_files(tmp_path / "data"), tmp_path / "out"
    leaked = (data / "stsbenchmark" / "sts-train.csv").read_text().splitlines()[0].split("\t")
    pairs, gold = data / "test-gold" / "STS.input.MSRpar.txt", data / "test-gold" / "STS.gs.MSRpar.txt"
    pairs.write_text(pairs.read_text() + f"{leaked[5]}\t{leaked[6]}\n")
    gold.write_text(gold.read_text() + "2\n")
    result, found = run(world, "sts", data, out, "--seeds", 1, *SETTINGS)
    rows = rows_of(found)
    assert {key[:2]: row["num_items"] for key, row in rows.items()} == {
        ("STS-B", "test"): 16,
        ("STS12", "MSRpar"): 7,
        ("STS16", "headlines"): 3,
    }
    stsb = [rows["STS-B", "test", metric]["median"] for metric in ("pearson", "spearman")]
    assert found["average"] == pytest.approx(sum(stsb) / 2) and "is that of STS-B" in found["average_note"]
    assert any("STS12: MSRpar: test: leakage: 1 of 7" in note for note in found["notes"]), found["notes"]
    assert any("STS13: no " in note and "2013-en-test.zip" in note for note in found["missing"])
    gold.write_text(gold.read_text().replace("0.5", "1.0"))  # the scores are part of the file they belong to
    again = world.command("suite", "sts", "--model", world.modern / "model", "--data", data, "--out", out, *SETTINGS)
    assert again.status == 2 and "another suite (STS12 differ)" in again.err


@pytest.mark.parametrize(
    ("words", "tags"), [((), {"ADP", "DET", "ADJ", "NOUN"}), (("columns.tags=xpos",), set("EDJN"))]
)
def test_ud(world, tmp_path, words, tags):
    data, out = published.ud_files(tmp_path / "data"), tmp_path / "out"
    _, found = run(world, "ud", data, out, "--seeds", 1, *SETTINGS, *words)
    (row,) = found["parts"]
    assert (row["part"], row["file"], row["metric"], row["num_items"]) == ("UD", "test", "accuracy", 12)
    told = json.loads((out / "UD" / "seed-1" / "model" / "pretune.json").read_text())
    assert set(told["task"]["settings"]["labels"]) == tags
    metrics = json.loads((out / "UD" / "seed-1" / "metrics.json").read_text())
    assert row["scores"][0] == pytest.approx(metrics["test"]["accuracy"])


def test_settings_of_a_part_give_way():
    cb = next(part for part in find("pretune.evaluate.suites", "suite", "superglue").parts if part.name == "CB")
    assert settings_of(cb, 3, []) == ["max_length=256", "epochs=10", "seed=3"]
    assert settings_of(cb, 3, ["max_length=64", "steps=5"]) == ["max_length=64", "steps=5", "seed=3"]
    assert settings_of(cb, 3, {"epochs": 1}) == ["max_length=256", "epochs=1", "seed=3"]


def test_files_are_read_where_they_are(tmp_path):
    data = published.swag_files(tmp_path / "data")
    (part,) = find("pretune.evaluate.suites", "suite", "swag").parts
    found = prepared(part, Request("x", data, tmp_path / "out", 1))
    assert {name: len(path.read_text().splitlines()) for name, path in found.items()} == {"train": 12, "val": 12}
    data = published.sts_files(tmp_path / "sts")
    (data / "stsbenchmark" / "sts-dev.csv").write_text("")
    part = find("pretune.evaluate.suites", "suite", "sts").parts[0]
    with pytest.raises(InputError, match=r"sts-dev\.csv: no record in it"):
        prepared(part, Request("x", data, tmp_path / "out", 1))


def test_kept_predictions_hold_any_character(tmp_path):
    found = [{"choice": 0, "text": "a\u2028b\u2029c\x85d\ne"}, {"choice": 1, "text": "f"}]
    records.write_text(tmp_path / "predictions-dev.jsonl", records.json_lines(found))
    assert Run(tmp_path).predictions("dev", [Record({}), Record({})]) == found
