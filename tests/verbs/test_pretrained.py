"""The Python face: its names, and `Pretrained` beside transformers on the directories that runs leave."""

import sys

import numpy as np
import pytest
import torch
import transformers

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.families.family import open_family
from pretune.nn.model import Model
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.verbs.generate import generate
from pretune.verbs.predictions import task_of

TEXTS = ["the old man", "she", ("a good day , she said to her", "yes"), "and then they walked slowly down the street"]


def test_face():
    assert pretune.__all__ == [
        "__version__",
        "Pretrained",
        "load",
        "Ensemble",
        "train_tokenizer",
        "build_corpus",
        "verify_corpus",
        "pretrain",
        "check",
        "finetune",
        "evaluate",
        "perplexity",
        "suite",
        "compare",
        "plan",
        "curve",
        "export",
        "quickstart",
        "InputError",
        "RunError",
        "PretuneError",
    ]
    assert all(getattr(pretune, name) is not None for name in pretune.__all__)
    with pytest.raises(AttributeError, match="nothere"):
        _ = pretune.nothere


def reference(folder, kind):
    return kind.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)


def encoded(tokenizer, text):
    return tokenizer(*((text,) if isinstance(text, str) else text), return_tensors="pt")


@pytest.mark.parametrize("run", ["modern", "bert"])
def test_hidden_states_and_logits_are_transformers(world, run):
    folder = getattr(world, run) / "model"
    ours = pretune.load(folder)
    theirs, tokenizer = reference(folder, transformers.AutoModelForMaskedLM)
    layers = {layer: ours.hidden(TEXTS, layer=layer) for layer in (0, 1)}
    last, logits = ours.hidden(TEXTS), ours.logits(TEXTS, "lm")
    for number, text in enumerate(TEXTS):
        with torch.no_grad():
            out = theirs(**encoded(tokenizer, text), output_hidden_states=True)
        assert np.allclose(logits[number], out.logits[0], atol=1e-5)
        assert np.allclose(last[number], out.hidden_states[-1][0], atol=1e-5)
        for layer, found in layers.items():
            assert np.allclose(found[number], out.hidden_states[layer][0], atol=1e-5)


@pytest.mark.parametrize("task", ["classify", "pair", "regress", "tag"])
def test_finetuned_models_say_the_same_in_transformers(world, task, tmp_path):
    world.finetune(task, tmp_path / "run")
    folder = tmp_path / "run" / "model"
    ours = pretune.load(folder)
    kind = "TokenClassification" if task == "tag" else "SequenceClassification"
    theirs, tokenizer = reference(folder, getattr(transformers, f"AutoModelFor{kind}"))
    texts = [TEXTS[2]] * 2 if task == "pair" else [TEXTS[0], TEXTS[3]]
    head = "token" if task == "tag" else "sequence"
    found = ours.logits(texts, head)
    predicted = ours.predict([text.split() for text in texts] if task == "tag" else texts)
    for number, text in enumerate(texts):
        with torch.no_grad():
            logits = theirs(**encoded(tokenizer, text)).logits[0]
        assert np.allclose(found[number], logits, atol=1e-5)
        if task == "regress":
            assert predicted[number]["value"] == pytest.approx(float(logits), abs=1e-5)
        elif task != "tag":
            names = theirs.config.id2label
            scores = {names[place]: float(score) for place, score in enumerate(logits.softmax(-1))}
            assert predicted[number]["scores"] == pytest.approx(scores, abs=1e-5)
    if task != "regress":
        named = {"classify": {"good", "bad"}, "pair": {"true", "false"}, "tag": {"O", "B-ADJ"}}[task]
        assert set(theirs.config.label2id) == named


