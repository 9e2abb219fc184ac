"""A suite in its published layout, with small files: it runs what is there, resumes, compares, says what is missing."""

import json
import random
import shutil

import pytest

import pretune
from pretune.core.config import dump_yaml, load_yaml
from pretune.core.errors import InputError
from pretune.core.registry import entries, find
from pretune.evaluate.suites.standing import average
from pretune.verbs import records
from pretune.verbs.suite import results, suite

SETTINGS = ["epochs=1", "batch_size=8", "max_length=32", "optimizer.lr=1e-3"]
WORDS = ["kind", "happy", "dear", "cruel", "sad", "dark", "old", "new"]


def sentence(rng):
    return " ".join(rng.choice(WORDS) for _ in range(6))


def glue_files(folder, rows=24):
    """CoLA (no header, but its test file), STS-B and MNLI with two dev files, as they are published."""
    rng = random.Random(0)

    def write(name, lines):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join("\t".join(line) for line in lines) + "\n")

    def numbered(make, header, number=rows):
        return [header] * bool(header) + [make(n) for n in range(number)]

    for part in ("train", "dev"):
        write(f"CoLA/{part}.tsv", numbered(lambda n: ["gj04", str(n % 2), "*", sentence(rng)], None))
        stsb = ["index", "genre", "sentence1", "sentence2", "score"]
        write(f"STS-B/{part}.tsv", numbered(lambda n: [str(n), "x", sentence(rng), sentence(rng), str(n / 5)], stsb))
    mnli = ["index", "sentence1", "sentence2", "gold_label"]
    names = ["neutral", "entailment", "contradiction"]
    for part in ("train", "dev_matched", "dev_mismatched"):
        write(f"MNLI/{part}.tsv", numbered(lambda n: [str(n), sentence(rng), sentence(rng), names[n % 3]], mnli))
    write("MNLI/test_matched.tsv", numbered(lambda n: [str(n), sentence(rng), sentence(rng)], mnli[:3], 5))
    write("CoLA/test.tsv", numbered(lambda n: [str(n), sentence(rng)], ["index", "sentence"], 7))
    write("STS-B/test.tsv", numbered(lambda n: [str(n), "x", sentence(rng), sentence(rng)], stsb[:4], 3))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return glue_files(tmp_path_factory.mktemp("glue"))


