"""The doctor: each planted fault is found and told with what to change; five healthy runs raise no alarm."""

import json
import random
import re

import numpy as np
import pytest

from pretune.core.hooks import Hook
from pretune.core.problem import Problem
from pretune.corpus.doctor import corpus_problems, hashed_sentences, masking_rate, sample_problems
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.families.family import open_family
from pretune.objectives.named import open_objective
from pretune.train.config import FitSettings
from pretune.train.doctor import run_problems
from pretune.verbs.pretrain import pretrain

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u")]
WORDS = [first + second for first, second in zip(SYLLABLES, SYLLABLES[7:] + SYLLABLES[:7], strict=True)]


def prose(seed, documents=60, sentences=12, words=12):
    """Text in which a word tells the next: one of two. Sentences hardly ever repeat."""
    rng = random.Random(seed)

    def line():
        place, found = rng.randrange(60), []
        for _ in range(words):
            found.append(WORDS[place])
            place = (place + rng.choice((1, 17))) % 60
        return " ".join(found).capitalize() + "."

    return [[line() for _ in range(sentences)] for _ in range(documents)]


def as_text(documents):
    return "\n\n".join("\n".join(lines) for lines in documents) + "\n"


@pytest.fixture(scope="module")
def place(world, tmp_path_factory):
    """A folder with a tokenizer of this language, and how to build a corpus there."""
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "prose.txt").write_text(as_text(prose(0)))
    words = ["--algorithm", "wordpiece", "--vocab-size", 150, "--lowercase", "--out", folder / "tokenizer"]
    assert world.command("tokenizer", "train", folder / "prose.txt", *words).status == 0

    def build(name, text, *more, tokenizer=folder / "tokenizer"):
        (folder / f"{name}.txt").write_text(text)
        words = ["--tokenizer", tokenizer, "--out", folder / name, "--valid-fraction", 0.1, *more, "--json"]
        return folder / name, world.command("corpus", "build", folder / f"{name}.txt", *words).json()

    return build


@pytest.fixture(scope="module")
def healthy(place):
    return place("healthy", as_text(prose(0)))


def kinds(problems):
    return [one["kind"] if isinstance(one, dict) else one.kind for one in problems]


def source_of(folder, objective="mlm", max_length=64, family="bert", **settings):
    corpus = Corpus.open(folder)
    template = open_family(family).template(corpus.tokenizer.special_ids)
    return PretrainingSource(open_objective(objective, settings), corpus, template, max_length, 0)


def test_a_healthy_corpus_has_no_problem(healthy, world):
    folder, told = healthy
    assert told["findings"] == [] and corpus_problems(Corpus.open(world.corpus)) == []
    result = world.command("check", folder)
    assert (result.status, "nothing to remark on" in result.out) == (0, True)


@pytest.mark.parametrize("objective", ["mlm", "whole_word", "span_boundary", "sentence_order+mlm", "causal_lm"])
def test_healthy_samples_have_no_problem(healthy, objective):
    assert sample_problems(source_of(healthy[0], objective)) == []


@pytest.mark.parametrize("objective", ["causal_lm", "prefix_lm", "text_infilling", "drop_tokens", "deshuffling"])
def test_healthy_samples_of_two_streams_have_no_problem(healthy, objective):
    """Though an encoder may read next to nothing: the decoder's positions are all trained."""
    assert sample_problems(source_of(healthy[0], objective, family="bart")) == []


def test_duplicate_lines(place, world):
    documents = prose(1)
    for lines in documents:
        lines[3] = " ".join(WORDS[:14]) + "."  # a licence
    folder, told = place("licence", as_text(documents))
    assert kinds(told["findings"]) == ["duplicate lines"]
    assert re.search(r"; the most: 5\d times 'badi", told["findings"][0]["seen"])
    assert "before `corpus build`" in told["findings"][0]["change"] and "duplicate lines:" in told["text"]
    result = world.command("check", folder, "--json")
    found = json.loads(result.out)
    assert (result.status, found["worst"], kinds(found["findings"])) == (1, "warning", ["duplicate lines"])
    again = place("twice", as_text(prose(2)[:20] * 2))[1]["findings"]
    assert kinds(again) == ["duplicate lines"] and "50 %" in again[0]["seen"]


def test_another_share_is_held_out_than_asked_for(place):
    """Two sentences in one document: half of it or nothing. One line of 6,000 words: its last words."""
    told = place("pair", as_text([[" ".join(WORDS) + ".", " ".join(WORDS[::-1]).capitalize() + "."]]))[1]
    assert kinds(told["findings"]) == ["held-out share"]
    assert "50 % of the tokens are held out for validation, where 10 % are asked for" in told["text"]
    told = place("line", " ".join(WORDS * 100), "--valid-fraction", 0.01)[1]
    assert (told["holdout"], told["findings"]) == ("tails", [])


