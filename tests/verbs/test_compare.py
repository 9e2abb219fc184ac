"""compare: rows on equal terms, resumed, told honestly; on a small body, a few steps and made-up files."""

import json
import shutil
import time
from importlib import import_module

import pytest

import published
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.train.signals import Stopped
from pretune.verbs import compare as verb
from pretune.verbs import compare_scores
from pretune.verbs.compare import compare
from pretune.verbs.compare_plan import Budget

pretraining = import_module("pretune.verbs.pretrain")
BODY = ["model.num_layers=1", "model.hidden_size=32", "model.attention.num_heads=2"]
SMALL = [*BODY, "model.feed_forward.intermediate_size=48", "batch_size=4", "max_length=32", "valid_samples=8"]
FINETUNE = ["finetune.steps=2", "finetune.batch_size=4", "finetune.max_length=32"]
TOKENS = ["--tokens", 600, "--body", "modern-tiny"]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """What the machine can do at most is measured for a second after every run; here it is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "peak_flops", lambda *_: 1e12)
        yield


def files(folder):
    """Parts of speech, CoLA, and two sets of minimal pairs."""
    published.ud_files(folder / "ud")
    cola = "".join(f"gj04\t{n % 2}\t\tthe man is {'kind' if n % 2 else 'sad'} {n}\n" for n in range(12))
    for part in ("train", "dev"):
        published.write(
            folder / "glue" / "CoLA" / f"{part}.tsv", cola if part == "train" else cola.replace("man", "day")
        )
    for name in ("passive_1", "ellipsis_n_bar_1"):
        pairs = [{"sentence_good": f"the man was {n}", "sentence_bad": f"man {n} was the"} for n in "abcdef"]
        published.lines(folder / "blimp" / f"{name}.jsonl", pairs)
    return folder


def words(world, out, *more, recipes=("modern", "bert"), data=None):
    suites = (
        [word for name in ("ud", "blimp") for word in ("--suite", name, "--data", f"{name}={data / name}")]
        if data
        else []
    )
    return ["compare", *recipes, *SMALL, *FINETUNE, "--corpus", world.corpus, "--out", out, *TOKENS, *suites, *more]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return files(tmp_path_factory.mktemp("suites"))


@pytest.fixture(scope="module")
def done(world, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    result = world.command(*words(world, out, "--seeds", 2, data=data))
    assert result.status == 0, result.err
    return out, result


def table(out):
    return json.loads((out / "table.json").read_text())


def test_every_row_has_the_same_budget_body_and_seeds(done):
    out, _ = done
    found = table(out)
    assert [row["row"] for row in found["rows"]] == ["modern", "bert"]
    for row in found["rows"]:
        runs = [
            json.loads((out / "runs" / row["folder"] / f"seed-{seed}" / "metrics.json").read_text()) for seed in (1, 2)
        ]
        assert [run["seed"] for run in runs] == [1, 2] and {run["recipe"] for run in runs} == {"modern-tiny"}
        assert row["tokens"] == pytest.approx(600, abs=row["tokens_per_step"] * 0.75)
        assert row["valid_loss"] == [run["loss"]["valid_lm"] for run in runs]
    settings = [dict(row["settings"]) for row in found["rows"]]
    objectives = [one.pop("objective") for one in settings]
    assert objectives == [{"name": "mlm", "masking_rate": 0.2}, {"name": "next_sentence+mlm", "masking_rate": 0.15}]
    for one in settings:
        del one["tokens"]
    assert settings[0] == settings[1]


def test_what_is_comparable_and_learnt_is_said(done):
    out, result = done
    first, second = table(out)["rows"]
    assert (first["alike"], second["alike"]) == ("a", "b") and first["not_comparable"] is None
    assert second["not_comparable"] == "it cuts the text into other samples"
    assert first["not_learnt"] == second["not_learnt"] == "not learnt" and first["rank"] is None
    assert "| not learnt | modern |" in (out / "table.md").read_text() and "not learnt" in result.out
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 3 and "Not learnt" in page and "objective.name" in page and "clip_norm" not in page


def test_scores_are_those_of_the_suites_runs(done):
    """Of seed s with fine-tuning seed s; the mean is over suites, and differences are over the same seeds."""
    out, _ = done
    found = table(out)
    for row in found["rows"]:
        scores = {one["part"]: one for one in row["scores"]}
        assert {"UD", "blimp", "blimp: ellipsis", "blimp: argument structure"} == set(scores)
        for place, seed in enumerate((1, 2)):
            folder = out / "scores" / row["folder"] / f"seed-{seed}"
            ud = json.loads((folder / "ud" / "UD" / f"seed-{seed}" / "metrics.json").read_text())
            assert ud["seed"] == seed and scores["UD"]["scores"][place] == pytest.approx(ud["test"]["accuracy"])
            blimp = json.loads((folder / "blimp" / "suite.json").read_text())
            assert scores["blimp"]["scores"][place] == pytest.approx(blimp["average"])
        mean = (scores["UD"]["mean"] + scores["blimp"]["mean"]) / 2
        assert row["mean_score"]["estimate"] == pytest.approx(mean)
        assert row["mean_score"]["low"] <= mean <= row["mean_score"]["high"]
    told = {one["part"]: one for one in found["differences"]}
    assert set(told) == {"mean", "UD", "blimp"}
    means = [row["mean_score"]["estimate"] for row in found["rows"]]
    assert told["mean"]["difference"] == pytest.approx(means[1] - means[0])
    assert all(
        0 < one["p"] <= one["holm_p"] <= 1 and one["low"] <= one["difference"] <= one["high"] for one in told.values()
    )


def test_a_finished_comparison_trains_nothing(world, data, done, monkeypatch):
    out, _ = done
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix in (".safetensors", ".jsonl")}
    said = table(out)
    for module, name in ((verb, "pretrain"), (compare_scores, "suite")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("something was done again"))
    assert world.command(*words(world, out, "--seeds", 2, data=data)).status == 0
    assert table(out) == said and before == {path: path.stat().st_mtime_ns for path in before}


class Leave(Hook):
    """Leaves as a crash does, when a step is done."""

    def on_step(self, run):
        if run.step == 2:
            raise KeyboardInterrupt


def test_an_interrupted_comparison_ends_the_same(world, data, done, tmp_path, monkeypatch):
    """Once in a row's pre-training, once in a suite."""
    out, _ = done
    copy = shutil.copytree(out, tmp_path / "out")
    for place in ("runs/bert/seed-2", "scores/bert", "scores/modern/seed-2", "table.json", "table.md", "report.html"):
        shutil.rmtree(copy / place) if (copy / place).is_dir() else (copy / place).unlink()
    original, tuned = verb.pretrain, compare_scores.suite
    asked = words(world, copy, "--seeds", 2, data=data)

    def crash(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_scores, "suite", crash)
    assert world.command(*asked).status == 130
    monkeypatch.setattr(compare_scores, "suite", tuned)
    monkeypatch.setattr(verb, "pretrain", lambda *a, **named: original(*a, **named, hooks=[Leave()]))
    assert world.command(*asked).status == 130
    assert not (copy / "runs" / "bert" / "seed-2" / "metrics.json").exists() and not (copy / "table.json").exists()
    monkeypatch.setattr(verb, "pretrain", original)
    assert world.command(*asked).status == 0
    assert without_clocks(table(copy)) == without_clocks(table(out))


