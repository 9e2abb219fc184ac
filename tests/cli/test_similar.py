"""similar from the command line: files to scores, predictions, search, and an export for sentence-transformers."""

import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.core.hooks import Hook

GOOD, BAD = ("kind", "happy", "dear"), ("cruel", "sad", "dark")


def sentence(rng, words):
    return f"the {rng.choice(['man', 'house', 'day'])} was {rng.choice(words)} and {rng.choice(['so', 'not'])} new"


def rows_for(objective, number, seed):
    """Texts of two kinds of words; alike are those of one kind."""
    rng = random.Random(seed)
    for row in range(number):
        near, far = (GOOD, BAD) if row % 2 else (BAD, GOOD)
        text, alike, other = sentence(rng, near), sentence(rng, near), sentence(rng, far)
        is_alike = row % 4 < 2
        if objective in ("triplet", "ranking"):
            yield {"text": text, "text_b": alike, "text_c": other}
            continue
        label = (5.0 if is_alike else row % 3 / 2) if objective == "cosine" else ("same" if is_alike else "other")
        yield {"text": text, "text_b": alike if is_alike else other, "label": label}


def write(path, objective, number, seed=0):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_for(objective, number, seed)))
    return path


@pytest.fixture
def finetune(world, tmp_path):
    def run(objective, *words, family="bert", model=None, out=None):
        sizes = {"train": 36, "test": 20}
        files = [f"--{part}={write(tmp_path / f'{part}.jsonl', objective, n, n)}" for part, n in sizes.items()]
        files += ["--model", model or getattr(world, family) / "model", "--out", out or tmp_path / "run"]
        settings = ["epochs=1", "batch_size=6", "optimizer.lr=1e-3", "max_length=32", "check=warn"]
        settings.append(f"task.objective={objective}")
        return world.command("finetune", "similar", *files, *settings, *words, "--json")

    return run


@pytest.mark.parametrize(
    ("objective", "metric", "rivals"),
    [
        ("cosine", "spearman", {"constant", "overlap", "tfidf", "ridge", "untuned"}),
        ("softmax", "accuracy", {"majority", "tfidf"}),
        ("triplet", "accuracy", {"overlap", "tfidf", "untuned"}),
        ("ranking", "mrr", {"overlap", "tfidf", "untuned"}),
    ],
)
def test_every_objective_from_files_to_predictions(world, finetune, tmp_path, objective, metric, rivals):
    metrics = finetune(objective, "max_tokens_per_batch=400").json()
    assert metrics["main_metric"] == metric and set(metrics["baselines"]["scores"]) == rivals
    assert metrics["interval"]["low"] <= metrics["test"][metric] <= metrics["interval"]["high"]
    model, test = ["--model", tmp_path / "run/model"], tmp_path / "test.jsonl"
    scored = world.command("evaluate", "similar", *model, "--data", test, "--json").json()
    assert scored["scores"] == pytest.approx(metrics["test"])
    lines = world.command("predict", "similar", *model, test).lines
    shown = {"softmax": {"score", "class"}, "triplet": {"score", "score_c"}}
    assert [set(line) for line in lines] == [shown.get(objective, {"score"})] * 20
    checked = world.command("check", test, "--task", "similar", *model, f"task.objective={objective}", "--json")
    kinds = {finding["kind"] for finding in json.loads(checked.out)["findings"]}
    assert not kinds & {"missing label", "missing text", "refused", "unusable"}, checked.out
    sentences = " ".join(metrics["notes"])
    assert "opens this model as BertModel" in sentences
    assert ("compared with the 5 others of its step" in sentences) == (objective == "ranking")
    card = (tmp_path / "run/card.md").read_text()
    assert "sentence-similarity" in card


def test_what_the_untuned_encoder_scores_is_what_evaluate_says_of_it(world, finetune, tmp_path):
    metrics = finetune("cosine").json()
    plain, test = tmp_path / "plain", tmp_path / "test.jsonl"
    words = ["--model", world.bert / "model", "--format", "sentence-transformers", "--out", plain]
    exported = world.command("export", *words)
    assert exported.status == 0 and "no pooling was trained" in exported.out
    scored = world.command("evaluate", "similar", "--model", plain, "--data", test, "--json")
    assert scored.json()["scores"] == pytest.approx(metrics["baselines"]["scores"]["untuned"])
    assert metrics["test"]["spearman"] > metrics["baselines"]["scores"]["untuned"]["spearman"]


@pytest.mark.parametrize("family", ["bert", "modern"])
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("cls", False), ("max", False)])
def test_an_export_opens_in_sentence_transformers(world, finetune, tmp_path, family, pooling, normalize):
    import sentence_transformers as library

    metrics = finetune("softmax", f"task.pooling={pooling}", f"task.normalize={normalize}", family=family)
    assert metrics.status == 0, metrics.err
    words = ["export", "--model", tmp_path / "run/model", "--format", "sentence-transformers"]
    words += ["--out", tmp_path / "theirs"]
    result = world.command(*words, "--json").json()
    assert any("the head siamese" in note for note in result["notes"])
    assert world.command(*words).status == 0  # again, over what is there
    ours, exported = pretune.load(tmp_path / "run/model"), pretune.load(tmp_path / "theirs")
    texts = [row["text"] for row in rows_for("cosine", 9, 1)] + ["", "a man " * 12]
    vectors = ours.embed(texts)
    theirs = library.SentenceTransformer(str(tmp_path / "theirs"), device="cpu")
    np.testing.assert_allclose(theirs.encode(texts), vectors, atol=1e-5)
    np.testing.assert_allclose(exported.embed(texts), vectors, atol=1e-6)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.allclose(lengths, 1.0, atol=1e-5) == normalize
    np.testing.assert_allclose(ours.embed(texts, pooling, normalize=normalize), vectors, atol=1e-6)
    assert theirs.max_seq_length == ours.max_length()
    scores = [found["score"] for found in exported.predict([(texts[0], text) for text in texts])]
    unit = vectors / lengths[:, None]
    assert scores == pytest.approx((unit @ unit[0]).tolist(), abs=1e-5)


