"""Every objective by its name through `pretrain`: it runs and is saved with its heads; interrupted, it ends alike."""

import hashlib
import json

import numpy as np
import pytest
import torch

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.core.hooks import Hook
from pretune.core.pack import pack
from pretune.corpus.build import build_corpus
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.families.family import HeadSpec
from pretune.objectives.causal_lm import causal_lm
from pretune.verbs.pretrain import pretrain
from pretune.verbs.pretrained import Pretrained

NAMES = {
    "whole_word": {"lm"},
    "span_mask": {"lm"},
    "span_boundary": {"lm", "span_boundary"},
    "sentence-order+mlm": {"lm", "sentence_order"},
    "full_sentences+whole_word": {"lm"},
    "document_sentences+span_mask": {"lm"},
    "causal_lm": {"lm"},
    "token_stream+causal_lm": {"lm"},
}
WRITING = [
    ("bart-tiny", "full_sentences+text_infilling"),
    ("t5-tiny", "drop_tokens"),
    ("t5-tiny-v1.1", "prefix_lm"),
    ("bart-tiny", "token_stream+causal_lm"),
]
OTHERS = ("token_masking", "token_deletion", "document_rotation", "replace_spans", "bert_style", "deshuffling")
WRITING += [pytest.param("t5-tiny-v1.1", name, marks=pytest.mark.slow) for name in OTHERS]
SETTINGS = ["steps=4", "batch_size=4", "valid_samples=4", "max_length=32", "save_every_steps=2", "log_every_steps=1"]


def run(world, out, name, *more, recipe="modern-tiny", **options):
    settings = [*SETTINGS, f"objective.name={name}", *more]
    return pretrain(recipe, corpus=world.corpus, out=out, settings=settings, threads=1, **options)


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_trains_and_is_saved(world, tmp_path, name):
    metrics = run(world, tmp_path / "run", name)
    assert np.isfinite(metrics["loss"]["valid"]) and metrics["steps"] == 4
    assert set(Bundle.load(tmp_path / "run" / "model").model.heads) == NAMES[name]


@pytest.mark.parametrize(("recipe", "name"), WRITING)
def test_every_objective_trains_a_decoder_beside_an_encoder(with_sentinels, tmp_path, monkeypatch, recipe, name):
    monkeypatch.setattr("pretune.verbs.pretrain.peak_flops", lambda *_: 1e10)
    settings = [*SETTINGS, f"objective.name={name}", "model.hidden_dropout=0.0"]
    metrics = pretrain(recipe, corpus=with_sentinels, out=tmp_path / "run", settings=settings, threads=1)
    assert np.isfinite(metrics["loss"]["valid"]) and metrics["steps"] == 4
    bundle = Bundle.load(tmp_path / "run" / "model")
    assert set(bundle.model.heads) == {"lm"} and bundle.model.body.config.decoder is not None
    assert not bundle.model.body.config.attention.prefix and not bundle.model.body.config.attention.causal


def test_a_model_that_goes_on_after_a_prefix_says_so(world, tmp_path, monkeypatch):
    """Its files do, and it may write; what was trained with masks alone may not."""
    monkeypatch.setattr("pretune.verbs.pretrain.peak_flops", lambda *_: 1e10)
    run(world, tmp_path / "run", "prefix_lm")
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text("utf-8"))
    assert config["pretune"]["prefix"] is True
    body = Bundle.load(tmp_path / "run" / "model").model.body
    assert body.config.generates and not body.config.attention.causal
    assert not Bundle.load(world.modern / "model").model.body.config.generates


def test_boundary_heads_go_on_training(world, tmp_path):
    """`--init` takes the span-boundary head from the files; a run without it leaves it out."""
    how = {"recipe": "bert-tiny"}
    run(world, tmp_path / "first", "span_boundary", "short_length=null", **how)
    how["init"] = str(tmp_path / "first" / "model")
    run(world, tmp_path / "second", "span_boundary", "short_length=null", "optimizer.lr=1e-9", **how)
    run(world, tmp_path / "third", "sentence_order+mlm", "short_length=null", **how)
    first, second, third = (Bundle.load(tmp_path / name / "model").model for name in ("first", "second", "third"))
    weights = [model.heads["span_boundary"].first.dense.weight.detach().numpy() for model in (first, second)]
    assert np.allclose(*weights, atol=1e-6)
    assert set(third.heads) == {"lm", "sentence_order"}


