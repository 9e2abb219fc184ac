"""Tests use no network, and neither does pretune unless it is given a hub name."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

HUB = "someone/no-such-model"


def send_a_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("8.8.8.8", 53))


def test_this_process_cannot_leave_the_machine(network_attempts):
    for leave in (
        lambda: socket.create_connection(("93.184.216.34", 80), timeout=1),
        lambda: socket.getaddrinfo("huggingface.co", 443),
        lambda: socket.gethostbyname("huggingface.co"),
        lambda: urllib.request.urlopen("http://huggingface.co", timeout=1),
        send_a_datagram,
    ):
        with pytest.raises(OSError, match="tests use no network"):
            leave()
    assert len(network_attempts()) == 5


def test_loopback_and_unix_sockets_work():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()
    first, second = socket.socketpair(socket.AF_UNIX)
    first.close(), second.close()


def test_processes_that_tests_start_cannot_either(network_attempts):
    ask = "socket.getaddrinfo('huggingface.co', 443)"
    code = f"import socket\ntry:\n    {ask}\nexcept Exception as error:\n    print(error)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tests use no network" in result.stdout
    assert len(network_attempts()) == 1  # though the process swallowed the error


def test_only_a_hub_name_asks_for_the_network(world, tmp_path, monkeypatch, network_attempts):
    """The true command in a process of its own: a directory, one that is missing, and the same with a hub name."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    texts = tmp_path / "texts.txt"
    texts.write_text("the man was kind\n")
    for model, status in ((world.modern / "model", 0), (tmp_path / "nowhere" / "model", 2)):
        process = world.start("embed", "--model", model, texts)
        _, err = process.communicate(timeout=120)
        assert process.returncode == status and network_attempts() == [], err
    process = world.start("embed", "--model", HUB, texts)
    try:
        until = time.monotonic() + 120
        while not (tried := network_attempts()):
            assert time.monotonic() < until, "a hub name did not ask the hub"
            time.sleep(0.1)
        assert "huggingface.co" in tried[0]
    finally:
        process.kill()  # the hub's library would try again for minutes
        process.communicate()
        network_attempts()


def test_a_whole_run_makes_no_look_up(world, tmp_path, network_attempts, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    files = [word for part in ("train", "valid") for word in (f"--{part}", world.file("classify", part))]
    words = ["--model", world.modern / "model", *files, "--out", tmp_path / "run", "epochs=1", "batch_size=8"]
    process = world.start("finetune", "classify", *words)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert network_attempts() == []


def test_the_environment_says_so():
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0].endswith("offline")
