"""Tasks whose answer a model writes, and perplexity, from the command line."""

import json

import pytest

WORDS = {"kind": "good", "happy": "good", "cruel": "bad", "sad": "bad"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What a text says of a man, in a sentence: JSONL with several references for the test."""
    root = tmp_path_factory.mktemp("written")
    for part, number in (("train", 24), ("valid", 8), ("test", 8)):
        rows = []
        for row in range(number):
            word = list(WORDS)[row % 4]
            answer = f"he was a {WORDS[word]} man"
            target = [answer, f"he was {WORDS[word]}"] if part == "test" else answer
            rows.append({"long": f"number {row}{part} : the man was {word} and old", "short": target})
        (root / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return root


def finetune(world, files, task, out, *words):
    given = [word for part in ("train", "valid", "test") for word in (f"--{part}", files / f"{part}.jsonl")]
    model = ["--model", "gpt2-tiny", "--tokenizer", world.tokenizer]
    columns = ["columns.source=long", "columns.target=short", "check=warn"]
    settings = ["epochs=1", "batch_size=8", "max_length=64", "task.max_target=12", "optimizer.lr=1e-3"]
    return world.command("finetune", task, *model, *given, "--out", out, *columns, *settings, *words)


@pytest.mark.parametrize(("task", "metric"), [("summarise", "rouge1"), ("text-to-text", "exact_match")])
def test_finetune_evaluate_and_predict(world, files, tmp_path, task, metric):
    done = finetune(world, files, task, tmp_path / "run", "--json")
    found = done.json()
    assert "head" not in done.err  # the language model's goes on training, of course
    assert found["main_metric"] == metric and found["test"].keys() >= {metric, "repetition", "unfinished"}
    assert set(found["baselines"]["scores"]) >= {"nearest-source"}
    assert "What the model wrote" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert ("written" in found) == (task == "summarise")  # the others are labels
    named = ["--model", tmp_path / "run" / "model", "--data", files / "test.jsonl"]
    columns = ["columns.source=long", "columns.target=short"]
    again = world.command("evaluate", task, *named, *columns, "--train", files / "train.jsonl", "--json").json()
    assert again["scores"] == pytest.approx(found["test"]) and again.get("written") == found.get("written")
    several = world.command("evaluate", task, *named, "--model", tmp_path / "run" / "model", *columns)
    assert several.status == 2 and "nothing that models could average" in several.err
    if task == "summarise":
        assert any("novelty: " in note for note in found["notes"])
        beams = world.command("evaluate", task, *named, *columns, "task.generate.num_beams=2", "--json").json()
        assert any("num_beams=2" in note for note in beams["score_notes"])
    lines = world.command("predict", task, "--model", tmp_path / "run" / "model", stdin="the man was sad\n").lines
    assert list(lines[0]) == ["target", "unfinished"]


def test_settings_of_writing_are_checked_before_the_run(world, files, tmp_path):
    done = finetune(world, files, "summarise", tmp_path / "run", "task.generate.num_bems=2")
    assert done.status == 2 and "num_beams" in done.err
    done = finetune(world, files, "summarise", tmp_path / "run", "adapt=frozen")  # its matrix is the embeddings'
    assert done.status == 2 and "no weights of its own: use adapt=full" in done.err
    done = world.command("evaluate", "classify", "--model", world.modern / "model", "--data", files / "test.jsonl")
    assert done.status == 2


def test_a_language_model_is_scored_as_it_was_pretrained(world, tmp_path):
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"text": "It was the best of times , it was the worst of times . " * 6}) + "\n", "utf-8")
    out = tmp_path / "gpt2"
    steps = ["steps=2", "batch_size=4", "valid_samples=4", "max_length=64"]
    assert world.command("pretrain", "gpt2-tiny", "--corpus", world.corpus, "--out", out, *steps).status == 0
    named = ["--model", out / "model", "--data", text, "--json"]
    found = world.command("evaluate", "language-modelling", *named).json()
    short = world.command("evaluate", "language-modelling", *named, "max_length=16", "task.stride=4").json()
    assert 1 < found["scores"]["bits_per_byte"] < 8 and 20 < found["scores"]["perplexity"] < 5000
    assert short["scores"]["perplexity"] != found["scores"]["perplexity"]
    refused = world.command("evaluate", "language-modelling", "--model", world.bert / "model", "--data", text)
    assert refused.status == 2 and "reads both sides" in refused.err
    refused = world.command("evaluate", "language-modelling", *named, "--train", text)
    assert refused.status == 2 and "leave it out" in refused.err