def test_a_model_from_left_to_right_stays_one(world, tmp_path):
    """Whatever head it gets: a text is read at its last row, which has seen all of it, and nothing is filled in."""
    run(world, tmp_path / "run", "full_sentences+causal_lm")
    bundle = Bundle.load(
        tmp_path / "run" / "model", heads=[HeadSpec("sequence", ("no", "yes")), HeadSpec("token", ("O",))]
    )
    assert bundle.template.summary == -1 and bundle.model.body.config.attention.causal
    assert "left to right" in bundle.manifest["transformers"]
    model = Pretrained(bundle)
    one, other = model.logits(["the man was kind", "the man was cruel"], "sequence")
    assert abs(one - other).max() > 1e-4
    one, other = (rows[:3] for rows in model.logits(["the man was kind", "the man was cruel"], "token"))
    assert np.allclose(one, other, atol=1e-6)
    with pytest.raises(InputError, match="left to right: fill needs"):
        model.fill("the [MASK] was")


class StopAfter(Hook):
    """Leaves as a crash does, when a step is done."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["whole_word", "span_boundary"])
def test_an_interrupted_run_ends_the_same(world, tmp_path, name):
    """With a masking rate that falls over the run, too."""
    falling = ["objective.masking_rate=0.4", "objective.final_masking_rate=0.1"]
    run(world, tmp_path / "whole", name, *falling, hooks=[StopAfter(9)])
    with pytest.raises(KeyboardInterrupt):
        run(world, tmp_path / "cut", name, *falling, hooks=[StopAfter(3)])
    assert not (tmp_path / "cut" / "model").exists()
    run(world, tmp_path / "cut", name, *falling, hooks=[StopAfter(9)])
    assert digest(tmp_path / "whole") == digest(tmp_path / "cut")


def digest(run):
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_from_the_command_line(world, tmp_path):
    words = ["pretrain", "modern-tiny", "--corpus", world.corpus, "--out", tmp_path / "run", *SETTINGS, "--json"]
    metrics = world.command(*words, "objective.name=sentence_order+span_mask", "objective.max_words=3").json()
    assert {"valid_lm", "valid_sentence_order"} <= set(metrics["loss"])
    settings = (tmp_path / "run" / "run.yaml").read_text("utf-8")
    assert "name: sentence_order+span_mask" in settings and "max_words: 3" in settings
    assert json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["steps"] == 4


@pytest.mark.parametrize(
    "assignment, told",
    [
        ("objective.name=full_sentences", "only arranges"),
        ("objective.name=span_bondary", "did you mean span-boundary"),
        ("objective.geometric_p=0.3", "unknown setting"),
    ],
)
def test_refusals(world, tmp_path, assignment, told):
    result = world.command("pretrain", "modern-tiny", "--corpus", world.corpus, "--out", tmp_path / "run", assignment)
    assert result.status == 2 and told in result.err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "name", "told"),
    [
        ("bart-tiny", "mlm", "hides tokens of the one text that an encoder reads"),
        ("bart-tiny", "next_sentence+text_infilling", "hides tokens of the one text"),
        ("modern-tiny", "text_infilling", "needs a decoder beside an encoder"),
        ("gpt2-tiny", "prefix_lm", "reads everything from left to right"),
        ("gpt2-tiny", "span_boundary", "text of this model has none there: choose span_mask"),
        ("llama-tiny", "span_boundary", "text of this model has none there: choose span_mask"),
        ("t5-tiny", "span_corruption+token_deletion", "write the whole text again go together"),
        ("t5-tiny", "span_corruption", "tokenizer has 0: train one with --sentinels"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(world, tmp_path, recipe, name, told):
    words = ["pretrain", recipe, "--corpus", world.corpus, "--out", tmp_path / "run", f"objective.name={name}"]
    result = world.command(*words, "steps=2", "max_length=64")
    assert result.status == 2 and told in result.err and not (tmp_path / "run").exists()


def test_a_model_to_start_from_is_looked_at_too(world, tmp_path):
    settings = [*SETTINGS, "objective.name=text_infilling"]
    with pytest.raises(InputError, match="needs a decoder beside an encoder"):
        pretrain("bart-tiny", corpus=world.corpus, out=tmp_path, init=str(world.modern / "model"), settings=settings)


def test_a_held_out_split_of_one_document_is_named(world, tmp_path):
    """The training text has the two documents that next_sentence needs: not it is to be built another way."""
    text = [f"the {word} was here. she saw the {word}. a {word} so old." for word in ("man", "day", "house", "heart")]
    (tmp_path / "text.txt").write_text("\n\n".join(text))
    corpus = tmp_path / "corpus"
    build_corpus([tmp_path / "text.txt"], world.tokenizer, corpus, valid_fraction=0.25)
    settings = [one for one in SETTINGS if "max_length" not in one] + ["short_length=null"]
    with pytest.raises(InputError, match=r"held-out split \(1 documents, .* two documents .*larger --valid-fraction$"):
        pretrain("bert-tiny", corpus=corpus, out=tmp_path / "run", settings=[*settings, "max_length=32"], threads=1)
    with pytest.raises(InputError, match="max_length is 4"):
        pretrain("bert-tiny", corpus=corpus, out=tmp_path / "run", settings=[*settings, "max_length=4"], threads=1)


def test_an_encoder_that_learns_to_write_is_saved_as_what_it_has_become(world, tmp_path, monkeypatch):
    """From left to right: its files say so, it generates, and transformers' class computes the same."""
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr("pretune.verbs.pretrain.peak_flops", lambda *_: 1e10)
    how = {"recipe": "bert-tiny", "init": str(world.bert / "model")}
    run(world, tmp_path / "run", "causal_lm", "short_length=null", **how)
    model = pretune.load(tmp_path / "run" / "model")
    body = model.bundle.model.body
    assert body.config.attention.causal and len(model.generate(["the man"], max_new_tokens=2)) == 1
    source = PretrainingSource(causal_lm(), Corpus.open(world.corpus), model.bundle.template, 32, seed=0)
    example = source.example(0, 0, 0.0)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model").eval()
    assert type(theirs).__name__ == "BertLMHeadModel"
    with torch.no_grad():
        logits = theirs(input_ids=torch.from_numpy(example.source.ids_T)[None]).logits[0]
        ours = model.bundle.model.eval()(pack([example]).to("cpu"))["lm"]
    assert torch.allclose(ours, logits[example.predict["lm"].at_MK[:, 0]], atol=1e-5)
    alone = pretune.perplexity(model=str(tmp_path / "run" / "model"), corpus=world.corpus, settings={"samples": 4})
    assert alone["objective"] == "causal_lm"


