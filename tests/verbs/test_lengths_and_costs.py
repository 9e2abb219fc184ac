"""What a fine-tuned model is scored at is the same in `finetune`, `evaluate` and `predict`, and what is cut is told."""

import subprocess

import pytest

from pretune.train.energy import average_watts
from pretune.verbs.evaluate import evaluate
from pretune.verbs.finetune import finetune
from pretune.verbs.pretrained import load
from pretune.verbs.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rows = [
        (f"{'good' if n % 2 else 'bad'} film " * (1 + 9 * (n % 3 == 0)), "yes" if n % 2 else "no") for n in range(24)
    ]
    (folder / "rows.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    train_tokenizer([folder / "rows.tsv"], vocab_size=60, out=folder / "tokenizer")
    metrics = finetune(
        "classify",
        model="bert-tiny",
        tokenizer=folder / "tokenizer",
        train=folder / "rows.tsv",
        test=folder / "rows.tsv",
        out=folder / "out",
        settings={"steps": 4, "max_length": 8, "optimizer": {"lr": 1e-3}},
    )
    return folder, metrics


def test_evaluate_repeats_the_scores_of_the_run(run):
    folder, metrics = run
    found = evaluate("classify", model=str(folder / "out" / "model"), data=folder / "rows.tsv")
    assert found["scores"] == metrics["test"]
    assert found["truncated"] == metrics["truncated_when_scored"]["test"] == 8
    assert "8 of 24 test texts were longer than max_length" in metrics["text"]


def test_evaluate_repeats_the_validation_scores_of_values_too(run, tmp_path):
    """`regress` folds its scale into the head at the end: scores are those of the model that is saved."""
    folder, _ = run
    words = ["good", "bad", "film", "good film", "bad film", "film good bad", "bad bad", "good good film"]
    rows = [(words[n % 8] + " film" * (n % 5), 1000 + 0.37 * (n * 7 % 11)) for n in range(40)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{value}\n" for text, value in rows))
    files = {"train": tmp_path / "rows.tsv", "valid": tmp_path / "rows.tsv", "out": tmp_path / "out"}
    settings = {"steps": 3, "max_length": 16, "optimizer": {"lr": 1e-3}}
    metrics = finetune("regress", model="bert-tiny", tokenizer=folder / "tokenizer", settings=settings, **files)
    found = evaluate("regress", model=str(tmp_path / "out" / "model"), data=tmp_path / "rows.tsv")
    assert found["scores"] == metrics["valid"]


def test_predict_says_what_it_cut(run, capsys):
    folder, _ = run
    model = load(folder / "out" / "model")
    assert model.predict(["good film " * 20])[0]["label"] in ("yes", "no")
    assert "1 of 1 texts were longer than 8 tokens and were cut" in capsys.readouterr().err


def test_the_card_counts_tokens_and_names_no_base_model_for_fresh_weights(run):
    folder, metrics = run
    card = (folder / "out" / "card.md").read_text()
    assert f"real tokens: {metrics['tokens']:,}" in card
    assert "bert-tiny, with fresh weights" in card
    assert "base_model" not in card
    assert "f1 is of the class 'yes'" in card


def test_watts_are_given_guessed_or_the_gpus_own(monkeypatch):
    told = subprocess.CompletedProcess([], 0, "700.00\n", "")
    monkeypatch.setattr(subprocess, "run", lambda query, **_: told if "--id=1" in query else 1 / 0)
    assert average_watts(90, "cuda") == (90, "the setting `watts`")
    assert average_watts(None, "cuda:1")[0] == 700
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("nvidia-smi")))
    assert average_watts(None, "cuda") == (300.0, "a guess for a GPU: give yours with watts=...")
