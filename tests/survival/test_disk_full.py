"""A full disk seen from the command line, on a real small file system: refused before, stopped, or waited out."""

import os
import time

import pytest

from pretune.checkpoint import disk, store

WORDS = ["batch_size=8", "valid_samples=4", "save_every_steps=10", "log_every_steps=1", "--threads", "1"]


def pretraining(world, out, *words):
    return ["pretrain", "modern-tiny", "--corpus", world.corpus, "steps=40", *WORDS, *words, "--out", out]


@pytest.fixture(scope="module")
def bytes_of_one(world, tmp_path_factory):
    """Of a checkpoint of the run below, and of its model."""
    out = tmp_path_factory.mktemp("plenty") / "run"
    assert world.command(*pretraining(world, out)).status == 0
    one, model = disk.held_bytes(out / "checkpoints" / "step-40"), disk.held_bytes(out / "model")
    return one, model, (out / "model" / "model.safetensors").read_bytes()


def test_a_run_that_cannot_fit_is_refused(world, make_disk, bytes_of_one):
    folder = make_disk(1 + 2 * bytes_of_one[0] // (1 << 20))
    result = world.command(*pretraining(world, folder / "run", "keep_checkpoints=2"))
    assert result.status == 2 and "Traceback" not in result.err
    assert "2 checkpoints of" in result.err and "are free there" in result.err and "keep_checkpoints" in result.err
    assert not list(folder.glob("run/checkpoints/*"))


def filled_once_there_is_a_checkpoint(world, folder, bytes_of_one, *words):
    """Starts a run on a disk with just room enough, and takes the room away once its first checkpoint is there."""
    process = world.start(*pretraining(world, folder / "run", "keep_checkpoints=1", *words))
    checkpoints, ends = folder / "run" / "checkpoints", time.monotonic() + 90
    while not list(checkpoints.glob("step-*")) and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.005)
    with open(folder / "filler", "wb") as file:
        file.write(bytes(max(0, disk.free_bytes(folder) - bytes_of_one[0] // 2)))
        os.fsync(file.fileno())
    return process


def test_a_disk_that_fills_stops_the_run_and_the_same_command_continues_it(world, make_disk, bytes_of_one):
    folder = make_disk(8 + 4 * bytes_of_one[0] // (1 << 20))
    process = filled_once_there_is_a_checkpoint(world, folder, bytes_of_one)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in err, err
    assert "could not be written" in err and "still on disk: step-" in err
    kept = [path.name for path in (folder / "run" / "checkpoints").iterdir()]
    assert len(kept) == 1 and kept[0].startswith("step-")
    assert store.latest(folder / "run" / "checkpoints").damaged == ()
    (folder / "filler").unlink()
    result = world.command(*pretraining(world, folder / "run", "keep_checkpoints=1"))
    assert result.status == 0 and f"continuing at {kept[0].replace('-', ' ')}" in result.err
    assert (folder / "run" / "model" / "model.safetensors").read_bytes() == bytes_of_one[2]


@pytest.mark.slow
def test_wait_goes_on_when_there_is_room(world, make_disk, bytes_of_one):
    folder = make_disk(8 + 4 * bytes_of_one[0] // (1 << 20))
    process = filled_once_there_is_a_checkpoint(world, folder, bytes_of_one, "--on-disk-full", "wait")
    time.sleep(6)
    assert process.poll() is None and not (folder / "run" / "model").exists()
    (folder / "filler").unlink()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.count("waiting until there is room") == 1 and "the run goes on" in err
    assert (folder / "run" / "model" / "model.safetensors").read_bytes() == bytes_of_one[2]
