"""Flipped bytes, cut, emptied, missing and misplaced files: found and named; a run goes on from its last good one."""

import random
import shutil

import pytest
from crashes import KILLED, done, left_by

from pretune.checkpoint import store
from pretune.core.errors import InputError, RunError
from pretune.corpus.manifest import verify


@pytest.fixture(scope="module")
def stopped(small):
    """A run that was killed when all was trained: its checkpoints are those after steps 6 and 7."""
    out = small.file("stopped")
    words = small.pretrain(out)
    found = done(small.crashes.run(words, roots=[out])).operations
    shutil.rmtree(out)
    at = next(number for number, operation in enumerate(found) if operation.endswith(".unfinished-model"))
    assert small.crashes.run(words, roots=[out], at=at).status == KILLED
    assert [step for step, _ in store.checkpoints(out / "checkpoints")] == [7, 6]
    return out


def flipped(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(data)


def cut(path, rng):
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def emptied(path, rng):
    path.write_bytes(b"")


def removed(path, rng):
    path.unlink()


def made_a_folder(path, rng):
    path.unlink()
    path.mkdir()


DAMAGES = [(flipped, 200), (cut, 20), (emptied, 1), (removed, 1), (made_a_folder, 1)]
"""How, and how often: the first two over files drawn at random, the others once for every file."""


def harm(files, seed=0):
    """Damages files one after another, puts each right again after its turn, and yields them."""
    for damage, times in DAMAGES:
        rng = random.Random(seed)
        chosen = [rng.choice(files) for _ in range(times)] if times > 1 else files
        for path in chosen:
            data = path.read_bytes()
            damage(path, rng)
            yield damage.__name__, path
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            path.write_bytes(data)


def test_every_damage_of_a_checkpoint_is_found(stopped, tmp_path, tally):
    """200 flips, 20 cuts and the rest: `latest` falls back to the checkpoint before and says which file is why."""
    shutil.copytree(stopped / "checkpoints", tmp_path / "checkpoints")
    last = tmp_path / "checkpoints" / "step-7"
    row = tally("checkpoint: damage found, fallen back (by function)")
    for how, path in harm(sorted(last.iterdir())):
        row.cases += 1
        row.count(how, True)
        found = store.latest(tmp_path / "checkpoints")
        assert found.step == 6, f"{path.name} {how}: not found"
        assert [one.path for one in found.damaged] == [last] and found.damaged[0].reason
        assert path.name in found.damaged[0].reason or how == "made_a_folder"
        row.recovered += 1
    assert store.latest(tmp_path / "checkpoints").step == 7


def goes_on(small, stopped, out, damage, row):
    """The same command over a run with damaged checkpoints: says so on stderr and in the report, ends the same."""
    shutil.copytree(stopped, out)
    damage(out / "checkpoints")
    row.cases += 1
    ended = done(small.crashes.run(small.pretrain(out)))
    assert "step-7 is damaged" in ended.err and "continuing from step 6" in ended.err
    assert "step-7 is damaged" in (out / "report.html").read_text()
    straight, ours = small.straight("pretrain"), left_by(out)
    assert [note for note in ours.metrics["notes"] if "step-7 is damaged" in note]
    row.recovered += 1
    assert {name: ours.tensors[name] for name in straight.tensors} == straight.tensors
    assert ours.lines == straight.lines
    assert {name for name in ours.names if "damaged-0-step-7" not in name} == set(straight.names)
    row.identical += 1
    shutil.rmtree(out)


def test_a_run_goes_on_from_the_last_good_checkpoint(small, stopped, out, tally):
    row = tally("pretrain: a damaged checkpoint, the same command")
    goes_on(small, stopped, out, lambda folder: flipped(folder / "step-7/optimizer.safetensors", random.Random(1)), row)


@pytest.mark.slow
@pytest.mark.parametrize("how, times", [(flipped, 20), (cut, 10), (emptied, 1), (removed, 1), (made_a_folder, 1)])
def test_whole_commands_over_damaged_checkpoints(small, stopped, out, tally, how, times):
    row = tally("pretrain: a damaged checkpoint, the same command")
    for number in range(times):
        rng = random.Random(number)
        for name in sorted(path.name for path in (stopped / "checkpoints/step-7").iterdir()):
            if times == 1 or rng.random() < 0.5:
                goes_on(small, stopped, out, lambda folder, name=name: how(folder / "step-7" / name, rng), row)  # noqa: B023


def test_a_file_in_place_of_a_checkpoint(small, stopped, out, tally):
    def file_instead(folder):
        shutil.rmtree(folder / "step-7")
        (folder / "step-7").write_text("not a checkpoint")

    goes_on(small, stopped, out, file_instead, tally("pretrain: a damaged checkpoint, the same command"))


def test_with_no_good_checkpoint_the_run_is_not_begun_anew(small, stopped, out):
    shutil.copytree(stopped, out)
    for step in (6, 7):
        flipped(out / f"checkpoints/step-{step}/model.safetensors", random.Random(step))
    ended = small.crashes.run(small.pretrain(out))
    assert ended.status == 1 and "no checkpoint" in ended.err
    assert all(f"step-{step}: model.safetensors is damaged" in ended.err for step in (6, 7))
    assert (out / "checkpoints/step-6").is_dir()


def test_every_damage_of_a_corpus_is_found(small, tmp_path, tally):
    """Shards, indexes, marks, counts, the tokenizer, tables of samples and the manifest itself."""
    corpus = tmp_path / "corpus"
    shutil.copytree(small.file("corpus"), corpus)
    verify(corpus)
    row = tally("corpus: damage found and named (by function)")
    files = [path for path in sorted(corpus.rglob("*")) if path.is_file()]
    assert {"tables", "tokenizer"} < {path.parent.name for path in files}
    for how, path in harm(files):
        if path.parent.name == "tables" and how == "removed":  # it is only a cache
            verify(corpus)
            continue
        row.cases += 1
        row.count(how, True)
        with pytest.raises((RunError, InputError)) as refused:
            verify(corpus)
        assert path.name in str(refused.value), f"{path} {how}"
        row.recovered += 1
    verify(corpus)


def test_the_command_names_the_damaged_file(small, tmp_path, tally):
    corpus = tmp_path / "corpus"
    row = tally("corpus verify: the command, a damaged file")
    for name, status in (("tokens-train.bin", 1), ("documents-valid.idx", 1), ("manifest.json", 2)):
        row.cases += 1
        shutil.copytree(small.file("corpus"), corpus)
        assert done(small.crashes.run(["corpus", "verify", corpus]))
        flipped(corpus / name, random.Random(3))
        ended = small.crashes.run(["corpus", "verify", corpus])
        assert ended.status == status and name in ended.err and "Traceback" not in ended.err
        row.recovered += 1
        shutil.rmtree(corpus)


def test_another_corpus_or_tokenizer_is_refused(small, stopped, tmp_path):
    """By fingerprint: the same text with another share held out, and the same again by another tokenizer."""
    size = ["--algorithm", "wordpiece", "--vocab-size", 60, "--lowercase"]
    text, other = small.file("text.txt"), tmp_path / "tokenizer"
    done(small.crashes.run(["tokenizer", "train", text, *size, "--out", other]))
    for name, tokenizer in (("c1", small.file("tokenizer")), ("c2", other)):
        made = ["--tokenizer", tokenizer, "--out", tmp_path / name, "--valid-fraction", 0.3]
        done(small.crashes.run(["corpus", "build", text, *made]))
        ended = small.crashes.run(small.pretrain(stopped, corpus=tmp_path / name))
        assert ended.status == 2, ended.err
        assert f"corpus was {small.file('corpus')} (fingerprint" in ended.err
        assert f"is now {tmp_path / name} (fingerprint" in ended.err
        assert ("tokenizer was (fingerprint" in ended.err) == (name == "c2")


def test_another_validation_file_is_refused(small, tmp_path):
    """It chooses the best weights, so a run that goes on with another one would not be the same run."""
    small.straight("finetune")
    lines = small.file("valid.csv").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "valid.csv").write_text("".join(lines[:-1]), "utf-8")
    words = small.finetune(small.file("straight-finetune"))
    changed = [tmp_path / "valid.csv" if word == small.file("valid.csv") else word for word in words]
    ended = small.crashes.run(changed)
    assert ended.status == 2
    assert f"valid file was {small.file('valid.csv')} (fingerprint" in ended.err
