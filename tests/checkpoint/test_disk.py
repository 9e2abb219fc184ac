"""A full disk: estimates against what is written, refusal beforehand, stopping and waiting on a real small tmpfs."""

import contextlib
import errno
import os
import shutil
import threading
import time

import pytest
import torch
from safetensors import SafetensorError

from pretune.checkpoint import disk, store
from pretune.core.errors import InputError, RunError


def a_state(num_bytes):
    half = num_bytes // 8
    return {"model": {"weight": torch.arange(half, dtype=torch.float32), "tied": torch.ones(half)}, "run": {"step": 1}}


def fill(folder, but):
    """Leaves so many bytes free."""
    with open(folder / "filler", "wb") as file:
        file.write(bytes(max(0, disk.free_bytes(folder) - but)))
    return folder / "filler"


def assert_untouched(folder, name="step-1"):
    """The earlier checkpoint is whole, and there is nothing else."""
    assert [path.name for path in folder.iterdir()] == [name]
    assert store.latest(folder).path == folder / name
    assert torch.equal(store.load(folder / name)["model"]["weight"], a_state(1 << 20)["model"]["weight"])


def test_the_estimate_is_what_is_written(tmp_path):
    tied = torch.randn(300, 200)
    state = {
        "model": {f"layer.{n}.weight": torch.randn(n + 1, 7) for n in range(300)} | {"a": tied, "b": tied, "c": tied.T},
        "optimizer": {"x" * 200: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(9, 9, dtype=torch.bfloat16)}},
        "run": {"recent": [{"loss": 1 / 3}] * 100, "name": "ü"},
    }
    written = disk.held_bytes(store.save(tmp_path, 1, state, keep=1))
    assert written <= disk.checkpoint_bytes(state) < written + 2 * disk.OVERHEAD


def test_too_little_room_is_refused_before(small_disk):
    disk.require(small_disk / "run" / "deep", 3 << 20, "2 checkpoints")
    with pytest.raises(InputError, match=r"2 checkpoints need 5.2 MB, and 4.2 MB are free there.*keep_checkpoints"):
        disk.require(small_disk / "run" / "deep", 5 << 20, "2 checkpoints")


def test_with_wait_only_what_can_never_fit_is_refused(small_disk, caplog):
    fill(small_disk, but=1 << 20)
    disk.require(small_disk, 3 << 20, "2 checkpoints", on_full="wait")
    assert "waits for room when it is needed" in caplog.text
    with pytest.raises(InputError):
        disk.require(small_disk, 5 << 20, "2 checkpoints", on_full="wait")


@pytest.mark.parametrize("room", [0, 30_000, 600_000, (1 << 20) + 8192])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_partial_one(small_disk, room):
    """Full at once, in the middle of the weights, and just before the manifest."""
    folder = small_disk / "checkpoints"
    store.save(folder, 1, a_state(1 << 20), keep=2)
    fill(small_disk, but=room)
    with pytest.raises(RunError, match=r"step-2 could not be written: .*(No space left|os error 28).*: step-1"):
        store.save(folder, 2, a_state(1 << 20), keep=2)
    assert_untouched(folder)


def test_replacing_a_checkpoint_on_a_full_disk_keeps_the_old_one(small_disk):
    folder = small_disk / "checkpoints"
    store.save(folder, 1, a_state(1 << 20), keep=1)
    fill(small_disk, but=600_000)
    with pytest.raises(RunError, match="No space left"):
        store.save(folder, 1, a_state(1 << 20), keep=1)
    assert_untouched(folder)


def test_waiting_ends_when_there_is_room(small_disk, caplog):
    folder = small_disk / "checkpoints"
    store.save(folder, 1, a_state(1 << 20), keep=2)
    filler, on_full = fill(small_disk, but=600_000), disk.OnFull("wait", poll_seconds=0.05)
    saved = threading.Thread(
        target=store.save, args=(folder, 2, a_state(1 << 20)), kwargs={"keep": 2, "on_full": on_full}
    )
    saved.start()
    time.sleep(0.5)
    assert saved.is_alive()
    assert_untouched(folder)
    filler.unlink()
    saved.join(10)
    assert store.latest(folder).step == 2 and store.latest(folder).damaged == ()
    waiting = [line for line in caplog.messages if "waiting until there is room" in line]
    assert len(waiting) == 1 and "needs 1.1 MB" in waiting[0] and "still on disk: step-1" in waiting[0]
    assert "the run goes on" in caplog.text


def test_waiting_can_be_ended(small_disk):
    folder = small_disk / "checkpoints"
    store.save(folder, 1, a_state(1 << 20), keep=2)
    fill(small_disk, but=600_000)
    asked = iter([False, False, True])
    with pytest.raises(RunError, match="waiting was ended; still on disk: step-1"):
        on_full = disk.OnFull("wait", lambda: next(asked), poll_seconds=0.05)
        store.save(folder, 2, a_state(1 << 20), keep=2, on_full=on_full)
    assert_untouched(folder)


def test_under_a_quota_the_wait_tries_again(tmp_path):
    """Free space says nothing there; the write itself does."""
    attempts = []

    def attempt():
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return "written"

    on_full = disk.OnFull("wait", poll_seconds=0.05)
    assert on_full.write(attempt, tmp_path, "x", lambda: 1, lambda: "") == "written"
    assert attempts[2] - attempts[0] >= 0.1


def test_other_errors_are_not_waited_for(tmp_path):
    def broken():
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        disk.OnFull("wait").write(broken, tmp_path, "x", lambda: 1, lambda: "")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EIO, "No space left on device"), False),
        (SafetensorError('Error while serializing: I/O error: No space left on device (os error 28)'), True),
        (SafetensorError("Error: Disk quota exceeded (os error 122)"), True),
        (SafetensorError("os error 281"), False),
        (ValueError("No space left on device"), False),
    ],
)  # fmt: skip
def test_what_a_full_disk_is(error, full):
    assert disk.is_full(error) is full


def test_safetensors_own_words(small_disk):
    """What `is_full` reads is what safetensors says today."""
    from safetensors.torch import save_file

    fill(small_disk, but=100_000)
    with pytest.raises(SafetensorError) as caught:
        save_file(a_state(1 << 20)["model"], small_disk / "weights.safetensors")
    assert disk.is_full(caught.value)


def test_sizes(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(bytes(1000))
    with contextlib.suppress(OSError):
        os.symlink(tmp_path / "nowhere", tmp_path / "link")
    assert 1000 <= disk.held_bytes(tmp_path) < 2000 and disk.held_bytes(tmp_path / "nothing") == 0
    assert disk.free_bytes(tmp_path / "not" / "there") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
