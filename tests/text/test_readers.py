"""Readers of documents and records: formats, faults, bounded memory."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pretune.core.errors import InputError
from pretune.text.documents import Document, read_documents, read_parts
from pretune.text.labels import as_number, check_labels
from pretune.text.records import read_records

DATA = Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pytest.importorskip("zstandard").compress(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_documents_of_text(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.txt{suffix}", "\ufeffone\r\ntwo\n \t\n\nthree\u2028x\n")
    blocks = list(read_documents(path))
    assert blocks == [Document("one\ntwo", str(path), 1), Document("three\u2028x", str(path), 5)]
    assert [d.text for d in read_documents(path, documents="line")] == ["one", "two", "three\u2028x"]
    assert [d.text for d in read_documents([path], documents="file")] == ["one\ntwo\n\n\nthree\u2028x"]


def test_parts_join_to_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"line {n}\n" + "\n" * (n % 50 == 0) for n in range(500)))
    for documents in ("blank-line", "line", "file"):
        whole = [d.text for d in read_documents(path, documents=documents)]
        joined, held = [], ""
        for part in read_parts(path, documents=documents, part_chars=40):
            assert part.text.startswith("\n") == bool(held)
            held += part.text
            if part.ends:
                joined.append(held)
                held = ""
        assert joined == whole


def test_documents_of_tables(tmp_path: Path) -> None:
    rows = [{"body": 'a "b', "n": 1}, {"body": "c\nd", "n": 2}]
    jsonl = write(tmp_path / "a.jsonl.gz", "".join(json.dumps(row) + "\n" for row in rows))
    assert [d.text for d in read_documents(jsonl, column="body")] == ['a "b', "c\nd"]
    with pytest.raises(InputError, match=r"a.jsonl.gz:1: missing value \(no 'text' in the object\)"):
        list(read_documents(jsonl))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["n", "body"])
        writer.writeheader()
        writer.writerows(rows)
    found = list(read_documents(tmp_path / "a.csv", column="body"))
    assert [(d.text, d.line) for d in found] == [('a "b', 2), ("c\nd", 3)]


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"text": ["a", "b"], "label": [1, 0]}), path)
    assert [(d.text, d.line) for d in read_documents(path)] == [("a", 1), ("b", 2)]
    assert read_records(path, required=["text", "label"])[1] == {"text": "b", "label": 0}
    with pytest.raises(InputError, match="no column 'body'; the file has 'text', 'label'"):
        list(read_documents(path, column="body"))
    with pytest.raises(InputError, match="not a Parquet file"):
        list(read_documents(write(tmp_path / "b.parquet", "text")))


BAD_TEXT = {
    "invalid UTF-8": b"ok\n\xff\xc3 bad\nfine\n",
    "NUL byte": b"ok\na\0b\nfine\n",
    "line too long": b"ok\n" + b"x" * 200 + b"\nfine\n",
}


@pytest.mark.parametrize("reason", BAD_TEXT)
def test_bad_lines(tmp_path: Path, reason: str) -> None:
    path = write(tmp_path / "a.txt.gz", BAD_TEXT[reason])
    with pytest.raises(InputError, match=rf"a\.txt\.gz:2: {reason} \(.*\): \w+"):
        list(read_documents(path, max_line_bytes=100))
    skipped: Counter[str] = Counter()
    texts = [d.text for d in read_documents(path, on_error="skip", skipped=skipped, max_line_bytes=100)]
    assert texts == ["ok\nfine"] and skipped == {reason: 1}


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16"):
        list(read_documents(write(tmp_path / "u.txt", "text".encode("utf-16"))))
    with pytest.raises(InputError, match="e.txt:1: empty file"):
        list(read_documents(write(tmp_path / "e.txt", " \n\n")))
    cut = tmp_path / "c.txt.gz"
    cut.write_bytes(gzip.compress(os.urandom(5000).hex().encode())[:2000])
    with pytest.raises(InputError, match="damaged or cut off"):
        list(read_documents(cut))
    with pytest.raises(InputError, match="no such file"):
        list(read_documents(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="is a directory"):
        list(read_documents(tmp_path))
    with pytest.raises(InputError, match="did you mean blank-line"):
        list(read_documents(cut, documents="blank"))  # type: ignore[arg-type]
    skipped: Counter[str] = Counter()
    assert (
        list(read_documents(tmp_path / "e.txt", on_error="skip", skipped=skipped)) == [] and skipped["empty file"] == 1
    )


def test_tsv_is_unquoted_and_csv_is_quoted(tmp_path: Path) -> None:
    rows = 'text{0}label\n"a{0}x\nb"{0}y\n'
    tsv = read_records(write(tmp_path / "a.tsv", rows.format("\t")))
    assert [(r["text"], r["label"], r.line) for r in tsv] == [('"a', "x", 2), ('b"', "y", 3)]
    table = read_records(write(tmp_path / "a.csv", 'text,label\n"one, ""two""\nthree",x\n\nb,y\n'))
    assert [(r["text"], r["label"], r.line) for r in table] == [('one, "two"\nthree', "x", 2), ("b", "y", 5)]
    with pytest.raises(InputError, match=r"b\.csv:3: quotes"):
        read_records(write(tmp_path / "b.csv", 'text,label\na,x\n"open,y\nb,z\n'))


def test_ragged_rows_and_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "sentence\tlabel\na\t1\nb\nc\t2\t3\nd\t4\n")
    with pytest.raises(InputError, match=r"a\.tsv:3: wrong number of cells \(1, the header has 2\)"):
        read_records(path)
    skipped: Counter[str] = Counter()
    records = read_records(path, {"text": "sentence"}, on_error="skip", skipped=skipped)
    assert records == [{"text": "a", "label": "1"}, {"text": "d", "label": "4"}]
    assert records[1].line == 5 and skipped == {"wrong number of cells": 2}
    with pytest.raises(InputError, match="no column 'text'; the file has 'sentence', 'label'.*columns.text=NAME"):
        read_records(path, required=["text"])
    with pytest.raises(InputError, match="'a' stands twice"):
        read_records(write(tmp_path / "b.csv", "a,a\n1,2\n"))
    with pytest.raises(InputError, match=r"c\.csv:3: missing value \('label' is empty\)"):
        read_records(write(tmp_path / "c.csv", "text,label\na,1\nb, \n"), required=["text", "label"])


def test_skipped_line_inside_a_quoted_cell_takes_its_row_along(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'text,label\n"a\n\xff\nb",x\nc,y\n')
    skipped: Counter[str] = Counter()
    assert read_records(path, on_error="skip", skipped=skipped) == [{"text": "c", "label": "y"}]
    assert skipped == {"invalid UTF-8": 1}


def test_jsonl_records(tmp_path: Path) -> None:
    good = write(
        tmp_path / "a.jsonl", '{"text": "a", "choices": ["x", "y"], "label": 1}\n\n{"text": "b", "label": 0}\n'
    )
    assert [r.line for r in read_records(good)] == [1, 3]
    bad = write(tmp_path / "b.jsonl", '{"text": "a"}\n{"text": 3}\n[1]\n{"text"\n{}\n')
    with pytest.raises(InputError, match=r"b\.jsonl:2: wrong type \('text' is int, not text\)"):
        read_records(bad)
    skipped: Counter[str] = Counter()
    assert len(read_records(bad, required=["text"], on_error="skip", skipped=skipped)) == 1
    assert skipped == {"wrong type": 1, "not an object": 1, "invalid JSON": 1, "missing value": 1}


def test_conll(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "# text\nThe\tDET\n#tag\tX\n\n\ncat\tNOUN\n")
    records = read_records(path)
    assert records == [{"words": ["The", "#tag"], "tags": ["DET", "X"]}, {"words": ["cat"], "tags": ["NOUN"]}]
    assert [r.line for r in records] == [2, 6]
    four = write(tmp_path / "b.conll", "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n# NN I-NP O\n")
    assert read_records(four) == [{"words": ["EU", "#"], "tags": ["B-ORG", "O"]}]
    assert read_records(four, {"tags": "2"})[0]["tags"] == ["NNP", "NN"]
    with pytest.raises(InputError, match=r"c\.conll:2: wrong number of cells"):
        read_records(write(tmp_path / "c.conll", "a\tX\nb\n\nc\tX\n"))
    skipped: Counter[str] = Counter()
    assert read_records(tmp_path / "c.conll", on_error="skip", skipped=skipped) == [{"words": ["c"], "tags": ["X"]}]


def test_labels(tmp_path: Path) -> None:
    def labels(*values: object) -> list[str]:
        lines = "".join(json.dumps({"text": "a", "label": value}) + "\n" for value in values)
        return check_labels(read_records(write(tmp_path / "l.jsonl", lines)))

    assert labels("b", "a", "b") == ["a", "b"]
    assert labels(10, 9, 10) == ["9", "10"] == labels("10", "9")
    assert labels(True, False) == ["false", "true"]
    for values in (["a", "b", 3], ["1", "2", "x"], [True, 1, 1], ["a", "", "b"], [0.5, 1, 2], [None, "a"]):
        with pytest.raises(InputError, match=r"l\.jsonl:\d: "):
            labels(*values)
    numbers = read_records(write(tmp_path / "n.tsv", "text\tlabel\na\t3.5\nb\tnan\n"))
    assert as_number(numbers[0]) == 3.5
    with pytest.raises(InputError, match=r"n\.tsv:3: label 'nan' is not a finite number"):
        check_labels(numbers, "number")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_long_line_and_a_large_file_need_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("w") as file:
        file.write("word " * 10_000_000 + "\n")
        for _ in range(6):
            file.write("a line of text\n" * 400_000)
    code = (
        "import sys; from pretune.text.documents import read_parts\n"
        f"total = sum(len(p.text) for p in read_parts({str(path)!r}))\n"
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "print(total, int(peak) // 1024, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) == path.stat().st_size - 1 and int(out[1]) < 400 and out[2] == "False"


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data sets")
def test_every_shared_table_reads() -> None:
    names = [p for p in sorted(DATA.rglob("*")) if p.name.removesuffix(".gz").endswith((".tsv", ".jsonl", ".conll"))]
    assert len(names) > 50
    for path in names:
        if path.stat().st_size < 1 << 20:
            assert read_records(path), path


@pytest.mark.parametrize(
    ("line", "reason"),
    [(r'{"text": "cut \ud83d off"}', "half a surrogate pair"), (r'{"text": "a\u0000b"}', "NUL byte")],
)
def test_what_only_escapes_can_say(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", r'{"text": "\ud83d\ude00 \\ud83d"}' + f"\n{line}\n")
    for read in (read_documents, read_records):
        with pytest.raises(InputError, match=rf"a\.jsonl:2: {reason}"):
            list(read(path))
        skipped: Counter[str] = Counter()
        assert len(list(read(path, on_error="skip", skipped=skipped))) == 1 and skipped == {reason: 1}
    assert read_records(write(path, r'{"text": "\ud83d\ude00 \\ud83d"}'))[0]["text"] == "\U0001f600 \\ud83d"


def test_an_open_quote_loses_its_line_and_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\na,1\n"b,2\nc,3\n"d\nd",4\n"e"e,5\n' + '"f"f,6\n' * 20_000 + "g,7\n")
    skipped: Counter[str] = Counter()
    found = read_records(path, on_error="skip", skipped=skipped)
    assert [(record["text"], record["label"], record.line) for record in found][:1] == [("a", "1", 2)]
    assert [record["text"] for record in found] == ["a", "c", "d\nd", "g"]
    assert skipped == {"quotes": 20_002}


def test_json_files_are_not_taken_for_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"text": "a"}]')
    for read in (read_documents, read_records):
        with pytest.raises(InputError, match=r"a\.json: .*name it \.jsonl"):
            list(read(path))
    assert [d.text for d in read_documents(path, format="txt")] == ['[{"text": "a"}]']