@pytest.mark.slow
def test_a_killed_comparison_continues(world, tmp_path):
    """The true command, killed in the second row's training."""
    asked = ["compare", "modern", "bert-ltr", *SMALL, "save_every_steps=2", "--corpus", world.corpus, "--seeds", 1]
    asked += ["--tokens", 6000, "--body", "modern-tiny", "--threads", 1]
    assert world.command(*asked, "--out", tmp_path / "straight").status == 0
    process, ends = world.start(*asked, "--out", tmp_path / "killed"), time.monotonic() + 120
    while not list(tmp_path.glob("killed/runs/bert-ltr/seed-1/checkpoints/step-*")) and time.monotonic() < ends:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode and not (tmp_path / "killed" / "table.json").exists()
    assert world.command(*asked, "--out", tmp_path / "killed").status == 0
    assert without_clocks(table(tmp_path / "killed")) == without_clocks(table(tmp_path / "straight"))


def without_clocks(found):
    for row in found["rows"]:
        for name in ("seconds", "energy_kwh"):
            del row[name]
    return found


def test_variants_of_one_recipe(world, tmp_path):
    vary = ["--vary", "model.num_layers=1,2", "--vary", "objective.masking_rate=0.15,0.4", "--seeds", 1]
    small = [word for word in SMALL if word != "model.num_layers=1"]
    asked = ["compare", "modern", *small, "--corpus", world.corpus, "--out", tmp_path / "out", *TOKENS, *vary]
    result = world.command(*asked, "--json")
    rows = result.json()["rows"]
    assert [(row["settings"]["model"]["num_layers"], row["settings"]["objective"]["masking_rate"]) for row in rows] == [
        (1, 0.15), (1, 0.4), (2, 0.15), (2, 0.4),
    ]  # fmt: skip
    assert [row["row"] for row in rows][1] == "model.num_layers=1 objective.masking_rate=0.4"
    assert [row["alike"] for row in rows] == ["a", "b", "a", "b"]
    assert rows[1]["not_comparable"] == "it sees or predicts other tokens of the same samples"
    assert rows[0]["parameters"] < rows[2]["parameters"] and rows[0]["flops"] < rows[2]["flops"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "in the same order: model.num_layers=1 objective.masking_rate=0.15, model" in page


def test_a_budget_of_flops(world, tmp_path):
    asked = dict(corpus=world.corpus, out=tmp_path / "out", seeds=1, body="modern-tiny", settings=SMALL)
    found = compare(["modern", "bert-ltr", "electra"], flops=4e8, **asked)
    for row in found["rows"]:
        assert row["flops"] == pytest.approx(4e8, rel=0.15)
    assert len({row["steps"] for row in found["rows"]}) == 3
    shares = [row["replaced_share"] for row in found["rows"]]
    assert shares[0] == shares[1] == [None] and 0.1 < shares[2][0] < 0.15
    assert "of a generator" in found["rows"][2]["not_comparable"]


def test_faithful_bodies(world, tmp_path):
    settings = ["model.num_layers=1", "batch_size=4", "max_length=32", "short_length=null", "valid_samples=8"]
    words = ["--tokens", 300, "--seeds", 1, "--bodies", "faithful", "--json"]
    asked = [
        "compare",
        "modern-tiny",
        "bert-tiny",
        *settings,
        "--corpus",
        world.corpus,
        "--out",
        tmp_path / "out",
        *words,
    ]
    rows = world.command(*asked).json()["rows"]
    assert [row["recipe"] for row in rows] == ["modern-tiny", "bert-tiny"]
    assert [row["settings"]["optimizer"]["name"] for row in rows] == ["muon", "adamw"]


def test_another_request_is_refused_and_more_rows_and_seeds_are_not(world, tmp_path):
    out = tmp_path / "out"
    one = ["--seeds", 1, "--tokens", 300, "--body", "modern-tiny", "--corpus", world.corpus, "--out", out]
    assert world.command("compare", "modern", *SMALL, *FINETUNE, *one).status == 0
    kept = (out / "runs" / "modern" / "seed-1" / "metrics.json").stat().st_mtime_ns
    turned = [*reversed(FINETUNE), *reversed(SMALL)]
    more = world.command("compare", "bert-ltr", "modern", *turned, *one, "--seeds", 2, "--json")
    assert [row["row"] for row in more.json()["rows"]] == ["bert-ltr", "modern"]
    assert len(more.json()["rows"][1]["valid_loss"]) == 2
    assert (out / "runs" / "modern" / "seed-1" / "metrics.json").stat().st_mtime_ns == kept
    other = world.command("compare", "modern", *SMALL, *FINETUNE, *one, "optimizer.lr=1e-3", "--tokens", 301)
    assert other.status == 2 and "another comparison (budget, settings differ)" in other.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    other = world.command("compare", "modern", *SMALL, *one, "--out", tmp_path / "full")
    assert other.status == 2 and "holds other files (thesis.txt)" in other.err


def test_a_row_that_diverges_is_named_and_the_others_go_on(world, tmp_path, monkeypatch):
    original = verb.pretrain

    def some_fail(recipe, *, settings, **named):
        if settings["objective"]["name"] == "causal_lm":
            raise RunError("the loss is not finite")
        return original(recipe, settings=settings, **named)

    monkeypatch.setattr(verb, "pretrain", some_fail)
    one = ["--seeds", 2, "--tokens", 300, "--body", "modern-tiny", "--corpus", world.corpus, "--out", tmp_path / "out"]
    result = world.command("compare", "bert-ltr", "modern", *SMALL, *one)
    assert result.status == 1 and "1 of 2 rows failed (bert-ltr: seed 1: the loss is not finite)" in result.err
    found = table(tmp_path / "out")
    assert [row["row"] for row in found["rows"]] == ["modern"] and list(found["failed"]) == ["bert-ltr"]
    assert "bert-ltr failed and is left out" in (tmp_path / "out" / "report.html").read_text()


def test_a_signal_stops_the_whole_comparison(world, tmp_path, monkeypatch):
    begun = []

    def stopped(recipe, *, settings, **named):
        begun.append(settings["objective"]["name"])
        raise Stopped("SIGTERM", "after step 3")

    monkeypatch.setattr(verb, "pretrain", stopped)
    one = ["--seeds", 2, "--tokens", 300, "--body", "modern-tiny", "--corpus", world.corpus, "--out", tmp_path / "out"]
    result = world.command("compare", "bert-ltr", "modern", *SMALL, *one)
    assert result.status == 1 and "stopped by SIGTERM after step 3" in result.err and begun == ["causal_lm"]


@pytest.mark.parametrize("budget", [{"flops": float("inf")}, {"flops": float("nan")}, {"flops": -1.0}, {"tokens": 0}])
def test_a_budget_is_a_number_above_0(budget):
    with pytest.raises(InputError, match="give a number above 0"):
        Budget(**budget)


@pytest.mark.parametrize(
    "more, message",
    [
        (["brt"], "did you mean bert"),
        (["modern"], "modern and modern are the same row"),
        (["bert-tiny"], "as --body modern-tiny; or give each recipe its own body with --bodies faithful"),
        (["objective.name=mlm"], "are the same"),
        (["seed=3"], "seed is set with --seeds"),
        (["steps=3"], "steps is set with --tokens or --flops"),
        (["--vary", "tokens=3,4"], "tokens is set with --tokens or --flops"),
        (["--vary", "max_length=3"], "two values or more"),
        (["--vary", "batch_size=4,4"], "twice"),
        (["bach_size=4"], "did you mean batch_size"),
        (["objective.geometric_p=0.1"], "modern: unknown setting of the objective"),
        (["model.num_layer=2"], "did you mean num_layers"),
        (["--vary", "model.norm.kind=layer,rms"], "not a body that modern's files can express: norm.kind is 'rms'"),
        (["--flops", "1e9"], "either --tokens N or --flops F"),
        (["--tokens", "20"], "20 tokens are less than one step, which takes"),
        (["--bodies", "faithful"], "leave one out"),
        (["--seeds", "0"], "give at least 1"),
        (["--suite", "glu"], "did you mean glue"),
        (["--suite", "glue"], "name the directory with its files, --data glue=DIR"),
        (["--suite", "glue", "--data", "glue=/none"], "/none is not a directory"),
        (["--suite", "glue", "--data", "ud=/none"], "unknown suite of --data, 'ud'"),
        (["--suite", "glue,ud", "--data", "/none"], "there are 2 suites"),
        (["--limit", "4"], "--limit is for suites of minimal pairs"),
    ],
)
def test_wrong_requests(world, tmp_path, more, message):
    settings = [word for word in SMALL if word.partition("=")[0] not in {one.partition("=")[0] for one in more}]
    asked = [
        "compare",
        "modern",
        "bert",
        *settings,
        "--corpus",
        world.corpus,
        "--out",
        tmp_path / "out",
        *TOKENS,
        *more,
    ]
    result = world.command(*asked)
    assert result.status == 2 and message in result.err, result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: shutil.rmtree(data / "glue" / "CoLA"), "none of the files of glue is in"),
        (lambda data: (data / "glue" / "CoLA" / "dev.tsv").write_text("no\n"), "dev.tsv:1"),
        (lambda data: (data / "glue" / "CoLA" / "train.tsv").write_text("gj04\t1\t\tso\n" * 3), "label"),
    ],
)
def test_files_are_read_before_anything_is_trained(world, data, tmp_path, change, message, monkeypatch):
    change(copy := shutil.copytree(data, tmp_path / "data").parent / "data")
    monkeypatch.setattr(verb, "pretrain", lambda *_, **__: pytest.fail("it was trained"))
    where = ["--suite", "glue", "--data", copy / "glue"]
    result = world.command(*words(world, tmp_path / "out", *where))
    assert result.status == 2 and message in result.err, result.err


def test_too_long_a_fine_tuning_is_said_first(world, data, tmp_path):
    where = {"corpus": world.corpus, "out": tmp_path / "out", "tokens": 600, "body": "modern-tiny"}
    settings = [*SMALL, "finetune.max_length=5000"]
    with pytest.raises(InputError, match=r"finetune.max_length=5000 \(UD\) is more than the 1024"):
        compare(["modern"], suites=["ud"], data=[data / "ud"], settings=settings, **where)
