"""The directory lock with real processes: refusal, death of the owner, races; other machines by their file."""

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pretune.core import lock
from pretune.core.errors import InputError, RunError
from pretune.core.lock import Owner, Pace, claimed

QUICK = Pace(beat=0.05, watch=0.4, settle=0.1)


def process(code, *arguments, **options):
    code = "import sys, time, pathlib\nfrom pretune.core.lock import Pace, claimed\n" + textwrap.dedent(code)
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def refused(directory, why):
    with pytest.raises(InputError, match=why), claimed(directory, "pretune second", pace=QUICK):
        pass


HOLD = """
with claimed(pathlib.Path(sys.argv[1]), "pretune holder"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path / "run" until its input ends."""
    found = process(HOLD, tmp_path / "run")
    assert found.stdout.readline() == "held\n"
    yield found
    found.kill()
    found.communicate()


def stranger(boot="another-kernel", pid=1, id="0" * 32):
    return Owner(id, "elsewhere", boot, pid, "2020-01-01 00:00:00 UTC", "pretune pretrain")


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path, holder):
    with pytest.raises(InputError) as caught, claimed(tmp_path / "run", "pretune second"):
        pass
    told = str(caught.value)
    assert str(tmp_path / "run") in told and f"pretune holder (process {holder.pid} on " in told and "since 20" in told
    assert "another directory" in told
    holder.communicate("")
    assert holder.returncode == 0 and not (tmp_path / "run").exists()
    with claimed(tmp_path / "run", "pretune second") as held:
        assert held.taken_over_from is None


def test_a_killed_owner_is_followed_at_once_and_named(tmp_path, holder, caplog):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with claimed(tmp_path / "run", "pretune second") as held:
        assert f"process {holder.pid} on" in held.taken_over_from
        told = json.loads((tmp_path / "run" / lock.NAME).read_text())
        assert told["pid"] == os.getpid() and told["command"] == "pretune second"
    assert time.monotonic() - started < 1
    assert f"process {holder.pid} on" in caplog.text and "taken over" in caplog.text
    assert list((tmp_path / "run").iterdir()) == []


def test_the_same_process_does_not_get_it_twice(tmp_path):
    with claimed(tmp_path, "pretune first"):
        refused(tmp_path, "in use by pretune first")
    assert list(tmp_path.iterdir()) == []


RACE = """
print("ready", flush=True)
sys.stdin.readline()
try:
    with claimed(pathlib.Path(sys.argv[1]), "pretune racer", pace=Pace(settle=0.1)):
        print("won", flush=True)
        sys.stdin.readline()
except ValueError as error:
    print("lost" if "in use by" in str(error) else error, flush=True)
"""


@pytest.mark.parametrize("left", [b"", None, "dead"])
def test_of_racing_claimants_exactly_one_wins(tmp_path, left):
    """On a new directory, on one with an empty file, and on that of a dead owner."""
    for number in range(3):
        directory = tmp_path / str(number)
        directory.mkdir()
        if left is not None:
            content = stranger(lock._boot()).line(3) if left == "dead" else left
            (directory / lock.NAME).write_bytes(content)
        racers = [process(RACE, directory) for _ in range(3)]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        results = [racer.stdout.readline().strip() for racer in racers]
        assert sorted(results) == ["lost", "lost", "won"]
        for racer in racers:
            racer.communicate("end\n")


def test_many_take_turns_and_never_two_at_once(tmp_path):
    """Threads that claim, and release, again and again: the unlink of one and the opening of another cross often."""
    inside, wins, faults, ends = [], [], [], time.monotonic() + 1.0

    def work(number):
        while time.monotonic() < ends:
            try:
                with claimed(tmp_path / "run", f"worker {number}", pace=Pace(settle=0.01)):
                    inside.append(number)
                    faults.extend(inside[1:])
                    wins.append(number)
                    inside.remove(number)
            except InputError:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and len(wins) > 8 and not (tmp_path / "run" / lock.NAME).exists()


def test_an_owner_elsewhere_that_counts_on_is_left_alone(tmp_path):
    """Its flock is not seen here, as over some network file systems; its beats are."""
    file = tmp_path / lock.NAME
    file.write_bytes(stranger().line(0))
    over = threading.Event()

    def beat():
        count = 0
        while not over.wait(0.1):
            count += 1
            with open(file, "r+b") as there:
                there.write(stranger().line(count))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        refused(tmp_path, "pretune pretrain .process 1 on elsewhere")
    finally:
        over.set()
        thread.join()
    assert json.loads(file.read_text())["host"] == "elsewhere"


