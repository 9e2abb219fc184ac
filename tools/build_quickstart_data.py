"""Builds the text that `pretune quickstart` carries: novels to pre-train on, and tagged web sentences.

    python tools/build_quickstart_data.py DATA_FOLDER [--out src/pretune/verbs/quickstart_data]

DATA_FOLDER holds `eltec_eng/` (public domain) and `ud_ewt_pos/` (CC BY-SA 4.0). The result is the same for every run:
excerpts are cut at fixed places, sentences are chosen by a hash of their number, archives carry no time stamp.
"""

import argparse
import csv
import gzip
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

TRAIN_BYTES = 5_000_000
VALID_BYTES = 256_000
EXCERPTS_PER_NOVEL = 3
MIN_DOCUMENT_BYTES = 500
TRAIN_SENTENCES = 1500
TEST_SENTENCES = 700
MAX_PACKED_BYTES = 4_000_000

Sentence = tuple[str, ...]
"""Lines `token TAB tag`."""


@dataclass(frozen=True)
class Novel:
    author: str
    title: str
    year: str
    chapters: list[str]


def read_novels(folder: Path, split: str) -> list[Novel]:
    """The novels of a split, their chapters counted off by the manifest; stops where the two do not fit."""
    path = folder / ("train.txt.gz" if split == "train" else f"{split}.txt")
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    blocks = text.strip("\n").split("\n\n")
    novels = []
    with open(folder / "manifest.tsv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == split]
    for row in rows:
        number = int(row["chapters"])
        chapters, blocks = blocks[:number], blocks[number:]
        if len("\n\n".join(chapters).encode()) != int(row["bytes"]):
            raise SystemExit(f"{row['source_file']}: the text does not fit the manifest")
        title = row["title"].replace(": ELTeC edition", "").strip()
        novels.append(Novel(row["author"].rstrip("."), title, row["first_edition_year"], chapters))
    if blocks:
        raise SystemExit(f"{path}: {len(blocks)} blocks are left over")
    return novels


def excerpts(novel: Novel, num_bytes: int) -> list[str]:
    """Runs of whole paragraphs that begin with the chapters 1/6, 3/6 and 5/6 through the novel, of equal size."""
    found = []
    for part in range(EXCERPTS_PER_NOVEL):
        first = (2 * part + 1) * len(novel.chapters) // (2 * EXCERPTS_PER_NOVEL)
        last = (2 * part + 3) * len(novel.chapters) // (2 * EXCERPTS_PER_NOVEL)
        room = num_bytes // EXCERPTS_PER_NOVEL
        for chapter in novel.chapters[first : max(last, first + 1)]:
            kept = _head(chapter, room)
            if len(kept.encode()) >= MIN_DOCUMENT_BYTES:
                found.append(kept)
            room -= len(kept.encode())
            if len(kept) < len(chapter):
                break
    return found


def _head(chapter: str, room: int) -> str:
    kept = []
    for paragraph in chapter.split("\n"):
        room -= len(paragraph.encode()) + 1
        if room < 0:
            break
        kept.append(paragraph)
    return "\n".join(kept)


def build_novels(folder: Path, split: str, num_bytes: int) -> tuple[str, list[Novel]]:
    """Text of a split (a blank line between documents) and its novels."""
    novels = read_novels(folder, split)
    documents = [text for novel in novels for text in excerpts(novel, num_bytes // len(novels))]
    return "\n\n".join(documents) + "\n", novels


def read_sentences(path: Path) -> list[Sentence]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    return [tuple(block.split("\n")) for block in text.strip("\n").split("\n\n")]


def choose(sentences: list[Sentence], number: int, key: str, banned: set[str]) -> list[Sentence]:
    """`number` sentences in the order of a hash of their places; none with the words of another or of `banned`."""
    order = sorted(range(len(sentences)), key=lambda place: hashlib.sha256(f"{key}:{place}".encode()).digest())
    seen, chosen = set(banned), []
    for place in order:
        if (words := words_of(sentences[place])) not in seen:
            seen.add(words)
            chosen.append(sentences[place])
    return chosen[:number]


def words_of(sentence: Sentence) -> str:
    return " ".join(line.split("\t")[0] for line in sentence).lower()


def build_sentences(folder: Path) -> tuple[list[Sentence], list[Sentence]]:
    """Training and test sample; no test sentence's words occur as a training sentence."""
    test = choose(read_sentences(folder / "test.upos.conll"), TEST_SENTENCES, "test", set())
    train = read_sentences(folder / "train.upos.conll.gz")
    return choose(train, TRAIN_SENTENCES, "train", {words_of(sentence) for sentence in test}), test


def conll(sentences: list[Sentence]) -> str:
    return "\n\n".join("\n".join(sentence) for sentence in sentences) + "\n"


def pack(text: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


README = """# What `pretune quickstart` reads

Built by `tools/build_quickstart_data.py`. All files are UTF-8, gzipped.

| file | what | bytes unpacked | sha256 unpacked |
|---|---|---|---|
{table}

## Novels: public domain

`novels_train.txt.gz` and `novels_valid.txt.gz` are excerpts of English novels of 1840 to 1920: from each novel, whole
paragraphs from the chapters about one sixth, one half and five sixths through it; a paragraph a line, a blank line
between documents. No novel is in both files.

Source: ELTeC-eng (European Literary Text Collection, COST Action CA16204, https://doi.org/10.5281/zenodo.4662444),
commit 3db3b6738a836f0e1b276b6c9703e42f4297f978, level 1. The texts are in the public domain, as the collection states;
every author died in 1955 or earlier. The collection's mark-up (CC BY 4.0) is not kept.

<details><summary>The novels</summary>

{novels}

</details>

## Tagged sentences: CC BY-SA 4.0

`ewt_train.conll.gz` and `ewt_test.conll.gz` are a small sample of the **Universal Dependencies English Web Treebank**
(UD_English-EWT, v2.16, commit 15d613d8447b3478787d4c278730a1e48a945efb of UniversalDependencies/UD_English-EWT) by
Natalia Silveira, Timothy Dozat, Marie-Catherine de Marneffe, Samuel Bowman, Miriam Connor, John Bauer, Christopher D.
Manning and the contributors named there (A Gold Standard Dependency Corpus for English, LREC 2014).

They are licensed under the Creative Commons Attribution-ShareAlike 4.0 International licence
(https://creativecommons.org/licenses/by-sa/4.0/): you may share and adapt them if you give credit, say what you changed
and pass them on under the same licence. They come without warranty. These two files alone are under that licence, not
the rest of pretune.

Changes made here: {num_train} sentences of the training split and {num_test} of the test split, chosen and ordered by
a hash of their place; sentences whose words repeat an earlier one left out, from the training sample also those whose
words are a test sentence's; of the annotation only word form and universal part-of-speech tag are kept (`form TAB tag`,
a blank line between sentences).
"""

WHAT = {
    "novels_train": "text to pre-train on: {novels} novels, {documents:,} documents, {words:,} words",
    "novels_valid": "held-out text: {novels} novels, {documents:,} documents, {words:,} words",
    "ewt_train": "tagged sentences to draw labelled samples from: {documents:,} sentences, {words:,} words",
    "ewt_test": "tagged sentences to score on: {documents:,} sentences, {words:,} words",
}


def readme(texts: dict[str, str], novels: dict[str, list[Novel]], num_train: int, num_test: int) -> str:
    rows = []
    for name, text in texts.items():
        tagged = name.startswith("ewt")
        words = sum(bool(line) for line in text.split("\n")) if tagged else len(text.split())
        what = WHAT[name].format(novels=len(novels.get(name, [])), documents=text.count("\n\n") + 1, words=words)
        digest = hashlib.sha256(text.encode()).hexdigest()
        suffix = "conll" if tagged else "txt"
        rows.append(f"| {name}.{suffix}.gz | {what} | {len(text.encode()):,} | `{digest}` |")
    listed = [f"- {n.author}: {n.title}{f' ({n.year})' if n.year else ''}" for part in novels.values() for n in part]
    return README.format(table="\n".join(rows), novels="\n".join(listed), num_train=num_train, num_test=num_test)


def build(data: Path) -> dict[str, bytes]:
    """File name -> bytes of everything in the folder."""
    train_text, train_novels = build_novels(data / "eltec_eng", "train", TRAIN_BYTES)
    valid_text, valid_novels = build_novels(data / "eltec_eng", "valid", VALID_BYTES)
    train, test = build_sentences(data / "ud_ewt_pos")
    texts = {
        "novels_train": train_text,
        "novels_valid": valid_text,
        "ewt_train": conll(train),
        "ewt_test": conll(test),
    }
    files = {f"{name}.{'conll' if name.startswith('ewt') else 'txt'}.gz": pack(text) for name, text in texts.items()}
    novels = {"novels_train": train_novels, "novels_valid": valid_novels}
    files["README.md"] = readme(texts, novels, len(train), len(test)).encode()
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--out", type=Path, default=Path("src/pretune/verbs/quickstart_data"))
    request = parser.parse_args()
    files = build(request.data)
    total = sum(len(content) for content in files.values())
    if total > MAX_PACKED_BYTES:
        raise SystemExit(f"{total} bytes packed: the limit is {MAX_PACKED_BYTES}")
    request.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (request.out / name).write_bytes(content)
        print(f"{len(content):>9,}  {request.out / name}")


if __name__ == "__main__":
    main()