def test_duplicates_are_found_in_a_part_of_the_corpus(place):
    """By blocks: the share that is looked at is about what was asked for, and the finding the same."""
    corpus = Corpus.open(place("licence2", as_text([[*lines, lines[0]] for lines in prose(3, sentences=4)]))[0])
    whole, part = hashed_sentences(corpus), hashed_sentences(corpus, max_tokens=corpus.num_tokens // 2)
    assert whole.num_tokens == corpus.num_tokens and len(whole.hash_S) == len(corpus.sentence_starts)
    assert 0.3 * corpus.num_tokens < part.num_tokens < 0.8 * corpus.num_tokens
    by_start = dict(zip(whole.start_S.tolist(), whole.hash_S.tolist(), strict=True))
    assert all(by_start[start] == hash for start, hash in zip(part.start_S.tolist(), part.hash_S.tolist(), strict=True))
    texts = [tuple(corpus.ids(s, s + n).tolist()) for s, n in zip(whole.start_S, whole.length_S, strict=True)]
    assert len(set(texts)) == len(np.unique(whole.hash_S)) < len(texts)


def test_short_documents(place):
    text = "\n".join(line for lines in prose(4) for line in lines) + "\n"
    assert kinds(place("lines", text, "--documents", "line")[1]["findings"]) == ["short documents"]
    assert place("blank", text, "--documents", "blank-line")[1]["findings"] == []


def test_unknown_tokens_and_masks_that_cover_nothing(place):
    greek = str.maketrans("abdefgiklmnoprstu", "αβδεφγικλμνοπρστυ")
    folder, told = place("greek", as_text(prose(5)).translate(greek))
    assert "unknown tokens" in kinds(told["findings"])
    assert "--algorithm byte-bpe" in next(one["change"] for one in told["findings"] if one["kind"] == "unknown tokens")
    assert "masks" in kinds(sample_problems(source_of(folder)))
    mixed = [[line.translate(greek) if n == 0 else line for n, line in enumerate(lines)] for lines in prose(6)]
    assert kinds(place("mixed", as_text(mixed))[1]["findings"]) == ["unknown tokens"]


def test_masks_that_cover_too_little(healthy):
    (problem,) = sample_problems(source_of(healthy[0], max_length=128, max_predictions=2))
    assert problem.kind == "masks" and "where 15 % are asked for" in problem.seen
    assert "objective.max_predictions" in problem.change
    assert sample_problems(source_of(healthy[0], max_length=128, masking_rate=0.03)) == []
    assert masking_rate(open_objective("sentence_order+span_mask", {"masking_rate": 0.2})) == 0.2
    assert masking_rate(open_objective("causal_lm", {})) is None


def test_a_length_that_no_sample_reaches(healthy):
    (problem,) = sample_problems(source_of(healthy[0], max_length=1024))
    assert problem.kind == "max_length" and "max_length is 1024" in problem.seen


def lines_of(losses, progress=None, name="lm"):
    shares = np.linspace(0, 1, len(losses) + 1)[1:] if progress is None else progress
    return [
        {"progress": float(share), "loss": loss, "losses": {name: loss}, "lr": 1e-3, "step": n}
        for n, (share, loss) in enumerate(zip(shares, losses, strict=True))
    ]


ONE_LENGTH = FitSettings(steps=100)
TWO_LENGTHS = FitSettings(steps=100, short_length=32, max_length=128, short_share=0.5)


def test_by_hand_a_loss_stuck_near_the_entropy_of_words():
    learnt = lines_of(np.linspace(5, 2.0, 30))
    assert run_problems(learnt, 3.0, ONE_LENGTH) == []
    falling = lines_of(np.linspace(5, 2.9, 30))
    assert kinds(run_problems(falling, 3.0, ONE_LENGTH)) == ["not learnt yet"]
    flat = lines_of([5.0, 4.0, 3.3, *[3.01, 2.99] * 13])
    (problem,) = run_problems(flat, 3.0, ONE_LENGTH)
    assert problem.kind == "stuck at word frequencies" and "optimizer.lr" in problem.change
    assert run_problems([*flat, {"valid": {"lm": 2.6}}], 3.0, ONE_LENGTH) == []  # what is held out counts
    assert run_problems(lines_of([0.7] * 30, name="sentence_order"), 0.1, ONE_LENGTH) == []


def test_by_hand_a_jump_where_the_length_switches():
    rng = np.random.default_rng(0)
    smooth = np.linspace(4, 2, 40) + rng.normal(0, 0.05, 40)
    assert run_problems(lines_of(smooth), 3.0, TWO_LENGTHS) == []
    jump = smooth + np.where((np.arange(40) >= 20) & (np.arange(40) < 30), 0.9, 0)
    (problem,) = run_problems(lines_of(jump), 3.0, TWO_LENGTHS)
    assert problem.kind == "jump at the longer sequences" and "from 32 to 128, at 50%" in problem.seen
    assert run_problems(lines_of(jump), 3.0, ONE_LENGTH) == []
    noisy = smooth + rng.normal(0, 0.8, 40)
    assert run_problems(lines_of(noisy[:20].tolist() + noisy[20:].tolist()), 9.0, TWO_LENGTHS) == []


def test_a_problem_reads_as_a_sentence():
    problem = Problem("masks", "nothing is masked", "nothing is learnt", "objective.masking_rate")
    assert Problem.of(json.loads(json.dumps(problem.as_json()))) == problem
    assert str(problem).startswith("masks: nothing is masked. Why it matters:")


COMMON = ["batch_size=16", "valid_samples=60", "log_every_steps=5", "max_length=64", "optimizer.lr=3e-3"]
TWO = ["max_length=64", "short_length=32", "short_share=0.7", "optimizer.lr=1e-3", *COMMON[:3]]
HEALTHY = {
    "causal, two lengths": ("bert-tiny", ["steps=100", "objective.name=causal_lm", *TWO]),
    "modern": ("modern-tiny", ["steps=150", *COMMON]),
    "causal": ("modern-tiny", ["steps=60", "objective.name=causal_lm", *COMMON]),
    "span boundary": ("modern-tiny", ["steps=200", "objective.name=span_boundary", *COMMON]),
    "sentence order": ("modern-tiny", ["steps=150", "objective.name=sentence_order+mlm", *COMMON]),
}
QUICK = ("causal, two lengths",)
"""The others learn for ten seconds each."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in HEALTHY]
)
def test_a_healthy_run_raises_no_alarm(healthy, name, tmp_path):
    recipe, settings = HEALTHY[name]
    metrics = pretrain(recipe, corpus=healthy[0], out=tmp_path / "run", settings=settings)
    assert metrics["findings"] == []
    assert metrics["loss"]["valid_lm"] < metrics["unigram_entropy"] - 0.3


class Raise(Hook):
    """Multiplies the learning rate once the sequences are long: what a schedule that is too high there does."""

    def on_step(self, run):
        if run.progress >= 0.7:
            run.optimizers.highest = [[0.3 for _ in rates] for rates in run.optimizers.highest]


def test_faults_of_a_run_are_told_in_all_its_files(place, world, tmp_path, capsys):
    """A run that learns nothing (a rate of nearly 0) on a corpus with duplicates, with masks that are cut off."""
    folder, _ = place("faulty", as_text(prose(7)[:30] * 2))
    settings = ["steps=40", *COMMON[:-1], "optimizer.lr=1e-9", "objective.max_predictions=2", "objective.name=mlm"]
    metrics = pretrain("modern-tiny", corpus=folder, out=tmp_path / "run", settings=settings)
    expected = ["duplicate lines", "masks", "stuck at word frequencies"]
    assert kinds(metrics["findings"]) == expected
    said = capsys.readouterr().err
    assert "pre-training: duplicate lines:" in said and "pre-training: masks:" in said
    assert all(f"{kind}: " in metrics["text"] for kind in expected)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["findings"] == metrics["findings"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What was seen".lower() in page.lower() and "stuck at word frequencies" in page
    result = world.command("check", tmp_path / "run", "--json")
    assert (result.status, kinds(json.loads(result.out)["findings"])) == (1, expected)
    (tmp_path / "run" / "metrics.json").unlink()  # as of a run that is not finished
    unfinished = json.loads(world.command("check", tmp_path / "run", "--json").out)
    assert kinds(unfinished["findings"]) == ["duplicate lines", "stuck at word frequencies"]


def test_a_learning_rate_too_high_at_the_switch(healthy, tmp_path):
    """The healthy run with two lengths, but for the rate after the switch."""
    recipe, settings = HEALTHY["causal, two lengths"]
    found = pretrain(recipe, corpus=healthy[0], out=tmp_path / "run", settings=settings, hooks=[Raise()])["findings"]
    assert "jump at the longer sequences" in kinds(found)


def test_check_takes_a_corpus_or_a_run_alone(healthy, world, tmp_path):
    folder, _ = healthy
    result = world.command("check", folder, world.file("classify"))
    assert result.status == 2 and "check it alone" in result.err
    assert world.finetune("classify", tmp_path / "tuned").status == 0
    result = world.command("check", tmp_path / "tuned")
    assert result.status == 2 and "holds a run of pretune finetune" in result.err