@pytest.mark.parametrize("content", [stranger().line(0), b"not JSON", b"\0" * 400, b"[1]\n", b'{"pid": 3}'])
def test_an_owner_elsewhere_that_stands_still_is_followed(tmp_path, content, caplog):
    """So is a file that nobody can read: it blocks no longer than an owner on another machine would."""
    (tmp_path / lock.NAME).write_bytes(content)
    started = time.monotonic()
    with claimed(tmp_path, "pretune second", pace=QUICK) as held:
        assert held.taken_over_from
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()
    assert QUICK.watch <= time.monotonic() - started < 5
    assert "watching for 0.4 s" in caplog.text and "taken over" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_of_two_claimants_from_two_machines_one_wins(tmp_path, monkeypatch):
    """A file system whose flock means nothing: both see the same dead owner, and write."""

    def no_flock(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    for _ in range(3):
        (tmp_path / lock.NAME).write_bytes(stranger().line(0))
        outcomes, all_claimed = [], threading.Barrier(3)

        def claim(number, outcomes=outcomes, all_claimed=all_claimed):
            try:
                with claimed(tmp_path, f"claimant {number}", pace=QUICK):
                    outcomes.append("won")
                    all_claimed.wait()
            except InputError as error:
                outcomes.append(str(error))
                all_claimed.wait()

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("won") == 1 and sum("in use by claimant" in one for one in outcomes) == 2
    with claimed(tmp_path, "first", pace=QUICK):
        refused(tmp_path, "in use by first")


def test_the_owner_counts_and_notices_when_it_was_replaced(tmp_path):
    file = tmp_path / lock.NAME
    with claimed(tmp_path, "pretune first", pace=QUICK) as held:
        first = json.loads(file.read_text())
        until(lambda: json.loads(file.read_text())["beat"] > first["beat"])
        assert {**json.loads(file.read_text()), "beat": 0} == {**first, "beat": 0}
        held.check()

        def rival_stands():  # a beat in its middle writes over a rival's name: it is written again
            if held.lost_to is None:
                file.write_bytes(stranger().line(0))
            return held.lost_to is not None

        until(rival_stands)
        file.write_bytes(stranger().line(0))
        with pytest.raises(RunError, match="taken over by pretune pretrain .process 1 on elsewhere"):
            held.check()
    assert json.loads(file.read_text())["host"] == "elsewhere", "what another owns is not removed"


def until(holds, seconds=30):
    """Waits until something holds, at a beat's pace: how long a beat takes is the machine's affair."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"not within {seconds} s"
        time.sleep(QUICK.beat)


def _sleep(seconds):
    time.sleep(seconds)


def test_a_forked_child_does_not_keep_a_dead_owners_lock(tmp_path):
    code = """
    import os
    with claimed(pathlib.Path(sys.argv[1]), "pretune parent"):
        child = os.fork()
        if child == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
        time.sleep(60)
    """
    parent = process(code, tmp_path)
    child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        os.kill(child, 0)
        with claimed(tmp_path, "pretune second") as held:
            assert "pretune parent" in held.taken_over_from
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


def test_a_spawned_child_leaves_the_parents_lock_alone(tmp_path):
    with claimed(tmp_path, "pretune parent"):
        child = multiprocessing.get_context("spawn").Process(target=_sleep, args=(0,))
        child.start()
        child.join()
        assert child.exitcode == 0
        refused(tmp_path, "in use by pretune parent")


def test_where_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd" / lock.NAME).mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / lock.NAME).symlink_to(tmp_path / "nowhere")
    for name in ("file", "odd", "link", "file/below"):
        with pytest.raises(InputError, match=f"{name} cannot be written in"), claimed(tmp_path / name, "pretune"):
            pass


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunError, match="no room for run.lock.*free space"), claimed(tmp_path / "run", "pretune"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_flock_on_a_file_that_lost_its_name_counts_for_nothing(tmp_path, monkeypatch):
    """The owner releases, and a rival claims, between this claimant's open and its flock."""
    file, real, rivals = tmp_path / lock.NAME, lock.try_flock, contextlib.ExitStack()
    file.write_bytes(stranger(lock._boot()).line(0))
    met = []

    def late(descriptor):
        if not met:
            met.append("rival")
            file.unlink()
            rivals.enter_context(claimed(tmp_path, "pretune rival"))
        return real(descriptor)

    monkeypatch.setattr(lock, "try_flock", late)
    with rivals:
        refused(tmp_path, "in use by pretune rival")


def test_whoever_wrote_last_has_it_where_there_is_no_flock(tmp_path, monkeypatch, caplog):
    """A rival that saw the same dead owner writes its name while this claimant settles."""
    file, rival, sleep = tmp_path / lock.NAME, stranger("third-kernel", 7, "1" * 32), time.sleep
    file.write_bytes(stranger().line(0))

    def slow(seconds):
        is_settling = seconds == QUICK.settle and b"pretune second" in file.read_bytes()
        if is_settling and "process 7" not in caplog.text:
            file.write_bytes(rival.line(0))
        sleep(seconds)

    monkeypatch.setattr(lock.time, "sleep", slow)
    with claimed(tmp_path, "pretune second", pace=QUICK) as held:
        assert "process 7 on elsewhere" in held.taken_over_from, "the rival died too, and was watched in its turn"
