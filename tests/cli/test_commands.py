"""Every command, through the same entry as the console script: results, exit statuses, what is on which stream."""

import html.parser
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

PRETRAINING = {
    *("recipe", "seed", "steps", "tokens", "seconds", "tokens_per_second", "mfu", "padding_saved", "loss"),
    *("unigram_entropy", "valid_perplexity", "parameters", "energy_kwh", "co2_kg"),
}
FINETUNING = {
    *("task", "model", "seed", "valid", "test", "seconds", "examples_per_second", "parameters"),
    "trainable_parameters",
}


@pytest.mark.parametrize(
    "code", ["import pretune", "import sys; sys.argv = ['pretune', '{}']; import pretune.cli.main"]
)
def test_nothing_imports_torch_before_a_verb_runs(code):
    done = subprocess.run([sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"])
    assert done.returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["pretrain", "--help"], ["settings", "finetune"], ["recipes"]])
def test_help_settings_and_lists_import_no_torch(words):
    code = f"""
import sys
sys.argv = ['pretune', *{words}]
from pretune.cli.main import run
try:
    run()
except SystemExit as end:
    assert not end.code
assert 'torch' not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_run_directory_of_pretraining(world):
    for run, recipe, steps in ((world.modern, "modern-tiny", 20), (world.bert, "bert-tiny", 10)):
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics.keys() >= PRETRAINING
        assert metrics["loss"].keys() >= {"train", "valid"}
        assert (metrics["recipe"], metrics["steps"], metrics["seed"]) == (recipe, steps, 1)
        facts = yaml.safe_load((run / "run.yaml").read_text())
        assert facts.keys() >= {"verb", "command", "recipe", "corpus", "tokenizer", "settings", "environment"}
        assert facts["settings"]["optimizer"]["lr"] > 0 and facts["environment"]["torch"]
        assert len(facts["corpus"]["fingerprint"]) == 64
        check_pages(run)
    assert metrics["loss"].keys() == {"train", "valid", "valid_lm", "valid_next_sentence"}
    assert np.isclose(metrics["loss"]["valid"], metrics["loss"]["valid_lm"] + metrics["loss"]["valid_next_sentence"])


def check_pages(run):
    html.parser.HTMLParser().feed((run / "report.html").read_text("utf-8"))
    _, front, body = (run / "card.md").read_text("utf-8").split("---\n", 2)
    assert yaml.safe_load(front)
    assert "pretune" in body
    assert all(json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines())


def test_corpus_verify(world):
    assert world.command("corpus", "verify", world.corpus, "--json").json()["splits"]


@pytest.mark.parametrize("task", ["classify", "pair", "regress", "tag"])
def test_finetune_evaluate_predict(world, task, tmp_path):
    result = world.finetune(task, tmp_path / "run", "--json")
    metrics = result.json()
    assert metrics.keys() >= FINETUNING
    on_disk = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert on_disk == {key: value for key, value in metrics.items() if key != "text"}
    assert metrics["valid"] and metrics["test"] and metrics["baselines"]["scores"]
    facts = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert set(facts["data"]) == {"train", "valid", "test"}
    assert all(len(one["sha256"]) == 64 for one in facts["data"].values())
    check_pages(tmp_path / "run")
    model = ["--model", tmp_path / "run" / "model"]
    scored = world.command("evaluate", task, *model, "--data", world.file(task, "test"), "--json").json()
    assert scored["scores"] == pytest.approx(metrics["test"], abs=1e-6)
    assert len(world.command("predict", task, *model, world.file(task, "test")).lines) == 16
    again = world.finetune(task, tmp_path / "run", "--json")
    assert "complete" in again.err
    assert again.json()["test"] == metrics["test"]


def test_predict_from_standard_input(world, tmp_path):
    world.finetune("pair", tmp_path / "pair")
    row = json.dumps({"text": "a day", "text_b": "a"})
    (one,) = world.command("predict", "pair", "--model", tmp_path / "pair/model", stdin=row + "\n\n").lines
    assert set(one["scores"]) == {"false", "true"}
    world.finetune("classify", tmp_path / "classify")
    model = ["classify", "--model", tmp_path / "classify/model"]
    lines = world.command("predict", *model, stdin="a good day\n\nthe sad man\n").lines
    assert len(lines) == 3 and {one["label"] for one in lines} <= {"good", "bad"}
    renamed = world.command("predict", *model, "columns.text=t", stdin='{"t": "a good day"}').lines
    assert renamed[0]["scores"] == pytest.approx(lines[0]["scores"], abs=1e-5)


def test_fill_and_embed(world, tmp_path):
    model = ["--model", world.modern / "model"]
    one, two = world.command("fill", *model, "--top-k", 2, stdin="a [MASK] day\n[MASK] and [MASK]\n").lines
    assert [set(found) for found in one] == [{"token", "score", "sequence"}] * 2
    assert [len(found) for found in two] == [2, 2]
    vectors = world.command("embed", *model, stdin="a day\n\na longer day than that\n").lines
    assert np.shape(vectors) == (3, 128)
    texts = tmp_path / "texts.txt"
    texts.write_text("a day\n\na longer day than that\n")
    assert world.command("embed", *model, texts, "--out", tmp_path / "v.npy").out == ""
    assert np.allclose(np.load(tmp_path / "v.npy"), vectors, atol=1e-6)
    texts.write_text("word " * 2000)
    assert world.command("embed", *model, texts).status == 2
    assert len(world.command("embed", *model, "--truncate", texts).lines) == 1


@pytest.mark.parametrize("kind", ["objectives", "families", "tasks"])
def test_lists(world, kind):
    found = world.command(kind, "--json").json()
    assert found and all(found.values())
    assert len(world.command(kind).out.splitlines()) == len(found)


@pytest.mark.parametrize("verb", ["pretrain", "finetune", "evaluate"])
def test_settings_are_listed_and_described(world, verb):
    found = world.command("settings", verb, "--json").json()
    assert [key for key, one in found.items() if not one["description"]] == []


def test_config_reproduces_a_run(world, tmp_path):
    words = ["--corpus", world.corpus, "--config", world.bert / "run.yaml", "--out", tmp_path / "run"]
    again = world.command("pretrain", *words, "--json").json()
    first = json.loads((world.bert / "metrics.json").read_text())
    assert again["recipe"] == "bert-tiny"
    assert again["loss"] == first["loss"]


def test_pretraining_goes_on_from_a_model(world, tmp_path):
    words = ["--corpus", world.corpus, "--init", world.modern / "model", "--out", tmp_path / "run", *("steps=3",)]
    found = world.command("pretrain", "modern-tiny", *words, "valid_samples=20", "optimizer.lr=1e-5", "--json").json()
    before = json.loads((world.modern / "metrics.json").read_text())["loss"]["valid"]
    assert found["loss"]["valid"] == pytest.approx(before, abs=0.15)
    other = world.command("pretrain", "modern-tiny", *words[:2], *words[4:], "valid_samples=20", "optimizer.lr=1e-5")
    assert other.status == 2 and "init was" in other.err


def test_finetune_a_preset(world, tmp_path):
    words = ["--model", "bert-tiny", "--tokenizer", world.tokenizer, "--train", world.file("classify")]
    assert world.command("finetune", "classify", *words, "--out", tmp_path / "run", "steps=1").status == 0
    shaped = ["--out", tmp_path / "deep", "steps=1", "model.num_layers=3", "model.attention.num_heads=4"]
    assert world.command("finetune", "classify", *words, *shaped).status == 0
    config = json.loads((tmp_path / "deep/model/config.json").read_text())
    assert (config["num_hidden_layers"], config["num_attention_heads"]) == (3, 4)
    wrong = world.command("finetune", "classify", *words, "--out", tmp_path / "other", "steps=1", "model.num_layer=3")
    assert wrong.status == 2 and "num_layer" in wrong.err
    words[1] = world.modern / "model"
    fixed = world.command("finetune", "classify", *words[:2], *words[4:], *shaped[:2], "model.num_layers=3")
    assert fixed.status == 2 and "has its own shape" in fixed.err
