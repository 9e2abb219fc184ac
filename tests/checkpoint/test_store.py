"""Checkpoints: round trips without pickle, damage found, interrupted saves without a trace, rotation."""

import contextlib
import json
import os
import random
import shutil

import pytest
import torch

from pretune.checkpoint import store
from pretune.core.errors import RunError


def a_state():
    tied = torch.arange(6.0).reshape(2, 3)
    return {
        "model": {"embedding": tied, "decoder": tied, "view": tied[1], "flat": tied.view(-1), "turned": tied.T},
        "optimizer": {"embedding": {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 3, dtype=torch.bfloat16)}},
        "hooks": {"Evaluate-0": {"best": None, "weights": {}, "list": [1, 2.5, "ü", True, torch.zeros(0)]}},
        "run": {"step": 7, "seconds": 0.1 + 0.2},
    }


def assert_equal(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, list):
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    else:
        assert ours == theirs


def test_round_trip(tmp_path):
    path = store.save(tmp_path, 7, a_state(), keep=2)
    assert path.name == "step-7" and store.verify(path) is None
    loaded = store.load(path)
    assert_equal(loaded, a_state())
    assert loaded["model"]["embedding"].data_ptr() == loaded["model"]["decoder"].data_ptr()
    names = sorted(file.name for file in path.iterdir())
    assert names == [
        "hooks.safetensors", "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
    ]  # fmt: skip


def test_rotation_and_order_by_number(tmp_path):
    for step in (8, 9, 10, 11):
        store.save(tmp_path, step, a_state(), keep=2)
    assert [step for step, _ in store.checkpoints(tmp_path)] == [11, 10]
    assert store.latest(tmp_path) == store.Found(tmp_path / "step-11", 11, ())
    assert store.latest(tmp_path / "nothing") == store.Found(None, 0, ())


def broken_state(value=float("nan")):
    state = a_state()
    state["optimizer"]["embedding"]["exp_avg"] = torch.tensor([1.0, value], dtype=torch.bfloat16)
    return state


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_checkpoint_knows_whether_it_is_finite(tmp_path, value):
    assert store.is_finite(store.save(tmp_path, 1, a_state(), keep=9)) is True
    path = store.save(tmp_path, 2, broken_state(value), keep=9)
    assert store.is_finite(path) is False and store.verify(path) is None
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"finite": false', '"finite": true'))
    assert store.verify(path) == "manifest.json is damaged" and store.is_finite(path) is None
    assert store.is_finite(tmp_path / "step-3") is None


def test_rotation_never_deletes_the_last_finite_checkpoint(tmp_path):
    def steps():
        return [step for step, _ in store.checkpoints(tmp_path)]

    for step in (1, 2):
        store.save(tmp_path, step, a_state(), keep=2)
    for step in (3, 4, 5):
        store.save(tmp_path, step, broken_state(), keep=2)
        assert steps() == [step, step - 1] + ([2] if step > 3 else [])
    store.save(tmp_path, 6, a_state(), keep=2)
    assert steps() == [6, 5]
    store.save(tmp_path, 7, a_state(), keep=1)
    assert steps() == [7]


def test_checkpoints_of_the_first_format_are_read(tmp_path):
    """They did not say whether they are finite, so rotation does not take their word for it."""
    path = store.save(tmp_path, 1, a_state(), keep=1)
    manifest = json.loads((path / "manifest.json").read_text())
    old = {"format": 1, "step": 1, "files": manifest["files"]}
    (path / "manifest.json").write_bytes(store._manifest_text(old))
    assert store.latest(tmp_path).path == path and store.is_finite(path) is None
    (path / "manifest.json").write_bytes(store._manifest_text(old | {"format": 3}))
    assert "of format 3, this pretune reads up to 2" in store.latest(tmp_path).damaged[0].reason


