"""Encoder-decoders on labelled files: a class is read at the decoder's last row, and transformers says the same."""

import csv

import numpy as np
import pytest
import torch
import transformers

import pretune


def finetune(world, model, task, out, *words):
    files = [word for part in ("train", "valid") for word in (f"--{part}", world.file("classify", part))]
    fresh = ["--model", model, "--tokenizer", world.tokenizer]
    settings = ["batch_size=8", "optimizer.lr=1e-3", "max_length=48"]
    return world.command("finetune", task, *fresh, *files, "--out", out, *settings, *words)


@pytest.mark.parametrize("model", ["bart-tiny", "t5-tiny"])
def test_classes_are_those_of_transformers(world, tmp_path, model):
    done = finetune(world, model, "classify", tmp_path / "run", "epochs=2")
    assert done.status == 0, done.err
    folder = tmp_path / "run" / "model"
    with open(world.file("classify", "valid"), encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    ours = [list(one["scores"].values()) for one in pretune.load(folder).predict(texts)]
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, scores in zip(texts, ours, strict=True):
        with torch.no_grad():
            logits = theirs(**tokenizer(text, return_tensors="pt")).logits[0]
        assert np.allclose(scores, logits.softmax(-1), atol=2e-5)
    assert np.ptp([row[0] for row in ours]) > 1e-4  # they differ between texts


@pytest.mark.parametrize("model", [pytest.param("bart-tiny", marks=pytest.mark.slow), "t5-tiny"])
def test_the_same_labels_as_text(world, tmp_path, model):
    columns = ["columns.source=text", "columns.target=label", "task.prefix=mood: ", "task.max_target=6"]
    done = finetune(world, model, "text-to-text", tmp_path / "run", "epochs=6", *columns, "--json")
    found = done.json()
    assert found["valid"]["known"] == 1.0, found["valid"]  # it learnt to write nothing but labels
    assert found["valid"]["exact_match"] > 0.3 and found["valid"]["unfinished"] == 0.0
    closed = world.command(
        "evaluate",
        "text-to-text",
        "--model",
        tmp_path / "run" / "model",
        "--data",
        world.file("classify", "valid"),
        *columns[:2],
        "task.closed=true",
        "--json",
    ).json()
    assert closed["scores"]["known"] == 1.0
