"""Multiple choice, several labels, windows and poolings from the command line, from files to predictions."""

import json

import pytest


def sentences(number, seed=0):
    words = [("kind", "happy", "dear"), ("cruel", "sad", "dark")]
    return [(f"the man was {words[(n + seed) % 2][n % 3]} and a day so new {n}", (n + seed) % 2) for n in range(number)]


def write_choices(path, number, layout="plain"):
    with open(path, "w", encoding="utf-8") as file:
        for n, (text, label) in enumerate(sentences(number)):
            choices = ["he is good", "he is bad", "nobody knows"][: 2 + n % 2]
            row = {"text": text, "choices": choices, "label": label}
            if layout == "copa":
                row = {"premise": text, "choice1": "he is good", "choice2": "he is bad", "question": "effect"}
                row |= {"label": label}
            file.write(json.dumps(row) + "\n")
    return path


def finetune(world, task, out, train, test, *words):
    files = ["--train", train, "--valid", test, "--test", test, "--out", out]
    settings = ["epochs=2", "batch_size=8", "optimizer.lr=1e-3"]
    return world.command("finetune", task, "--model", world.bert / "model", *files, *settings, *words, "--json")


@pytest.mark.parametrize("layout", ["plain", "copa"])
def test_choose(world, layout, tmp_path):
    train, test = write_choices(tmp_path / "a.jsonl", 24, layout), write_choices(tmp_path / "b.jsonl", 10, layout)
    metrics = finetune(world, "choose", tmp_path / "run", train, test, "check=warn").json()
    assert set(metrics["baselines"]["scores"]) == {"majority", "longest", "overlap"}
    assert metrics["main_metric"] == "accuracy" and metrics["interval"]["low"] <= metrics["test"]["accuracy"]
    assert any(f"read as the layout {layout}" in note for note in metrics["notes"])
    model = ["--model", tmp_path / "run/model"]
    scored = world.command("evaluate", "choose", *model, "--data", test, "--json").json()
    assert scored["scores"] == pytest.approx(metrics["test"])
    lines = world.command("predict", "choose", *model, test).lines
    assert [set(line) for line in lines] == [{"choice", "text", "score", "scores"}] * 10
    assert {len(line["scores"]) for line in lines} == ({2} if layout == "copa" else {2, 3})
    config = json.loads((tmp_path / "run/model/config.json").read_text())
    assert config["architectures"] == ["BertForMultipleChoice"]


def test_a_wrong_choice_names_its_line(world, tmp_path):
    path = write_choices(tmp_path / "a.jsonl", 4)
    path.write_text(path.read_text() + '{"text": "a", "choices": ["b", "c"], "label": 2}\n')
    result = finetune(world, "choose", tmp_path / "run", path, path)
    assert result.status == 2 and f"{path}:5: label 2 is no index of 2 choices" in result.err


def test_several_labels_in_windows_with_a_pooling_of_our_own(world, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [f"{text} {text},{'good;short' if label else 'bad'}\n" for text, label in sentences(24)]
    path.write_text("text,label\n" + "".join(rows))
    words = ["task.multi_label=true", "task.separator=;", "task.windows=mean", "task.stride=8", "task.pooling=concat"]
    words += ["task.class_weights=balanced", "max_length=16", "check=warn"]
    metrics = finetune(world, "classify", tmp_path / "run", path, path, *words).json()
    assert set(metrics["test"]) == {"micro_f1", "macro_f1", "subset_accuracy"}
    assert metrics["truncated"] == 0
    assert any(note.startswith("transformers opens this model as BertModel") for note in metrics["notes"])
    folder = tmp_path / "run/model"
    told = json.loads((folder / "pretune.json").read_text())
    assert "leaves out its sequence head" in told["transformers"] and "concat pooling" in told["transformers"]
    assert told["task"]["settings"]["class_weights"] == {"bad": 1.0, "good": 1.0, "short": 1.0}
    model = ["--model", folder]
    scored = world.command("evaluate", "classify", *model, "--data", path, "--json").json()
    assert scored["scores"] == pytest.approx(metrics["test"])
    (line,) = world.command("predict", "classify", *model, stdin="the man was kind\n").lines
    assert set(line) == {"labels", "scores"} and set(line["scores"]) == {"good", "bad", "short"}
    assert all(set(one) == {"label", "score"} and one["score"] >= 0.5 for one in line["labels"])
    everything = ["evaluate", "classify", *model, "--data", path, "--json", "task.threshold=0.001"]
    assert world.command(*everything).json()["scores"]["subset_accuracy"] == 0.0
    other = world.command("evaluate", "classify", *model, "--data", path, "task.pooling=max")
    assert other.status == 2 and "pools by concat" in other.err
