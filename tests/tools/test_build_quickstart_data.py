"""The bundled text is what its README says, small, and what the build script makes of the data folder."""

import gzip
import hashlib
import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src/pretune/verbs/quickstart_data"
DATA = Path(os.environ.get("PRETUNE_DATA", ROOT.parent / "shared/data"))

UNIVERSAL_TAGS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"}
UNIVERSAL_TAGS |= {"PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_quickstart_data", ROOT / "tools/build_quickstart_data.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unpacked(name: str) -> str:
    return gzip.decompress((FOLDER / name).read_bytes()).decode()


def test_files_are_those_of_the_readme() -> None:
    rows = re.findall(r"^\| (\S+\.gz) \|.*\| ([\d,]+) \| `(\w{64})` \|$", (FOLDER / "README.md").read_text(), re.M)
    assert {name for name, _, _ in rows} == {path.name for path in FOLDER.glob("*.gz")} and len(rows) == 4
    for name, size, digest in rows:
        content = unpacked(name).encode()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size.replace(",", "")), digest)


def test_it_is_small_and_the_licence_is_named() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4_000_000
    notice = (FOLDER / "README.md").read_text()
    assert "CC BY-SA 4.0" in notice and "https://creativecommons.org/licenses/by-sa/4.0/" in notice


def test_novels_are_whole_paragraphs_and_share_no_document() -> None:
    train, valid = (set(unpacked(f"novels_{split}.txt.gz").strip().split("\n\n")) for split in ("train", "valid"))
    assert not train & valid and len(train) > 300 and len(valid) > 10
    assert min(map(len, train)) >= 400


def test_sentences_have_universal_tags_and_no_test_sentence_is_trained_on() -> None:
    sentences = {split: unpacked(f"ewt_{split}.conll.gz").strip().split("\n\n") for split in ("train", "test")}
    assert {split: len(found) for split, found in sentences.items()} == {"train": 1500, "test": 700}
    words = {}
    for split, found in sentences.items():
        pairs = [[line.split("\t") for line in sentence.split("\n")] for sentence in found]
        assert {tag for sentence in pairs for _, tag in sentence} <= UNIVERSAL_TAGS
        words[split] = {" ".join(form for form, _ in sentence).lower() for sentence in pairs}
    assert not words["train"] & words["test"]


def test_archives_carry_no_time_stamp() -> None:
    assert all(path.read_bytes()[4:8] == b"\0\0\0\0" for path in FOLDER.glob("*.gz"))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data folder, at ../shared/data or PRETUNE_DATA")
def test_the_script_makes_these_files() -> None:
    for name, content in script().build(DATA).items():
        bundled = (FOLDER / name).read_bytes()
        if name.endswith(".gz"):  # zlib versions pack differently
            bundled, content = gzip.decompress(bundled), gzip.decompress(content)
        assert bundled == content, name
