"""What a tokenizer is trained on: texts or files as one stream, every k-th document kept apart."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from pretune.core.errors import InputError
from pretune.text.documents import Documents, read_documents

Source = Iterable[str] | Iterable[Path]
"""Texts (`str`) or files (`pathlib.Path`)."""


def read_texts(source: Source, documents: Documents) -> Iterator[str]:
    """The texts of a source, as a stream. A `str` is a text and never a file's name."""
    if isinstance(source, str | Path):
        raise InputError("give a list of files (pathlib.Path) or of texts, not a single one")
    items: Iterator[object] = iter(source)
    first = next(items, None)
    if first is None:
        return
    kind = Path if isinstance(first, Path) else str
    checked = _only(kind, chain([first], items))
    if kind is str:
        yield from (str(text) for text in checked)
        return
    for document in read_documents([Path(str(path)) for path in checked], documents=documents):
        yield document.text


def _only(kind: type, items: Iterable[object]) -> Iterator[object]:
    for number, item in enumerate(items, 1):
        if not isinstance(item, kind):
            raise InputError(f"item {number} is {item!r}, not a {kind.__name__} like the first one")
        if isinstance(item, str) and not _is_unicode(item):
            raise InputError(f"text {number} has half a surrogate pair, which is not valid Unicode: {item[:60]!r}")
        yield item


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class HoldingOut:
    """Iterates once over the documents to train on; every k-th one goes to `held_out` instead.

    fraction: k = round(1 / fraction), the k-th, 2k-th ... document is held out; 0: none. max_bytes: what `held_out`
    keeps, in UTF-8; documents held out beyond it are counted but neither kept nor trained on.
    """

    def __init__(self, texts: Iterable[str], fraction: float, max_bytes: int) -> None:
        if not 0 <= fraction <= 0.5:
            raise InputError(f"heldout_fraction is {fraction}: give a share from 0 to 0.5")
        self._texts = texts
        self._every = round(1 / fraction) if fraction else 0
        self._room = max_bytes
        self.held_out: list[str] = []
        self.num_trained = 0
        self.num_heldout = 0

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self._texts, 1):
            if self._every and number % self._every == 0:
                self._keep(text)
            else:
                self.num_trained += bool(text.strip())
                yield text

    def _keep(self, text: str) -> None:
        self.num_heldout += 1
        if self._room > 0:
            self.held_out.append(text)
            self._room -= len(text.encode("utf-8"))
