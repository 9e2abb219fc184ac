"""Corpus: one split of a corpus directory, memory-mapped. Implements `core.protocols.TokenStore`.

Dimensions: T tokens, D documents, S sentences, V vocabulary.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pretune.core.errors import InputError, RunError
from pretune.core.vocab import Vocab
from pretune.corpus.manifest import check_sizes, manifest_text, read_manifest
from pretune.corpus.tables import FOLDER, load_table, save_table
from pretune.tokenizers.tokenizer import Tokenizer

CHUNK = 1 << 20
"""Entries of a piece of a table."""

Split = Literal["train", "valid"]


class Corpus:
    """A split of a corpus. Open it with `Corpus.open`; it pickles as its directory and split.

    document_starts: int64 [D + 1]; document d is [starts[d], starts[d + 1]). sentence_starts: int64 [S], ascending.
    """

    def __init__(self, folder: Path, split: str, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.split = split
        self.manifest = manifest
        self.num_tokens: int = manifest["splits"][split]["tokens"]
        self.num_documents: int = manifest["splits"][split]["documents"]
        self._ids_T = self._map(f"tokens-{split}.bin", np.dtype(manifest["token_dtype"]))
        self._marks_T = self._map(f"marks-{split}.bin", np.dtype(np.uint8))
        self._tables: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def open(cls, folder: str | Path, split: Split = "train") -> "Corpus":
        """Opens a split. InputError where there is no corpus, no such split, or a file of a wrong size."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        if split not in manifest["splits"]:
            known = ", ".join(manifest["splits"])
            todo = "; it was built with a valid fraction of 0: build one with --valid-fraction 0.01"
            why = todo if split == "valid" else ""
            raise InputError(f"{folder}: no split {split!r} (it has {known}){why}")
        check_sizes(folder, manifest)
        return cls(folder, split, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus.open, (self.folder, self.split)

    def __repr__(self) -> str:
        return f"Corpus({str(self.folder)!r}, {self.split!r}: {self.num_tokens:,} tokens)"

    def _map(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        return np.asarray(np.memmap(self.folder / name, dtype, "r"))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the manifest, hexadecimal: it holds the hash of every file."""
        return hashlib.sha256(manifest_text(self.manifest).encode("utf-8")).hexdigest()

    @cached_property
    def document_starts(self) -> NDArray[np.int64]:
        return self.table("document-starts", lambda corpus: corpus._document_starts())

    def _document_starts(self) -> Iterator[NDArray[np.int64]]:
        ends_D = self._map(f"documents-{self.split}.idx", np.dtype("<i8"))
        yield np.zeros(1, np.int64)
        yield from (ends_D[at : at + CHUNK] for at in range(0, len(ends_D), CHUNK))

    @cached_property
    def sentence_starts(self) -> NDArray[np.int64]:
        return self._map(f"sentences-{self.split}.idx", np.dtype("<i8"))

    @cached_property
    def unigram_counts(self) -> NDArray[np.int64]:
        """int64 [V]: how often each id occurs in this split."""
        return np.fromfile(self.folder / f"unigrams-{self.split}.bin", "<i8")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the corpus was built with. RunError where it is not the one of the manifest."""
        tokenizer = Tokenizer.load(self.folder / "tokenizer")
        if tokenizer.fingerprint != self.manifest["request"]["tokenizer"]:
            raise RunError(f"{self.folder / 'tokenizer'}: not the tokenizer this corpus was built with")
        return tokenizer

    @cached_property
    def vocab(self) -> Vocab:
        """The tokenizer's vocabulary with the unigram frequencies of the train split."""
        counts_V = np.fromfile(self.folder / "unigrams-train.bin", "<i8")
        return replace(self.tokenizer.vocab, unigram_V=counts_V / counts_V.sum())

    def ids(self, start: int, end: int) -> NDArray[np.int32]:
        """int32 ids of the tokens [start, end), a copy. ValueError for places outside."""
        self._check(start, end)
        return self._ids_T[start:end].astype(np.int32)

    def marks(self, start: int, end: int) -> NDArray[np.uint8]:
        """uint8 marks (`core.marks`) of the tokens [start, end), read-only. ValueError for places outside."""
        self._check(start, end)
        return self._marks_T[start:end]

    def _check(self, start: int, end: int) -> None:
        if not 0 <= start <= end <= self.num_tokens:
            raise ValueError(f"tokens [{start}, {end}) of {self.num_tokens}")

    def table(self, name: str, compute: Callable[["Corpus"], Iterable[NDArray[np.int64]]]) -> NDArray[np.int64]:
        """A table [N] under this name, computed once, piece by piece, kept beside the corpus and memory-mapped.

        It is held in memory where that place is read-only or full.
        The name must say everything the table depends on besides the corpus: the arrangement and its length.
        """
        if name not in self._tables:
            digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:24]
            path = self.folder / FOLDER / f"{self.split}-{digest}.npy"
            found = load_table(path)
            found = save_table(path, compute(self)) if found is None else found
            self._tables[name] = np.concatenate(list(compute(self))) if found is None else found
        return self._tables[name]
