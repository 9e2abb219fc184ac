"""Building: the same bytes for any number of workers, whole or nothing, what is held out, damage found."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretune.core.errors import InputError, RunError
from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.corpus import build
from pretune.corpus.blocks import cut_long, read_blocks
from pretune.corpus.build import build_corpus
from pretune.corpus.manifest import read_manifest, verify
from pretune.corpus.store import Corpus
from pretune.text.documents import read_documents, read_parts
from pretune.text.sentences import split_sentences
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer
from timing import fastest


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_ids_and_marks_are_those_of_the_text(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> None:
    done: list[int] = []
    manifest = build_corpus(
        [text_file], tokenizer_dir, tmp_path / "c", valid_fraction=0, language="en", progress=done.append
    )
    assert not manifest["existing"] and manifest["holdout"] == "none" and done[-1] == manifest["text_bytes"]
    corpus, tokenizer = Corpus.open(tmp_path / "c"), Tokenizer.load(tokenizer_dir)
    documents = list(read_documents(text_file))
    assert corpus.num_documents == len(documents) == 120
    for number, document in enumerate(documents):
        start, end = (int(place) for place in corpus.document_starts[number : number + 2])
        pieces = tokenizer.encode(document.text)
        assert corpus.ids(start, end).tolist() == pieces.ids_P.tolist()
        marks = corpus.marks(start, end)
        assert (marks & WORD_START).tolist() == pieces.marks_P.tolist()
        sentences = [first for first, _ in split_sentences(document.text, "en")]
        starts = np.flatnonzero(marks & SENTENCE_START)
        assert pieces.offsets_P2[starts, 0].tolist() == sentences
        inside = (corpus.sentence_starts >= start) & (corpus.sentence_starts < end)
        assert (corpus.sentence_starts[inside] - start).tolist() == starts.tolist()
    counts = np.bincount(corpus.ids(0, corpus.num_tokens), minlength=len(tokenizer))
    assert corpus.unigram_counts.tolist() == counts.tolist()
    assert manifest["splits"]["train"]["words"] == np.count_nonzero(corpus.marks(0, corpus.num_tokens) & WORD_START)
    with pytest.raises(InputError, match="no split 'valid'.*valid fraction of 0"):
        Corpus.open(tmp_path / "c", "valid")


def test_same_bytes_for_any_number_of_workers(
    tmp_path: Path, text_file: Path, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretune.corpus.blocks.read_blocks.__defaults__", (3000,))
    for workers in (1, 2, 3):
        build_corpus([text_file], tokenizer_dir, tmp_path / f"c{workers}", valid_fraction=0.1, workers=workers)
    first = content(tmp_path / "c1")
    assert first == content(tmp_path / "c2") == content(tmp_path / "c3") and len(first) > 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c1", "c2", "c3"]


def test_blocks_and_parts_change_nothing(
    tmp_path: Path, text_file: Path, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_corpus([text_file], tokenizer_dir, tmp_path / "a", documents="file", valid_fraction=0)
    monkeypatch.setattr(build, "read_parts", lambda *args, **rest: read_parts(*args, **rest, part_chars=500))
    build_corpus([text_file], tokenizer_dir, tmp_path / "b", documents="file", valid_fraction=0)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_long_lines_are_cut_before_spaces() -> None:
    text = "word " * 50 + "x" * 300 + "  y"
    cuts = list(cut_long(text, 100))
    assert "".join(cuts) == text and max(map(len, cuts)) <= 100
    assert cuts[1].startswith(" word") and cuts[0].endswith("word")
    assert list(cut_long("", 5)) == [""] and list(cut_long(" " * 12, 5))


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5])
def test_whole_documents_are_held_out(tmp_path: Path, text_file: Path, tokenizer_dir: Path, fraction: float) -> None:
    manifest = build_corpus([text_file], tokenizer_dir, tmp_path / "c", valid_fraction=fraction)
    train, valid = Corpus.open(tmp_path / "c"), Corpus.open(tmp_path / "c", "valid")
    assert manifest["holdout"] == "documents"
    assert 0.5 * fraction <= valid.num_tokens / (train.num_tokens + valid.num_tokens) <= 1.6 * fraction
    tokenizer = Tokenizer.load(tokenizer_dir)
    everything = sorted(tokenizer.encode(d.text).ids_P.tolist() for d in read_documents(text_file))
    found = []
    for corpus in (train, valid):
        places = corpus.document_starts.tolist()
        found += [corpus.ids(a, b).tolist() for a, b in zip(places[:-1], places[1:], strict=True)]
        assert set(places[:-1]) <= set(corpus.sentence_starts.tolist())
    assert sorted(found) == everything
    assert np.allclose(valid.vocab.unigram_V, train.unigram_counts / train.num_tokens)


def test_equal_documents_go_to_the_same_split(tmp_path: Path, tokenizer_dir: Path, text_file: Path) -> None:
    path = tmp_path / "twice.txt"
    path.write_text(text_file.read_text() + "\n" + text_file.read_text())
    build_corpus([path], tokenizer_dir, tmp_path / "c", valid_fraction=0.2)
    texts = []
    for split in ("train", "valid"):
        corpus = Corpus.open(tmp_path / "c", split)  # type: ignore[arg-type]
        places = corpus.document_starts.tolist()
        texts.append({tuple(corpus.ids(a, b).tolist()) for a, b in zip(places[:-1], places[1:], strict=True)})
    assert texts[1] and not texts[0] & texts[1]


def test_few_documents_lose_their_ends(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> None:
    manifest = build_corpus([text_file], tokenizer_dir, tmp_path / "c", documents="file", valid_fraction=0.05)
    train, valid = Corpus.open(tmp_path / "c"), Corpus.open(tmp_path / "c", "valid")
    assert manifest["holdout"] == "tails" and valid.num_documents == train.num_documents == 1
    assert abs(valid.num_tokens / (train.num_tokens + valid.num_tokens) - 0.05) < 0.01
    ids = Tokenizer.load(tokenizer_dir).encode(next(read_documents(text_file, documents="file")).text).ids_P.tolist()
    assert train.ids(0, train.num_tokens).tolist() + valid.ids(0, valid.num_tokens).tolist() == ids
    (tmp_path / "one.txt").write_text("one sentence")
    with pytest.raises(InputError, match="nothing can be held out"):
        build_corpus([tmp_path / "one.txt"], tokenizer_dir, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_every_document_starts_a_sentence(tmp_path: Path) -> None:
    tokenizer, _ = train_tokenizer(["a b c d"], algorithm="byte", vocab_size=300, lowercase=False)
    tokenizer.save(tmp_path / "tokenizer")
    (tmp_path / "code.txt").write_text("    one. Two.\n\n   \u200b three\n" * 5)
    build_corpus([tmp_path / "code.txt"], tmp_path / "tokenizer", tmp_path / "c", valid_fraction=0)
    corpus = Corpus.open(tmp_path / "c")
    assert set(corpus.document_starts[:-1].tolist()) < set(corpus.sentence_starts.tolist())
    first = tokenizer.encode("    one. Two.").ids_P
    assert corpus.ids(0, len(first)).tolist() == first.tolist()


def test_a_second_build_says_so_or_refuses(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> None:
    def once(**changes: Any) -> dict[str, Any]:
        return build_corpus([text_file], tokenizer_dir, tmp_path / "c", **changes)

    first = once(language="en")
    before = {name: (tmp_path / "c" / name).stat().st_mtime_ns for name in first["files"]}
    again = once(language="en-GB", workers=2)
    assert again["existing"] and {**again, "existing": False} == first
    assert before == {name: (tmp_path / "c" / name).stat().st_mtime_ns for name in first["files"]}
    with pytest.raises(InputError, match=r"another corpus \(documents, language differ\)"):
        once(documents="line")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(InputError, match="not a corpus"):
        build_corpus([text_file], tokenizer_dir, tmp_path / "other")


@pytest.mark.parametrize("files", [[], ["none.txt"], ["a.txt", "./a.txt"]])
def test_wrong_requests(tmp_path: Path, tokenizer_dir: Path, files: list[str]) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError):
        build_corpus([tmp_path / name for name in files], tokenizer_dir, tmp_path / "c")
    for changes in ({"workers": 0}, {"valid_fraction": 0.9}, {"language": "xx"}, {"documents": "page"}):
        with pytest.raises(InputError):
            build_corpus([tmp_path / "a.txt"], tokenizer_dir, tmp_path / "c", **changes)  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt"]


def test_bad_lines_raise_or_are_counted(tmp_path: Path, tokenizer_dir: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"The cat. The dog.\n\xff\n\nA house. A river.\n\n\x01\x02\n")
    with pytest.raises(InputError, match=r"a\.txt:2: invalid UTF-8"):
        build_corpus([path], tokenizer_dir, tmp_path / "c")
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "c").exists()
    manifest = build_corpus([path], tokenizer_dir, tmp_path / "c", on_error="skip", valid_fraction=0)
    assert manifest["skipped"] == {"invalid UTF-8": 1} and manifest["documents_without_tokens"] == 1
    assert manifest["splits"]["train"]["documents"] == 2


def test_killed_build_leaves_no_corpus_and_the_next_one_cleans_up(
    tmp_path: Path, text_file: Path, tokenizer_dir: Path
) -> None:
    code = (
        "import time; from pretune.corpus.build import build_corpus\n"
        f"build_corpus([{str(text_file)!r}], {str(tokenizer_dir)!r}, {str(tmp_path / 'c')!r},"
        " workers=2, progress=lambda n: (print('here', flush=True), time.sleep(60)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"here\n"
    process.kill()
    process.wait()
    assert select.select([process.stdout], [], [], 30)[0], "workers outlive their parent"
    assert process.stdout.read() == b""  # nobody holds the other end any more
    process.stdout.close()
    assert not (tmp_path / "c").exists() and len(list(tmp_path.glob(".c.partial-*"))) == 1
    build_corpus([text_file], tokenizer_dir, tmp_path / "c")
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_damage_is_found_and_named(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> None:
    folder = tmp_path / "c"
    build_corpus([text_file], tokenizer_dir, folder)
    assert verify(folder)["splits"] == read_manifest(folder)["splits"]
    tokens = folder / "tokens-train.bin"
    data = bytearray(tokens.read_bytes())
    data[100] ^= 1
    tokens.write_bytes(data)
    Corpus.open(folder)
    with pytest.raises(RunError, match=r"1 of \d+ files are damaged: tokens-train.bin \(changed\)"):
        verify(folder)
    tokens.write_bytes(data[:-2])
    (folder / "documents-valid.idx").unlink()
    with pytest.raises(InputError, match="tokens-train.bin has .* bytes instead of .*documents-valid.idx is missing"):
        Corpus.open(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"\ud800": 1}))  # half a character, as JSON can say it
    with pytest.raises(InputError, match="manifest.json: damaged"):
        Corpus.open(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(InputError, match="version 99, this pretune reads 2"):
        Corpus.open(folder)
    with pytest.raises(InputError, match="no corpus here"):
        Corpus.open(tmp_path)


def test_memory_is_bounded(tmp_path: Path, text_file: Path, tokenizer_dir: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("w") as file:
        file.write("word " * 2_000_000 + "\n\n")
        for _ in range(3):
            file.write((text_file.read_text().replace("\n\n", "\n")) * 120)
    code = (
        "import sys; from pretune.corpus.build import build_corpus\n"
        f"build_corpus([{str(path)!r}], {str(tokenizer_dir)!r}, {str(tmp_path / 'c')!r}, documents='file')\n"
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "print(int(peak) // 1024, 'torch' in sys.modules)"
    )
    if not os.path.exists("/proc/self/status"):
        pytest.skip("reads the peak of memory from /proc")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert path.stat().st_size > 20e6 and int(out[0]) < 300 and out[1] == "False"


def test_speed(text_file: Path, tokenizer_dir: Path) -> None:
    from pretune.corpus.encode import Encoder

    encoder = Encoder(Tokenizer.load(tokenizer_dir), "en")
    units = [unit for block in read_blocks(read_parts(text_file)) for unit in block.units] * 20
    megabytes = sum(len(unit.text) for unit in units) / 1e6
    assert megabytes / fastest(lambda: encoder.encode(units)) > 1.5  # 5 and more seen, the cache being warm


def test_a_script_without_main_guard_ends_whatever_the_size_of_its_tokenizer(tmp_path: Path, text_file: Path) -> None:
    """A worker that dies at its start left the parent writing into a pipe that nobody read."""
    words = [" ".join(f"word{number}" for number in range(20_000))]
    tokenizer, _ = train_tokenizer(words, algorithm="word", vocab_size=20_005, heldout_fraction=0)
    tokenizer.save(tmp_path / "t")
    script = tmp_path / "script.py"
    script.write_text(
        "from pretune.corpus.build import build_corpus\n"
        f"build_corpus([{str(text_file)!r}], {str(tmp_path / 't')!r}, {str(tmp_path / 'c')!r}, workers=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "__main__" in done.stderr and not (tmp_path / "c").exists()
