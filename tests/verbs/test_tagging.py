"""tag from the command line: IOB1 files, a CRF, raw text; what transformers and its pipelines make of the models."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
import transformers

import pretune
from pretune.metrics.spans import spans

NAMES = {"PER": ["anna", "bob", "john smith", "mary jane"], "LOC": ["paris", "rome", "new york"]}
TEXT = "The man (John Smith) saw Anna in  New York."


def sentence(rng):
    """Words and IOB1 tags; names of one type follow each other, so that B- occurs."""
    rows = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(sorted(NAMES))
        rows += [(word, "O") for word in rng.choice([["the", "man"], ["saw"], ["in"], ["(", "."]])]
        for number in range(rng.randint(1, 2)):
            words = rng.choice(NAMES[kind]).split()
            rows += [(word, f"{'B' if number and not at else 'I'}-{kind}") for at, word in enumerate(words)]
    return rows


def finetuned(world, root, name, *settings):
    rng = random.Random(0)
    files = []
    for part, number in (("train", 60), ("test", 20)):
        path = root / f"{part}.conll"
        path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in sentence(rng)) for _ in range(number)), "utf-8")
        files += [f"--{part}", path]
    start = ["--model", "bert-tiny", "--tokenizer", world.tokenizer]
    sizes = ["epochs=8", "batch_size=8", "optimizer.lr=1e-3"]
    result = world.command("finetune", "tag", *start, *files, "--out", root / name, *sizes, *settings)
    assert result.status == 0, result.err
    return root / name


@pytest.fixture(scope="module")
def crf(world, tmp_path_factory):
    settings = ["task.crf=true", "task.train_scheme=bioes", "task.decoding=constrained"]
    return finetuned(world, tmp_path_factory.mktemp("tagging"), "crf", *settings)


@pytest.fixture(scope="module")
def plain(world, tmp_path_factory):
    return finetuned(world, tmp_path_factory.mktemp("tagging"), "plain")


def test_a_crf_on_iob1_files_from_the_command_line(world, crf):
    metrics = json.loads((crf / "metrics.json").read_text())
    assert metrics["test"]["f1"] > 0.9 > metrics["baselines"]["scores"]["most-frequent-tag"]["f1"]
    assert "the model's own labels are bioes, predictions are given in iob1" in metrics["score_notes"]
    assert any(note.startswith("transformers opens this model") for note in metrics["notes"])
    data = crf.parent / "test.conll"
    again = world.command("evaluate", "tag", "--model", crf / "model", "--data", data, "--json").json()
    assert again["scores"] == pytest.approx(metrics["test"])
    found = world.command("predict", "tag", "--model", crf / "model", data).lines
    words = [line.split("\t") for line in data.read_text().split("\n\n")[0].splitlines()]
    assert [word["word"] for word in found[0]] == [word for word, _ in words]
    assert {word["entity"][0] for sentence in found for word in sentence} <= set("IOB")
    right = sum(a["entity"] == b for a, (_, b) in zip(found[0], words, strict=True))
    assert right >= 0.5 * len(words)
    without = ["task.crf=false", "task.decoding=free", "--json"]
    assert world.command("evaluate", "tag", "--model", crf / "model", "--data", data, *without).json()["scores"]


def test_raw_text_has_places_and_entities(world, crf, tmp_path):
    (tmp_path / "in.txt").write_text(TEXT + "\nParis\n", "utf-8")
    words, second = world.command("predict", "tag", "--model", crf / "model", tmp_path / "in.txt").lines
    for word in words:
        assert word.keys() == {"word", "entity", "score", "start", "end"} and 0 < word["score"] <= 1
        assert TEXT[word["start"] : word["end"]] == word["word"]
    cut = ["The", "man", "(", "John", "Smith", ")", "saw", "Anna", "in", "New", "York", "."]
    assert [word["word"] for word in words] == cut
    assert [word["word"] for word in second] == ["Paris"]
    line = world.command("predict", "tag", "--model", crf / "model", tmp_path / "in.txt", "task.output=entities").lines[
        0
    ]
    assert [(each["start"], each["end"]) for each in line] == [
        (words[first]["start"], words[end - 1]["end"]) for _, first, end in spans([word["entity"] for word in words])
    ]
    assert all(TEXT[each["start"] : each["end"]] == each["word"] for each in line)
    ours = pretune.load(crf / "model")
    assert ours.predict([TEXT])[0] == [word | {"score": pytest.approx(word["score"], abs=1e-6)} for word in words]
    (shown,) = ours.predict([TEXT], output="entities")
    assert shown == [each | {"score": pytest.approx(each["score"], abs=1e-6)} for each in line]
    assert ours.predict([cut], output="entities")[0][0]["word"] == line[0]["word"]
    with pytest.raises(pretune.InputError, match="unknown setting of the task tag"):
        ours.predict([TEXT], aggregate=True)


def test_a_model_with_a_crf_loads_here_whole_and_in_transformers_as_it_says(crf, tmp_path):
    manifest = json.loads((crf / "model" / "pretune.json").read_text())
    assert "leaves out its CRF (pretune.crf.transitions" in manifest["transformers"]
    ours = pretune.load(crf / "model")
    transitions = ours.model.heads["crf"].transitions
    assert transitions.abs().max() > 0.05  # they were trained
    ours.save(tmp_path / "again")
    again = pretune.load(tmp_path / "again")
    assert torch.equal(again.model.heads["crf"].transitions, transitions)
    assert again.predict([TEXT, "Rome"]) == ours.predict([TEXT, "Rome"])
    with torch.no_grad():
        transitions.copy_(-50.0 * (1 - torch.eye(len(transitions))))  # what is saved is what decodes
    assert ours.predict([TEXT]) != again.predict([TEXT])
    theirs, told = transformers.AutoModelForTokenClassification.from_pretrained(crf / "model", output_loading_info=True)
    assert set(told["unexpected_keys"]) == {"pretune.crf.transitions"} and not told["missing_keys"]
    assert set(theirs.config.label2id) == set(again.bundle.labels("token"))
    given = transformers.AutoTokenizer.from_pretrained(crf / "model")(TEXT, return_tensors="pt")
    with torch.no_grad():
        logits = theirs.eval()(**given).logits[0]
    assert np.allclose(again.logits([TEXT], "token")[0], logits, atol=1e-5)
    with pytest.raises(pretune.InputError, match="has no logits"):
        again.logits([TEXT], "crf")


def test_without_its_manifest_a_model_keeps_its_crf(crf, tmp_path):
    shutil.copytree(crf / "model", tmp_path / "model")
    (tmp_path / "model" / "pretune.json").unlink()
    ours, bare = pretune.load(crf / "model"), pretune.load(tmp_path / "model")
    as_head = ours.predict([TEXT], scheme="bioes", decoding="free")
    assert bare.predict([TEXT]) == as_head  # labels as the head has them; the scheme was said in the manifest only


def test_the_crf_is_left_out_where_the_next_model_has_none(world, crf, tmp_path):
    from pretune.checkpoint.bundle import Bundle

    specs = [spec for spec in Bundle.load(crf / "model").specs if spec.kind == "token"]
    bundle = Bundle.load(crf / "model", heads=specs)
    assert "pretune.crf.transitions" in bundle.manifest["unread"]
    bundle.save(tmp_path / "model")
    assert "transformers" not in json.loads((tmp_path / "model" / "pretune.json").read_text())


def test_entities_are_those_of_transformers_pipeline(plain):
    """`first` takes a word's first piece, as we do; the texts are cut alike at white space."""
    ours = pretune.load(plain / "model")
    parts = {
        "model": transformers.AutoModelForTokenClassification.from_pretrained(plain / "model"),
        "tokenizer": transformers.AutoTokenizer.from_pretrained(plain / "model"),
    }
    pipeline = transformers.pipeline("token-classification", **parts, aggregation_strategy="first", device="cpu")
    texts = ["the man John Smith saw Anna", "Mary Jane saw  Bob in New York", "Rome Paris in Rome"]
    num_spans = 0
    for text, found in zip(texts, ours.predict(texts, output="entities"), strict=True):
        expected = pipeline(text)
        keys = ("entity_group", "start", "end")
        assert [[each[key] for key in keys] for each in found] == [[each[key] for key in keys] for each in expected]
        assert [each["score"] for each in found] == pytest.approx([float(each["score"]) for each in expected], abs=1e-5)
        num_spans += len(found)
    assert num_spans >= 5
