"""build_corpus: files to a corpus directory, by any number of processes, the same bytes.

The text is encoded block by block (a first pass, in order, into files beside the final ones), then split into train and
valid and hashed (a second pass), so that memory stays bounded; the disk holds the ids twice for a while. Everything is
written in a directory beside the final name, synced, and renamed last: under the final name there is a whole corpus or
none. What an interrupted build leaves is removed by the next one.
"""

import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError, RunError
from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.core.processes import remove_left_by_dead, unique_to_process
from pretune.corpus.blocks import Block
from pretune.corpus.encode import Encoded, id_dtype
from pretune.corpus.holdout import hold_out
from pretune.corpus.manifest import FORMAT, MANIFEST, VERSION, file_entry, manifest_text, read_manifest
from pretune.corpus.workers import encode_all
from pretune.corpus.write import CHUNK_TOKENS, OnDisk, write_split
from pretune.text.documents import Documents, read_parts
from pretune.text.faults import OnError
from pretune.text.sentences import language_of
from pretune.tokenizers.tokenizer import Tokenizer


def build_corpus(
    files: Iterable[str | Path],
    tokenizer_dir: str | Path,
    out: str | Path,
    *,
    documents: Documents = "blank-line",
    valid_fraction: float = 0.01,
    workers: int = 1,
    language: str | None = None,
    on_error: OnError = "raise",
    column: str = "text",
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Builds a corpus and returns its manifest, with "existing": whether `out` held exactly this corpus already.

    documents, column, on_error: as `text.read_documents`. valid_fraction: share of the tokens held out (`holdout.py`).
    language: of the sentence rule. workers: processes; the bytes do not depend on it. progress: called with the bytes
    of text encoded so far. Raises InputError for bad text, and where `out` holds anything else.
    """
    paths = [Path(path) for path in files]
    out = Path(out)
    _check(paths, valid_fraction, workers)
    tokenizer = Tokenizer.load(tokenizer_dir)
    request = {
        "sources": [{"name": path.name, **file_entry(path)} for path in paths],
        "documents": documents,
        "column": column,
        "valid_fraction": valid_fraction,
        "language": language_of(language),
        "on_error": on_error,
        "tokenizer": tokenizer.fingerprint,
    }
    existing = _existing(out, request)
    if existing is not None:
        return {"existing": True, **existing}
    partial = _partial_folder(out)
    try:
        skipped: Counter[str] = Counter()
        parts = read_parts(paths, documents=documents, column=column, on_error=on_error, skipped=skipped)
        encoded = encode_all(parts, tokenizer, language, workers, partial)
        first = _first_pass(partial, encoded, progress)
        manifest = _second_pass(partial, first, request, tokenizer, skipped)
        _publish(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return {"existing": False, **manifest}


def _check(paths: Sequence[Path], valid_fraction: float, workers: int) -> None:
    if not paths:
        raise InputError("no files: name at least one file of text")
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
    twice = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]} is named twice: its text would count double")
    if not 0 <= valid_fraction <= 0.5:
        raise InputError(f"valid_fraction is {valid_fraction}: give a share from 0 to 0.5")
    if workers < 1:
        raise InputError(f"workers is {workers}: give at least 1")


def _existing(out: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest under the final name if it answers this request; None where the name is free."""
    if not out.exists():
        return None
    if out.is_dir() and not any(out.iterdir()):
        return None
    if not (out / MANIFEST).is_file():
        raise InputError(f"{out}: exists and is not a corpus: give another --out")
    manifest = read_manifest(out)
    different = [name for name, value in request.items() if manifest["request"].get(name) != value]
    if different:
        raise InputError(
            f"{out}: holds another corpus ({', '.join(different)} differ): give another --out or remove it"
        )
    return manifest


def _partial_folder(out: Path) -> Path:
    """A fresh directory beside the final name; those that dead processes of this machine left are removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{out.name}.partial-"
    remove_left_by_dead(out.parent, prefix)
    folder = out.parent / unique_to_process(prefix)
    try:
        folder.mkdir()
    except FileExistsError:
        raise InputError(f"{out}: this process is building it already") from None
    return folder


class _FirstPass:
    """What the first pass leaves: two files and, in memory, the ends and hashes of the documents."""

    def __init__(self, folder: Path) -> None:
        self.paths = (folder / "encoded.ids", folder / "encoded.marks")
        self.ends = array("q")
        self.hashes = array("Q")
        self.num_bytes = 0
        self.num_tokens = 0
        self.documents_without_tokens = 0
        self._document_start = 0

    def add(self, block: Block, encoded: Encoded) -> None:
        for ends, tokens in zip(block.ends, encoded.tokens_per_unit.tolist(), strict=True):
            self.num_tokens += tokens
            if ends is None:
                continue
            if self.num_tokens > self._document_start:
                self.ends.append(self.num_tokens)
                self.hashes.append(ends)
            else:
                self.documents_without_tokens += 1
            self._document_start = self.num_tokens
        self.num_bytes += block.num_bytes


def _first_pass(
    folder: Path, encoded: Iterable[tuple[Block, Encoded]], progress: Callable[[int], None] | None
) -> _FirstPass:
    first = _FirstPass(folder)
    with first.paths[0].open("wb") as ids, first.paths[1].open("wb") as marks:
        for block, result in encoded:
            result.ids_T.tofile(ids)
            result.marks_T.tofile(marks)
            first.add(block, result)
            if progress is not None:
                progress(first.num_bytes)
    if not first.ends:
        raise InputError("no text was left to build a corpus of")
    return first


def _second_pass(
    folder: Path, first: _FirstPass, request: dict[str, Any], tokenizer: Tokenizer, skipped: Counter[str]
) -> dict[str, Any]:
    dtype = id_dtype(tokenizer.vocab.size)
    ids_T, marks_T = OnDisk(first.paths[0], dtype), OnDisk(first.paths[1], np.dtype(np.uint8))
    held = hold_out(
        np.frombuffer(first.ends, np.int64),
        np.frombuffer(first.hashes, np.uint64),
        request["valid_fraction"],
        lambda start, end: _marked(marks_T, SENTENCE_START, start, end),
        lambda start, end: _marked(marks_T, WORD_START, start, end),
    )
    splits: dict[str, dict[str, int]] = {}
    files: dict[str, dict[str, Any]] = {}
    for split, ranges in (("train", held.train), ("valid", held.valid)):
        if len(ranges):
            splits[split], entries = write_split(folder, split, ranges, ids_T, marks_T, tokenizer.vocab.size)
            files |= entries
    for path in first.paths:
        path.unlink()
    tokenizer.save(folder / "tokenizer")
    files |= {f"tokenizer/{p.name}": file_entry(p) for p in sorted((folder / "tokenizer").iterdir())}
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "request": request,
        "token_dtype": dtype.str,
        "vocab_size": tokenizer.vocab.size,
        "text_bytes": first.num_bytes,
        "holdout": held.rule,
        "splits": splits,
        "skipped": dict(sorted(skipped.items())),
        "documents_without_tokens": first.documents_without_tokens,
        "files": files,
    }
    (folder / MANIFEST).write_text(manifest_text(manifest), "utf-8")
    return read_manifest(folder)


def _marked(marks_T: OnDisk, mark: int, start: int, end: int) -> NDArray[np.int64]:
    found = [
        np.flatnonzero(marks_T[at : min(at + CHUNK_TOKENS, end)] & mark) + at for at in range(start, end, CHUNK_TOKENS)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _publish(partial: Path, out: Path) -> None:
    for path in [*partial.rglob("*"), partial]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    try:
        os.rename(partial, out)
    except OSError as error:
        raise RunError(f"{out}: appeared while the corpus was being built ({error}): give another --out") from error
    handle = os.open(out.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
