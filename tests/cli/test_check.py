"""`pretune check` and the check inside `finetune`: what they say, their exit statuses, what a run refuses and tells."""

import json
import random
import re

import pytest

import pretune
from pretune.core.errors import InputError

WORDS = ("the", "man", "was", "kind", "his", "house", "dark", "day", "happy", "heart", "sad", "new", "green", "river")


def texts(number, seed=1):
    """Different texts, the same for a seed."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.choice(WORDS) for _ in range(7))} {seed} {row}" for row in range(number)]


def write(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    return path


def labelled(number, seed=1):
    return [(text, ("good", "bad")[row % 2]) for row, text in enumerate(texts(number, seed))]


@pytest.fixture
def clean(tmp_path):
    return [write(tmp_path / f"{part}.csv", labelled(60, seed)) for seed, part in enumerate(("train", "valid", "test"))]


def test_clean_files_are_status_0(world, clean):
    train, valid, test = clean
    result = world.command("check", train, "--task", "classify", "--valid", valid, "--test", test)
    assert (result.status, result.err) == (0, "")
    assert "nothing to remark on" in result.out and re.search(r"good +30 +0\.500", result.out)


def test_remarks_alone_are_status_0(world, clean):
    write(clean[0], [*labelled(60), labelled(60)[0]])
    result = world.command("check", clean[0])
    assert result.status == 0 and "remarks (1)" in result.out and "the same as an earlier one" in result.out


def test_leakage_and_label_noise_are_status_1_and_named_by_line(world, tmp_path, clean):
    rows = labelled(60)
    noisy = write(tmp_path / "noisy.csv", [*rows, (rows[3][0], "good")])
    result = world.command("check", noisy, "--test", clean[2], "--json")
    found = json.loads(result.out)
    assert (result.status, found["worst"]) == (1, "warning")
    (noise,) = [one for one in found["findings"] if one["kind"] == "label noise"]
    assert noise["places"] == [f"{noisy}:62 and {noisy}:5"]
    leaking = write(tmp_path / "leaking.csv", [*labelled(60, 9)[:50], *rows[:10]])
    result = world.command("check", write(clean[0], rows), "--task", "classify", "--test", leaking)
    assert result.status == 1
    assert "errors (1)" in result.out and "10 of 60 (17 %) rows are in the training data (10 exactly" in result.out
    assert f"{leaking}:52 and {clean[0]}:2" in result.out


def test_every_line_that_cannot_be_read_is_named(world, tmp_path):
    lines = [json.dumps({"text": text, "label": label}).encode() for text, label in labelled(30)]
    lines[4], lines[9], lines[14], lines[19] = b'{"text": ', b"\xff\xfe", b'{"text": "a\\u0000b", "label": "x"}', b"[1]"
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    result = world.command("check", path, "--json")
    found = json.loads(result.out)
    assert (result.status, found["files"][0]["rows"], found["files"][0]["unreadable"]) == (1, 26, 4)
    named = {place.split(":")[1] for one in found["findings"] for place in one["places"] if one["severity"] == "error"}
    assert named == {"5", "10", "15", "20"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["{tmp}/nothere.csv"], "no such file"),
        (["{tmp}/ok.csv", "--task", "clasify"], "did you mean classify"),
        (["{tmp}/ok.csv", "columns.text=sentence"], "no column 'sentence'"),
        (["{tmp}/ok.csv", "colour=red"], "unknown"),
        (["{tmp}/ok.csv", "--max-length", "0"], "max_length=0"),
        (["{tmp}/empty.csv"], "no row can be read"),
        (["{tmp}/other.csv"], "name the column"),
        (["columns.text=sentence"], "no file to check"),
    ],
)
def test_wrong_requests_are_status_2(world, tmp_path, words, part):
    write(tmp_path / "ok.csv", labelled(4))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("sentence,score\na b,1\n")
    result = world.command("check", *(word.format(tmp=tmp_path) for word in words))
    assert result.status == 2 and part in result.err


@pytest.mark.parametrize("task", ["classify", "pair", "regress", "tag"])
def test_every_task_is_checked_with_and_without_its_name(world, task):
    words = [
        "check",
        world.file(task),
        "--valid",
        world.file(task, "valid"),
        "--test",
        world.file(task, "test"),
        "--json",
    ]
    for more in ([], ["--task", task]):
        found = json.loads(world.command(*words, *more).out)
        assert [file["rows"] for file in found["files"]] == [40, 16, 16]
        assert bool(found["files"][0]["labels"]) == (task != "regress")
        assert not [one for one in found["findings"] if one["severity"] == "error"]


def test_the_models_tokenizer_says_what_is_cut_and_what_is_unknown(world, tmp_path):
    rows = [("the man was kind and so on and on", "good"), ("a day ☃", "bad")] * 10
    path = write(tmp_path / "rows.csv", [(f"{text} {n}", label) for n, (text, label) in enumerate(rows)])
    words = ["check", path, "--task", "classify", "--model", world.modern / "model", "--json"]
    found = json.loads(world.command(*words, "--max-length", 8).out)
    pieces = found["files"][0]["pieces"]
    assert (pieces["of"], pieces["max_length"], pieces["cut"]) == ("model", 8, 0.5)
    assert pieces["unknown"] == ["'☃'"] and 0.01 < pieces["unknown_rate"] < 0.1
    assert {one["kind"] for one in found["findings"]} >= {"truncation", "unknown pieces"}
    assert json.loads(world.command(*words, "--max-length", 64).out)["files"][0]["pieces"]["cut"] == 0
    assert world.command(*words, "--max-length", 4096).status == 2


def test_tagging_cuts_nothing(world):
    words = [
        "check",
        world.file("tag"),
        "--task",
        "tag",
        "--model",
        world.modern / "model",
        "--max-length",
        8,
        "--json",
    ]
    assert json.loads(world.command(*words).out)["files"][0]["pieces"]["cut"] == 0


def finetune(world, out, files, *words):
    names = ("--train", "--valid", "--test")
    given = [word for pair in zip(names, files, strict=True) for word in pair]
    model = ["--model", world.modern / "model", "--out", out, "steps=2"]
    return world.command("finetune", "classify", *model, *given, *words, "--json")


def test_finetune_refuses_a_leaking_test_file_unless_told_to_warn(world, clean, tmp_path):
    train, valid, test = clean
    write(test, [*labelled(40, 7), *labelled(60, 0)[:20]])
    refused = finetune(world, tmp_path / "run", clean)
    assert refused.status == 2 and "check=warn" in refused.err
    assert "20 of 60 (33 %) rows are in the training data" in refused.err and f"{test}:42 and {train}:2" in refused.err
    assert not (tmp_path / "run" / "model").exists()
    metrics = finetune(world, tmp_path / "run", clean, "check=warn").json()
    assert any("20 of 60 (33 %) rows are in the training data" in note for note in metrics["notes"])
    assert metrics["check"][0]["kind"] == "leakage"
    same = next(one for one in metrics["slices"] if one["slice"] == "the same row")
    assert same["examples"] == 20 and "low" in same
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for heading in ("Confusion matrix", "Calibration", "Slices", "By label", "Check of the files", "About the data"):
        assert f"<h2>{heading}</h2>" in page
    assert "20 of 60 (33 %) rows are in the training data" in page
    assert {"expected_calibration_error", "brier"} <= metrics["calibration"].keys()


def test_finetune_warns_of_a_few_leaked_rows_and_goes_on(world, clean, tmp_path):
    write(clean[2], [*labelled(57, 7), *labelled(60, 0)[:3]])
    metrics = finetune(world, tmp_path / "run", clean).json()
    assert any("3 of 60 (5 %) rows are in the training data" in note for note in metrics["notes"])
    assert "3 of 60 (5 %)" in metrics["text"]


def test_finetune_refuses_two_spellings_of_a_label(world, clean, tmp_path):
    rows = [(text, "Good" if row == 8 else label) for row, (text, label) in enumerate(labelled(60, 0))]
    write(clean[0], rows)
    refused = finetune(world, tmp_path / "run", clean)
    assert refused.status == 2 and "'Good' (1)" in refused.err and f"{clean[0]}:10" in refused.err


def test_check_skip_looks_at_nothing(world, clean, tmp_path):
    write(clean[2], labelled(60, 0))
    metrics = finetune(world, tmp_path / "run", clean, "check=skip").json()
    assert metrics["check"] == [] and metrics["notes"] == []


def test_without_a_model_lengths_are_estimated_and_nothing_is_said_to_be_cut(world, tmp_path):
    path = write(tmp_path / "long.csv", [(f"{text} and so on" * 9, label) for text, label in labelled(20)])
    result = world.command("check", path, "--max-length", 32, "--json")
    found = json.loads(result.out)
    pieces = found["files"][0]["pieces"]
    assert (result.status, pieces["of"], pieces["longer"], pieces["cut"]) == (0, "estimate", 1.0, None)
    assert [one["kind"] for one in found["findings"]] == ["long texts"]


def test_from_python(clean):
    found = pretune.check(clean[0], task="classify", test=clean[2])
    assert found["worst"] == "clean" and len(found["files"]) == 2
    with pytest.raises(InputError, match="no such file"):
        pretune.check([clean[0], "nothere.csv"])


@pytest.mark.slow
def test_a_hundred_thousand_rows(world, tmp_path):
    """Seconds, and memory of the order of the rows themselves; the figure is for the log, the bound a wide one."""
    import resource
    import time

    path = write(tmp_path / "many.csv", labelled(100_000))
    started = time.monotonic()
    result = world.command("check", path, "--task", "classify", "--model", world.modern / "model", "--json")
    seconds = time.monotonic() - started
    assert json.loads(result.out)["files"][0]["rows"] == 100_000
    print(f"{seconds:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    assert seconds < 60
