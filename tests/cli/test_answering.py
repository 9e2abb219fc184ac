"""Question answering from the command line: SQuAD JSON, JSONL and CSV in, a tuned threshold, JSON lines out."""

import csv
import json
import random

import pytest

from pretune.checkpoint.bundle import Bundle


def questions(number, seed):
    """(context, question, answer or None), a third of them without an answer."""
    rng = random.Random(seed)
    for index in range(number):
        first, second = rng.sample(["kind", "happy", "dear", "cruel", "sad", "dark"], 2)
        context = f"The man was {first}, and her heart is {second}."
        asked, gold = [("what was the man", first), ("what is her heart", second), ("what did the day so", None)][
            index % 3
        ]
        yield context, asked, gold


def squad(rows):
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": f"q{number}",
                    "question": asked,
                    "answers": [] if gold is None else [{"text": gold, "answer_start": context.index(gold)}],
                    "is_impossible": gold is None,
                }
            ],
        }
        for number, (context, asked, gold) in enumerate(rows)
    ]
    return json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answering")
    (folder / "train.json").write_text(squad(questions(36, 1)))
    with (folder / "valid.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["context", "question", "answer", "answer_start"])
        for context, asked, gold in questions(15, 2):
            writer.writerow([context, asked, gold or "", context.index(gold) if gold else ""])
    lines = [
        {
            "passage": context,
            "question": asked,
            "answers": [{"text": gold, "start": context.index(gold)}] if gold else [],
        }
        for context, asked, gold in questions(12, 3)
    ]
    (folder / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "dev.json").write_text(squad(questions(12, 3)))
    return folder


SETTINGS = ["epochs=2", "batch_size=8", "optimizer.lr=1e-3", "max_length=32", "task.stride=8"]


@pytest.fixture(scope="module")
def run(world, files):
    words = [f"--{part}={files / name}" for part, name in (("train", "train.json"), ("valid", "valid.csv"))]
    words += ["--test", files / "dev.json", "--model", world.modern / "model", "--out", files / "run"]
    return world.command("finetune", "answer", *words, *SETTINGS, "--json").json()


def test_finetune_scores_and_says_how(run, files):
    names = {f"{kind}{name}" for kind in ("", "has_answer_", "no_answer_") for name in ("exact_match", "f1")}
    assert run["test"].keys() == run["valid"].keys() == names
    assert run["baselines"]["scores"].keys() == {"no-answer", "sliding-window"}
    assert run["baselines"]["scores"]["no-answer"]["f1"] == pytest.approx(1 / 3)
    assert run["main_metric"] == "f1" and run["interval"]["of"] == "test"
    assert "SQuAD 2.0" in run["score_notes"][0] and "chosen on the validation file" in run["score_notes"][1]
    task = Bundle.load(files / "run/model").manifest["task"]["settings"]
    assert task["no_answer"] is True and isinstance(task["null_threshold"], float) and task["stride"] == 8
    config = json.loads((files / "run/model/config.json").read_text())
    assert config["architectures"] == ["ModernBertForQuestionAnswering"]


def test_evaluate_gives_the_figures_of_the_run_whatever_the_layout(world, run, files):
    model = ["answer", "--model", files / "run/model"]
    found = world.command("evaluate", *model, "--data", files / "dev.json", "--json").json()
    assert found["scores"] == pytest.approx(run["test"], abs=1e-6)
    same = world.command("evaluate", *model, "--data", files / "test.jsonl", "columns.context=passage", "--json").json()
    assert same["scores"] == pytest.approx(run["test"], abs=1e-6)
    always = world.command(
        "evaluate", *model, "--data", files / "dev.json", "task.null_threshold=-1e9", "--json"
    ).json()
    assert always["scores"]["no_answer_f1"] == 1.0 and always["scores"]["has_answer_f1"] == 0.0


def test_predict_in_json_lines(world, run, files):
    model = ["answer", "--model", files / "run/model"]
    lines = world.command("predict", *model, files / "dev.json").lines
    assert [line["id"] for line in lines] == [f"q{number}" for number in range(12)]
    assert all(line.keys() == {"id", "answer", "start", "end", "score", "null_odds"} for line in lines)
    rows = list(questions(12, 3))
    assert all(
        line["answer"] == context[line["start"] : line["end"]]
        for line, (context, _, _) in zip(lines, rows, strict=True)
    )
    row = json.dumps({"context": rows[0][0], "question": rows[0][1]})
    (one,) = world.command("predict", *model, "task.num_best=3", stdin=row).lines
    assert {name: one[name] for name in ("answer", "start")} == {name: lines[0][name] for name in ("answer", "start")}
    scores = [each["score"] for each in one["candidates"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and sum(scores) < 1 + 1e-9
    assert one["score"] == pytest.approx(lines[0]["score"], abs=1e-5)


def test_wrong_requests(world, run, files, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text(squad(questions(3, 3)).replace('"answer_start": 12', '"answer_start": 13'))
    words = ["--model", world.modern / "model", "--out", tmp_path / "run"]
    found = world.command("finetune", "answer", "--train", bad, *words)
    assert found.status == 2 and "bad.json:1: answer not at its offset (question 'q0'" in found.err
    assert "it stands at 12" in found.err
    model = ["--model", files / "run/model"]
    found = world.command("predict", "answer", *model, "task.num_best=0", stdin="{}")
    assert found.status == 2 and "num_best=0" in found.err
    found = world.command("predict", "answer", *model, "task=3", stdin="{}")
    assert found.status == 2 and "task.num_best=3" in found.err
    found = world.command("predict", "answer", *model, stdin='{"context": "a"}')
    assert found.status == 2 and "no 'question'" in found.err
    found = world.command("finetune", "classify", "--train", files / "train.json", *words)
    assert found.status == 2 and "train.json" in found.err