def test_what_sentence_transformers_saves_opens_here_with_its_pooling(world, tmp_path):
    import sentence_transformers as library

    modules = library.sentence_transformer.modules
    encoder = modules.Transformer(str(world.bert / "model"))
    for pooling in ("mean", "cls", "max"):
        parts = [encoder, modules.Pooling(encoder.get_embedding_dimension(), pooling), modules.Normalize()]
        theirs = library.SentenceTransformer(modules=parts[: 2 if pooling == "cls" else 3], device="cpu")
        theirs.save(str(tmp_path / pooling), create_model_card=False)  # whose card asks the hub
        ours = pretune.load(tmp_path / pooling)
        texts = ["the man was kind", "a cruel day", "so new"]
        np.testing.assert_allclose(ours.embed(texts), theirs.encode(texts), atol=1e-5)


def test_a_step_of_ranking_stays_whole(finetune):
    result = finetune("ranking", "max_tokens_per_batch=100")
    assert result.status == 2 and "a step must stay whole" in result.err and "max_tokens_per_batch=" in result.err
    least = int(result.err.split("Set max_tokens_per_batch=")[1].split()[0])
    assert finetune("ranking", f"max_tokens_per_batch={least}").status == 0


def test_a_head_without_weights_cannot_be_all_that_trains(finetune):
    result = finetune("cosine", "adapt=frozen")
    assert result.status == 2 and "adapt=frozen trains heads alone, and that of similar has no weights" in result.err
    assert finetune("softmax", "adapt=frozen").status == 0


class Interrupted(Exception):
    pass


class StopAt(Hook):
    def on_step(self, run):
        if run.step == 7:
            raise Interrupted


def test_classes_go_on_training_where_a_run_was_interrupted(world, tmp_path):
    files = {part: write(tmp_path / f"{part}.jsonl", "softmax", n) for part, n in (("train", 30), ("valid", 12))}
    settings = ["task.objective=softmax", "epochs=2", "batch_size=6", "max_length=32", "save_every_steps=4"]
    how = {**files, "model": str(world.bert / "model"), "settings": [*settings, "check=warn"]}
    whole = pretune.finetune("similar", out=tmp_path / "whole", **how)
    with pytest.raises(Interrupted):
        pretune.finetune("similar", out=tmp_path / "parts", hooks=[StopAt()], **how)
    again = pretune.finetune("similar", out=tmp_path / "parts", **how)
    assert again["valid"] == whole["valid"]
    first, second = (load_file(tmp_path / out / "model/model.safetensors") for out in ("whole", "parts"))
    assert first.keys() == second.keys() and "pretune.siamese.classifier.weight" in first
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_embedding_and_searching_take_the_trained_pooling(world, finetune, tmp_path):
    assert finetune("cosine", "task.pooling=max", "task.normalize=true").status == 0
    texts = [row["text"] for row in rows_for("cosine", 12, 3)]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    model = ["--model", tmp_path / "run/model"]
    lines = world.command("embed", *model, tmp_path / "texts.txt").lines
    np.testing.assert_allclose(np.linalg.norm(lines, axis=1), 1.0, atol=1e-5)
    mean = world.command("embed", *model, tmp_path / "texts.txt", "--pooling", "mean").lines
    assert not np.allclose(mean, lines)
    ours = pretune.load(tmp_path / "run/model")
    np.testing.assert_allclose(lines, ours.embed(texts), atol=1e-5)
    (tmp_path / "queries.txt").write_text("the man was kind\nthe day was dark\n")
    search = ["search", *model, "--texts", tmp_path / "texts.txt", "--top-k", 3]
    found = world.command(*search, tmp_path / "queries.txt").lines
    assert [set(one) for row in found for one in row] == [{"line", "text", "score"}] * 6
    expected = ours.search(["the man was kind", "the day was dark"], texts, k=3)
    for row, others in zip(found, expected, strict=True):
        assert [one["score"] for one in row] == pytest.approx([one["score"] for one in others], abs=1e-5)
        assert all(texts[one["line"] - 1] == one["text"] for one in row)
        assert all(texts[one["number"]] == one["text"] for one in others)
    assert world.command("embed", *model, tmp_path / "texts.txt", "--out", tmp_path / "texts.npy").status == 0
    again = world.command(*search, "--vectors", tmp_path / "texts.npy", stdin="the man was kind\n").lines
    assert [one["line"] for one in again[0]] == [one["line"] for one in found[0]]


def test_a_bundle_of_its_own_pooling_goes_on(world, finetune, tmp_path):
    """Fine-tuned again, an encoder keeps how its vectors are made."""
    first = finetune("triplet", "task.pooling=max", out=tmp_path / "first")
    assert first.status == 0, first.err
    second = finetune("cosine", model=tmp_path / "first/model", out=tmp_path / "second")
    assert second.status == 0, second.err
    assert Bundle.load(tmp_path / "second/model").vector_head.pooling == "max"
