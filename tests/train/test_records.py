"""metrics.jsonl on a full disk: no half line, no traceback; with waiting, no line lost."""

import errno
import json
import threading
import time

import pytest

from pretune.checkpoint.disk import OnFull
from pretune.core.errors import RunError
from pretune.train.records import MetricsFile


class Disk:
    """A file's `write` on a disk with so much room; near the end a part of a line is written, as write(2) does."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(data[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


def opened(tmp_path, room, on_full):
    metrics = MetricsFile(tmp_path / "metrics.jsonl", on_full)
    metrics.open_after(0)
    metrics.file = Disk(metrics.file, room)
    return metrics


def steps(tmp_path):
    return [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def test_a_full_disk_leaves_no_half_line(tmp_path):
    (tmp_path / "checkpoints" / "step-1").mkdir(parents=True)
    metrics = opened(tmp_path, 40, OnFull())
    metrics.append({"step": 1, "loss": 0.5})
    with pytest.raises(RunError, match=r"metrics.jsonl could not be written.*lines so far are whole.*: step-1"):
        metrics.append({"step": 2, "loss": 0.5})
    assert steps(tmp_path) == [1]
    metrics.close()
    again = MetricsFile(tmp_path / "metrics.jsonl")
    again.open_after(1)
    again.append({"step": 2})
    again.close()
    assert steps(tmp_path) == [1, 2]


def test_waiting_loses_no_line(tmp_path):
    metrics = opened(tmp_path, 40, OnFull("wait", poll_seconds=0.05))

    def write():
        for step in (1, 2, 3):
            metrics.append({"step": step, "loss": 0.5})

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.3)
    assert writing.is_alive() and steps(tmp_path) == [1]
    metrics.file.room = 1000
    writing.join(10)
    metrics.close()
    assert steps(tmp_path) == [1, 2, 3]


def test_other_errors_are_said(tmp_path):
    metrics = opened(tmp_path, 40, OnFull("wait"))

    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    metrics.file.write = broken
    with pytest.raises(RunError, match="Input/output error.*no checkpoint"):
        metrics.append({"step": 1})
    metrics.close()