def test_results_come_in_the_order_given(world):
    ours = pretune.load(world.modern / "model")
    rng = np.random.default_rng(0)
    texts = [" ".join(["word"] * int(number)) for number in rng.integers(1, 200, 60)]
    together, alone = ours.embed(texts), np.concatenate([ours.embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
    assert ours.embed([]).shape == (0, 128)
    assert ours.hidden([]) == ours.logits([], "lm") == []


def test_pooling(world):
    ours = pretune.load(world.modern / "model")
    (hidden_PD,) = ours.hidden(TEXTS[:1])
    for pooling, expected in (("mean", hidden_PD.mean(0)), ("cls", hidden_PD[0]), ("max", hidden_PD.max(0))):
        assert np.allclose(ours.embed(TEXTS[:1], pooling)[0], expected, atol=1e-5)


def test_a_text_that_is_too_long(world):
    ours = pretune.load(world.bert / "model")
    long = "she " * 600
    with pytest.raises(pretune.InputError, match="text 1 has 600 pieces and the model takes 510"):
        ours.hidden(["a", long])
    assert ours.hidden([long], truncate=True)[0].shape == (512, 128)
    assert ours.hidden([(long, "a")], truncate=True)[0].shape == (512, 128)


def test_fill(world):
    ours = pretune.load(world.modern / "model")
    one = ours.fill("the [MASK] sat", top_k=3)
    assert [set(found) for found in one] == [{"token", "score", "sequence"}] * 3
    assert one[0]["score"] >= one[1]["score"] >= one[2]["score"]
    theirs, tokenizer = reference(world.modern / "model", transformers.AutoModelForMaskedLM)
    given = encoded(tokenizer, "the [MASK] sat")
    with torch.no_grad():
        scores = theirs(**given).logits[given["input_ids"] == tokenizer.mask_token_id].softmax(-1)[0]
    assert [found["token"] for found in one] == tokenizer.convert_ids_to_tokens(scores.topk(3).indices)
    assert len(ours.fill("[MASK] and [MASK]")) == 2
    assert len(ours.fill(["a [MASK]", "b [MASK]"], top_k=1)) == 2
    with pytest.raises(pretune.InputError, match="no .MASK. to fill"):
        ours.fill("nothing here")


def padded(family, tokenizer, folder):
    """A model with more rows than its tokenizer has pieces, as published ones have to be a multiple of 64."""
    tiny = {"num_layers": 1, "hidden_size": 16, "attention.num_heads": 2, "feed_forward.intermediate_size": 32}
    chosen, extra = open_family(family), len(tokenizer) + 60
    body = chosen.build(chosen.config(tiny, extra, **chosen.for_tokenizer(tokenizer.special_ids)), seed=1)
    model = Model(body, {"lm": chosen.head("lm", body)})
    with torch.no_grad():
        body.token_embedding.weight[len(tokenizer) :] *= 20  # often the best
    Bundle(model, tokenizer, {"heads": [{"kind": "lm"}]}).save(folder)
    return pretune.load(folder)


def test_rows_without_a_piece_are_no_candidates(world, tmp_path):
    ours = padded("roberta", Tokenizer.load(world.tokenizer), tmp_path / "model")
    found = ours.fill("the [MASK] sat", top_k=len(ours.tokenizer))
    assert {one["token"] for one in found} == set(ours.tokenizer.backend.get_vocab())
    assert sum(one["score"] for one in found) < 0.99  # the rest is theirs


def test_rows_without_a_piece_may_be_written_and_have_no_text(world, tmp_path):
    ours = padded("gpt2", Tokenizer.load(world.tokenizer), tmp_path / "model")
    given = {"max_new_tokens": 20, "do_sample": True}
    (written,), *_ = generate(ours.bundle, ["the cat"], given)
    pieces = [number for number in written.ids if number < len(ours.tokenizer)]
    assert 0 < len(pieces) < len(written.ids)
    prompt = ours.tokenizer.encode("the cat").ids_P.tolist()
    assert "the cat" + written.text == ours.tokenizer.decode([*prompt, *pieces])
    assert ours.generate(["the cat"], **given) == ["".join(ours.stream("the cat", **given))] == [written.text]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    ids = torch.tensor([ours.tokenizer.encode("the cat").ids_P.tolist()])
    best = theirs.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    (written,), *_ = generate(ours.bundle, ["the cat"], {"max_new_tokens": 8, "min_new_tokens": 8})
    assert written.ids == tuple(best.tolist())


def test_presets_and_saving(world, tmp_path):
    fresh = pretune.load("bert-mini", tokenizer=world.tokenizer)
    fresh.save(tmp_path / "saved")
    again = pretune.load(tmp_path / "saved")
    assert all(map(np.array_equal, fresh.hidden(TEXTS), again.hidden(TEXTS)))
    with pytest.raises(
        pretune.InputError, match="tokenizer it is to have. The hub's weights .*FacebookAI/roberta-base"
    ):
        pretune.load("roberta-base")


@pytest.mark.parametrize(
    "call, part",
    [
        (lambda ours: ours.hidden("one text"), "a list of texts"),
        (lambda ours: ours.hidden([3]), "text 0"),
        (lambda ours: ours.hidden(["a"], layer=9), "layer 9"),
        (lambda ours: ours.logits(["a"], "token"), "unknown head"),
        (lambda ours: ours.embed(["a"], "median"), "unknown pooling"),
        (lambda ours: ours.predict(["a"]), "no head for a task"),
    ],
)
def test_refusals(world, call, part):
    with pytest.raises(pretune.InputError, match=part):
        call(pretune.load(world.modern / "model"))


def test_weights_written_past_torch_count_once_that_is_said(world, tmp_path):
    ours = pretune.load(world.modern / "model", device="cpu")
    before = ours.hidden(["she"])[0]
    for parameter in ours.model.body.parameters():
        parameter.data.mul_(0.5)
    ours.weights_changed()
    now = ours.hidden(["she"])[0]
    ours.save(tmp_path / "saved")
    assert np.allclose(now, pretune.load(tmp_path / "saved", device="cpu").hidden(["she"])[0], atol=1e-6)
    assert not np.allclose(now, before, atol=1e-3)


@pytest.mark.parametrize("device", ["cpux", "cuda:99"])
def test_a_device_that_is_not_there(world, device):
    with pytest.raises(pretune.InputError, match=f"device is '{device}': torch cannot compute on it here .*: take cpu"):
        pretune.load(world.modern / "model", device=device)


def test_settings_as_a_dict(world, tmp_path):
    settings = {"steps": 1, "batch_size": 4, "optimizer": {"lr": 1e-4}, "valid_samples": 2}
    found = pretune.pretrain("modern-tiny", corpus=world.corpus, out=tmp_path / "run", settings=settings)
    assert found["steps"] == 1
    assert "optimizer.lr=0.0001" in (tmp_path / "run" / "run.yaml").read_text().replace("\n  ", " ")


def test_every_script_from_text_to_a_blank(tmp_path):
    words = ["Straße", "größer", "où", "élève", "汉字", "語", "العربية", "سلام", "😀", "naïve"]
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(" ".join(words[i % 10 :] + words[: i % 7]) + "." for i in range(80)), "utf-8")
    pretune.train_tokenizer([text], vocab_size=200, out=tmp_path / "tokenizer")
    built = pretune.build_corpus([text], tokenizer=tmp_path / "tokenizer", out=tmp_path / "corpus", valid_fraction=0.1)
    assert built["splits"]["train"]["tokens"] > 0
    settings = {"steps": 2, "batch_size": 4}
    pretune.pretrain("modern-tiny", corpus=tmp_path / "corpus", out=tmp_path / "run", settings=settings)
    ours = pretune.load(tmp_path / "run" / "model")
    assert ours.tokenizer.decode(ours.tokenizer.encode("汉字 größer 😀").ids_P) == "汉 字 größer 😀"
    assert len(ours.fill("سلام [MASK] où", top_k=5)) == 5


def test_a_models_files_cannot_ask_for_code(world):
    bundle = pretune.load(world.modern / "model").bundle
    bundle.manifest["task"] = {"name": "antigravity:fly", "settings": {}, "max_length": 8}
    with pytest.raises(pretune.InputError, match="asks for code outside pretune .antigravity:fly."):
        task_of(bundle)
    assert "antigravity" not in sys.modules
