"""A killed command, given again, ends with the very weights of one that was never interrupted."""

import hashlib
import signal
import time

import pytest


def weights(run):
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def killed_after_first_checkpoint(world, words, out, how):
    process = world.start(*words, "--out", out)
    ends = time.monotonic() + 60
    while not list(out.glob("checkpoints/step-*")) and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0, "it ended before it was killed: give it more steps"
    assert not (out / "model").exists()
    return process.returncode, err


def whole(world, words, out):
    result = world.command(*words, "--out", out)
    assert result.status == 0, result.err
    return result.err


@pytest.mark.parametrize("verb", ["pretrain", pytest.param("finetune", marks=pytest.mark.slow)])
def test_a_killed_run_continues_to_the_same_weights(world, tmp_path, verb):
    settings = ["seed=3", "batch_size=8", "save_every_steps=10", "log_every_steps=1", "--threads", "1"]
    if verb == "pretrain":
        words = ["pretrain", "modern-tiny", "--corpus", world.corpus, "steps=60", "valid_samples=4", *settings]
    else:
        files = ["--train", world.file("tag"), "--valid", world.file("tag", "valid")]
        words = ["finetune", "tag", "--model", world.modern / "model", *files, "epochs=16", *settings]
    whole(world, words, tmp_path / "straight")
    killed_after_first_checkpoint(world, words, tmp_path / "killed", signal.SIGKILL)
    assert "continuing at step" in whole(world, words, tmp_path / "killed")
    expected = weights(tmp_path / "straight")
    assert weights(tmp_path / "killed") == expected
    steps = [path.read_text().count('"loss"') for path in tmp_path.glob("*/metrics.jsonl")]
    assert steps[0] == steps[1]
    assert "complete at step" in whole(world, words, tmp_path / "killed")
    assert weights(tmp_path / "killed") == expected


def test_control_c_says_what_is_safe(world, tmp_path):
    words = ["pretrain", "modern-tiny", "--corpus", world.corpus, "steps=2000", "save_every_steps=10", "batch_size=8"]
    status, err = killed_after_first_checkpoint(world, words, tmp_path / "run", signal.SIGINT)
    assert status == 130
    assert "the same command continues" in err and "Traceback" not in err