def test_a_prefix_and_then_left_to_right(world, tmp_path, monkeypatch):
    monkeypatch.setattr("pretune.verbs.pretrain.peak_flops", lambda *_: 1e10)
    run(world, tmp_path / "prefix", "prefix_lm", init=str(world.modern / "model"))
    run(world, tmp_path / "causal", "causal_lm", init=str(tmp_path / "prefix" / "model"))
    read = {name: Bundle.load(tmp_path / name / "model").model.body.config.attention for name in ("prefix", "causal")}
    assert (read["prefix"].prefix, read["prefix"].causal) == (True, False)
    assert (read["causal"].prefix, read["causal"].causal) == (False, True)
    with pytest.raises(InputError, match="reads everything from left to right"):
        run(world, tmp_path / "back", "prefix_lm", init=str(tmp_path / "causal" / "model"))


@pytest.mark.parametrize(
    ("family", "changes", "told"),
    [
        ("free", {"position": "relative"}, "learned positions of both sides"),
        ("deberta", {}, "cannot be trained so: disentangled positions are an encoder's"),
    ],
)
def test_an_encoder_that_cannot_read_from_left_to_right_is_refused(world, tmp_path, family, changes, told):
    tokenizer = Bundle.load(world.modern / "model", heads=()).tokenizer
    Bundle.fresh(family, "tiny", tokenizer, heads=[HeadSpec("lm")], changes=changes).save(tmp_path / "model")
    with pytest.raises(InputError, match=told):
        run(world, tmp_path / "run", "causal_lm", init=str(tmp_path / "model"))
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "checkpoints").exists()