def test_every_flip_and_truncation_is_found(tmp_path):
    good = store.save(tmp_path / "good", 1, a_state(), keep=1)
    shutil.copytree(good, tmp_path / "bad" / "step-1")
    generator = random.Random(0)
    for file in sorted((tmp_path / "bad" / "step-1").iterdir()):
        data = file.read_bytes()
        flips = [generator.randrange(len(data) * 8) for _ in range(40)]
        broken = [bytes(b ^ (1 << flip % 8) if i == flip // 8 else b for i, b in enumerate(data)) for flip in flips]
        broken += [data[: generator.randrange(len(data))] for _ in range(5)] + [b"", data + b"\n"]
        for content in broken:
            file.write_bytes(content)
            found = store.latest(tmp_path / "bad")
            assert found.path is None and file.name in found.damaged[0].reason
        file.unlink()
        assert store.latest(tmp_path / "bad").damaged[0].reason == f"{file.name} is missing"
        file.write_bytes(data)
    assert store.verify(tmp_path / "bad" / "step-1") is None


def test_falls_back_to_the_last_good_one(tmp_path):
    for step in (1, 2, 3):
        store.save(tmp_path, step, a_state(), keep=3)
    (tmp_path / "step-3" / "state.json").unlink()
    os.truncate(tmp_path / "step-2" / "model.safetensors", 20)
    found = store.latest(tmp_path)
    assert found.step == 1 and [damage.path.name for damage in found.damaged] == ["step-3", "step-2"]
    assert "20 bytes" in found.damaged[1].reason
    aside = store.set_aside(found.damaged[0])
    assert aside.name == "damaged-0-step-3" and [step for step, _ in store.checkpoints(tmp_path)] == [2, 1]


class Killed(BaseException):
    """Nothing may catch it, like SIGKILL."""


FILE_OPERATIONS = ("fsync", "rename", "mkdir", "open", "unlink", "rmdir")


@pytest.mark.parametrize("operation", FILE_OPERATIONS)
def test_a_kill_at_any_file_operation_leaves_a_good_checkpoint(tmp_path, monkeypatch, operation):
    """Both before and after the operation; then the next save removes what was left."""
    real = getattr(os, operation)
    for after in (False, True):
        for number in range(100):
            directory = tmp_path / f"{operation}-{after}-{number}"
            store.save(directory, 1, a_state(), keep=1)
            calls = iter(range(10_000))

            def killed(*arguments, calls=calls, number=number, after=after, **named):
                if next(calls) != number:
                    return real(*arguments, **named)
                if after:
                    with contextlib.suppress(FileExistsError):
                        real(*arguments, **named)
                raise Killed

            with monkeypatch.context() as patch:
                patch.setattr(os, operation, killed)
                try:
                    store.save(directory, 2, a_state(), keep=1)
                    finished = True
                except Killed:
                    finished = False
            found = store.latest(directory)
            assert found.path is not None and not found.damaged
            assert all(store.verify(path) is None for _, path in store.checkpoints(directory))
            assert_equal(store.load(found.path), a_state())
            store.save(directory, 3, a_state(), keep=1)
            assert [path.name for path in directory.iterdir()] == ["step-3"]
            if finished:
                break
        assert 0 < number < 99


@pytest.mark.parametrize("operation", ["rename", "rmdir", "unlink", "fsync"])
def test_a_kill_while_a_checkpoint_is_replaced_leaves_the_old_or_the_new_one(tmp_path, monkeypatch, operation):
    real = getattr(os, operation)
    for number in range(100):
        directory = tmp_path / f"{operation}-{number}"
        store.save(directory, 1, {"run": {"a": 1}}, keep=1)
        calls = iter(range(10_000))

        def killed(*arguments, calls=calls, number=number, **named):
            if next(calls) == number:
                raise Killed
            return real(*arguments, **named)

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(os, operation, killed)
            store.save(directory, 1, {"run": {"a": 2}}, keep=1)
            break
        found = store.latest(directory)
        assert found.path is not None and not found.damaged and store.load(found.path)["run"]["a"] in (1, 2)
        store.save(directory, 1, {"run": {"a": 3}}, keep=1)
        assert [path.name for path in directory.iterdir()] == ["step-1"]
        assert store.load(directory / "step-1")["run"]["a"] == 3
    assert 0 < number < 99


def test_a_failed_save_leaves_nothing_and_says_what_is_safe(tmp_path, monkeypatch):
    store.save(tmp_path, 1, a_state(), keep=2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left.*still on disk: step-1"):
        store.save(tmp_path, 2, a_state(), keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    store.save(tmp_path, 1, {"run": {"a": 1}}, keep=1)
    store.save(tmp_path, 1, {"run": {"a": 2}}, keep=1)
    assert store.load(tmp_path / "step-1") == {"run": {"a": 2}}


@pytest.mark.parametrize("value", [{1: 2}, {"$tensor": 1}, object(), {1, 2}])
def test_what_cannot_be_kept_is_refused(tmp_path, value):
    with pytest.raises(TypeError):
        store.save(tmp_path, 1, {"run": {"value": value}}, keep=1)
    store.save(tmp_path, 1, a_state(), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_manifest_lists_every_file(tmp_path):
    path = store.save(tmp_path, 5, a_state(), keep=1)
    manifest = json.loads((path / "manifest.json").read_text())
    assert set(manifest["files"]) | {"manifest.json"} == {file.name for file in path.iterdir()}
    shutil.move(path, tmp_path / "step-6")
    assert "of step 5" in store.verify(tmp_path / "step-6")