@pytest.fixture(scope="module")
def done(world, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("suites") / "ours"
    words = ["--model", world.modern / "model", "--data", data, "--out", out, *SETTINGS]
    assert world.command("suite", "glue", *words, "--seeds", "1").status == 0
    result = world.command("suite", "glue", *words, "--seeds", "2")
    assert result.status == 0, result.err
    return out, result


def test_every_part_with_files_is_scored_as_officially(done):
    out, result = done
    found = json.loads((out / "suite.json").read_text())
    rows = [(row["part"], row["file"], row["metric"]) for row in found["parts"]]
    assert rows == [
        ("CoLA", "dev", "matthews"),
        ("STS-B", "dev", "pearson"),
        ("STS-B", "dev", "spearman"),
        ("MNLI", "matched", "accuracy"),
        ("MNLI", "mismatched", "accuracy"),
    ]
    medians = {row[:3]: fact["median"] for row, fact in zip(rows, found["parts"], strict=True)}
    parts = [
        medians["CoLA", "dev", "matthews"],
        (medians["STS-B", "dev", "pearson"] + medians["STS-B", "dev", "spearman"]) / 2,
        (medians["MNLI", "matched", "accuracy"] + medians["MNLI", "mismatched", "accuracy"]) / 2,
    ]
    assert found["average"] == pytest.approx(sum(parts) / 3)
    assert "3 of the 9 parts, which is not glue's" in found["average_note"]
    for row in found["parts"]:
        assert len(row["scores"]) == 2 and row["num_items"] == 24 and row["mean"]["low"] <= row["mean"]["high"]
        metrics = json.loads((out / row["part"] / "seed-1" / "metrics.json").read_text())
        if row["file"] != "mismatched":
            assert row["scores"][0] == pytest.approx(metrics["test"][row["metric"]])
    missing = "\n".join(found["missing"])
    assert "SST-2/dev.tsv; published at https://" in missing and "CoLA" not in missing
    assert "SST-2" in result.out and (out / "report.html").read_text().count("<svg") == 1


def test_answers_for_the_server(done):
    out, _ = done
    assert sorted(path.name for path in (out / "submission").iterdir()) == ["CoLA.tsv", "MNLI-m.tsv", "STS-B.tsv"]
    cola = [line.split("\t") for line in (out / "submission" / "CoLA.tsv").read_text().splitlines()]
    assert cola[0] == ["index", "prediction"] and [row[0] for row in cola[1:]] == list("0123456")
    assert {row[1] for row in cola[1:]} <= {"0", "1"}
    mnli = (out / "submission" / "MNLI-m.tsv").read_text().splitlines()
    assert len(mnli) == 6 and mnli[1].split("\t")[1] in ("neutral", "entailment", "contradiction")
    assert float((out / "submission" / "STS-B.tsv").read_text().splitlines()[1].split("\t")[1])


def test_the_same_command_continues(world, data, done):
    out, _ = done
    kept = (out / "CoLA" / "seed-1" / "metrics.json").stat().st_mtime_ns
    before = json.loads((out / "suite.json").read_text())["parts"]
    shutil.rmtree(out / "STS-B" / "seed-2")
    again = suite("glue", model=str(world.modern / "model"), data=data, out=out, seeds=2, settings=SETTINGS)
    assert (out / "CoLA" / "seed-1" / "metrics.json").stat().st_mtime_ns == kept
    assert json.loads(json.dumps(again["parts"])) == before


def test_another_request_is_refused(world, data, done, tmp_path):
    out, _ = done
    with pytest.raises(InputError, match="another suite .settings differ"):
        suite("glue", model=str(world.modern / "model"), data=data, out=out, settings=["epochs=2"])
    changed = shutil.copytree(data, tmp_path / "changed")
    with open(changed / "CoLA" / "dev.tsv", "a") as file:
        file.write("gj04\t1\t\tone more\n")
    with pytest.raises(InputError, match="another suite .CoLA differ"):
        suite("glue", model=str(world.modern / "model"), data=changed, out=out, settings=SETTINGS)


def test_a_refused_request_leaves_the_directory_free(world, data, tmp_path):
    for settings in (["epohs=2"], ["batch_sise=2"]):
        with pytest.raises(InputError, match=settings[0].split("=")[0]):
            suite("glue", model=str(world.modern / "model"), data=data, out=tmp_path / "out", settings=settings)


def test_two_models_are_compared_on_the_same_items(world, data, done, tmp_path):
    out, _ = done
    words = ["--model", world.bert / "model", "--data", data, "--seeds", 2, "--against", out, "--json", *SETTINGS]
    result = world.command("suite", "glue", *words, "--out", tmp_path / "theirs")
    assert result.status == 0, result.err
    rows = {(row["part"], row["file"]): row for row in result.json()["against"]}
    assert list(rows) == [
        ("CoLA", "dev"),
        ("STS-B", "dev"),
        ("MNLI", "matched"),
        ("MNLI", "mismatched"),
    ]
    ours = {
        (row["part"], row["file"]): row for row in result.json()["parts"] if row["metric"] in ("accuracy", "matthews")
    }
    theirs = json.loads((out / "suite.json").read_text())["parts"]
    mnli = next(row for row in theirs if row["file"] == "mismatched")["scores"]
    expected = sum(ours["MNLI", "mismatched"]["scores"]) / 2 - sum(mnli) / len(mnli)
    assert rows["MNLI", "mismatched"]["difference"]["estimate"] == pytest.approx(expected)
    assert 0 <= rows["CoLA", "dev"]["mcnemar_p"] <= 1 and rows["STS-B", "dev"]["mcnemar_p"] is None
    with pytest.raises(InputError, match="holds no suite"):
        suite(
            "glue",
            model=str(world.bert / "model"),
            data=data,
            out=tmp_path / "theirs",
            seeds=2,
            against=tmp_path,
            settings=SETTINGS,
        )


def test_parts_that_are_not_compared_are_named(world, data, done, tmp_path):
    other = shutil.copytree(done[0], tmp_path / "other")
    words = ["suite", "glue", "--model", world.modern / "model", "--data", data, "--out", done[0], "--seeds", 2]
    request = load_yaml(other / "suite.yaml")
    request["files"]["CoLA"]["dev"] = "another"
    (other / "suite.yaml").write_text(dump_yaml(request))
    found = world.command(*words, *SETTINGS, "--against", other)
    assert found.status == 0, found.err
    assert "left out, as the other has no scores on the same files: CoLA dev" in found.out.replace("\n", " ")
    shutil.rmtree(other / "STS-B" / "seed-1")
    shutil.rmtree(other / "STS-B" / "seed-2")
    shutil.rmtree(other / "MNLI")
    found = world.command(*words, *SETTINGS, "--against", other)
    assert found.status == 2 and "has no part to compare with this one: no run of it is finished" in found.err
    (other / "suite.yaml").write_text(dump_yaml(request | {"files": {}}))
    found = world.command(*words, *SETTINGS, "--against", other)
    assert found.status == 2 and "has no part to compare with this one: their files differ" in found.err


def test_simple_methods_are_asked_again_where_files_are_others(done, tmp_path):
    (mnli,) = [one for one in find("pretune.evaluate.suites", "suite", "glue").parts if one.name == "MNLI"]
    out = shutil.copytree(done[0], tmp_path / "out")

    def accuracy():
        (found, *_) = [one for one in results(out, [mnli]) if one.file == "mismatched"]
        return found.baselines["majority"]["accuracy"]

    assert accuracy() == pytest.approx(1 / 3)
    for path, label in (("mismatched", "neutral"), ("train", "neutral")):
        file = out / "data" / "MNLI" / f"{path}.jsonl"
        rows = [row | {"label": label} for row in records.read_json_lines(file)]
        if path == "train":
            rows[0]["label"] = "contradiction"
        records.write_text(file, records.json_lines(rows))
        assert accuracy() == (0.0 if path == "mismatched" else 1.0)


def test_nothing_there_says_where_it_is_published(world, tmp_path):
    result = world.command("suite", "glue", "--model", "bert-tiny", "--data", tmp_path, "--out", tmp_path / "out")
    assert result.status == 2 and "MNLI/dev_mismatched.tsv; published at https://" in result.err
    assert (
        "did you mean glue"
        in world.command("suite", "glu", "--model", "x", "--data", tmp_path, "--out", tmp_path / "out").err
    )


def test_bad_files_are_named(tmp_path):
    parts = {part.name: part for part in find("pretune.evaluate.suites", "suite", "glue").parts}
    bad = tmp_path / "bad.tsv"
    for name, text, message in [
        ("CoLA", "gj04\t1\t*\tgood\ngj04\t1\n", "bad.tsv:2: 2 columns where there are 4"),
        ("CoLA", "gj04\t7\t*\tgood\n", "bad.tsv:1: label '7' is none of 0, 1"),
        (
            "RTE",
            "index\tsentence1\tlabel\n0\ta\tb\n",
            "bad.tsv:1: no column sentence2: expected the set as it is published",
        ),
    ]:
        bad.write_text(text)
        with pytest.raises(InputError, match=message):
            parts[name].layout.read(bad, "scored")
    bad.write_text("text\tlabel\nfine\tacceptable\n")  # our own columns
    assert parts["CoLA"].layout.read(bad, "scored")[0]["label"] == "acceptable"


def test_the_average_of_all_parts_is_the_suites():
    glue = find("pretune.evaluate.suites", "suite", "glue")
    names = ["blimp", "conll", "glue", "multi30k", "scitldr", "squad", "sts", "superglue", "swag", "ud"]
    assert list(entries("pretune.evaluate.suites")) == names

    class One:
        def __init__(self, part, file, value):
            self.part, self.file, self.seed = part, file, 1
            self.scores = dict.fromkeys(part.metrics, value)

    runs = [One(part, file, 0.5) for part in glue.parts for file in part.scored]
    runs[0].scores["matthews"] = 0.95
    runs[-1].scores["matthews"] = -1.0  # of the diagnostic set, which does not count
    mean, told = average(glue, runs)
    assert mean == pytest.approx(0.55) and told == "average over all 9 parts of glue (not counted: AX): 0.5500"


def test_conll(world, tmp_path):
    for name, part in [("eng.train", "train"), ("eng.testa", "valid"), ("eng.testb", "test")]:
        text = world.file("tag", part).read_text().replace("\t", " NN O ")
        (tmp_path / name).write_text("-DOCSTART- -X- O O\n\n" + text)
    result = pretune.suite(
        "conll", model=str(world.modern / "model"), data=tmp_path, out=tmp_path / "out", seeds=1, settings=SETTINGS
    )
    (row,) = result["parts"]
    assert (row["part"], row["file"], row["metric"]) == ("CoNLL-2003", "test", "f1")
    assert row["over_seeds"] is False
