"""JSONL, CSV, TSV and CoNLL files, damaged and made up: right rows, or an error with file and line."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import LONG, SHORT, damaged, survives
from pretune.text.documents import read_parts
from pretune.text.records import read_records

WHOLE = {
    "jsonl": [b'{"text": "a \\u00e9", "label": 1}\n{"text": "b", "label": "x", "more": [1, {"c": null}]}\n'],
    "csv": [b'text,label\n"a, ""b""\nc",1\nd,2\n', b"\xef\xbb\xbftext,label\r\na,1\r\n"],
    "tsv": [b"text\tlabel\na\t1\n\nb\t2\n"],
    "conll": [b"-DOCSTART- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n", b"# id\nEU\tB-ORG\nx\tO\n"],
    "conllu": [
        b"# sent_id = a\n1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\tE\t_\t2\tcase\t_\t_\n"
        b"2\tel\tel\tDET\tD\t_\t0\troot\t_\t_\n2.1\tx\tx\tX\tX\t_\t_\t_\t2:x\t_\n\n"
    ],
    "txt": [b"one\ntwo\n\nthree\n"],
}
OTHERS = [data for each in WHOLE.values() for data in each]


def check(folder, kind, raw):
    path = folder / f"file.{kind}"
    path.write_bytes(raw)
    strict = survives(lambda: read_records(path), f"{path}:")
    lenient = survives(lambda: read_records(path, on_error="skip"), f"{path}:")
    survives(lambda: list(read_parts(path, column="text")), f"{path}:")
    if strict is not None:
        assert lenient == strict, "skipping bad lines may change nothing where there are none"
        lines = raw.count(b"\n") + 1
        assert all(1 <= record.line <= lines for record in strict)


cells = st.text(max_size=6).filter(lambda text: not re.search(r"[\ud800-\udfff\0]", text))


@st.composite
def tables(draw, kind):
    """Right files of odd cells, as the standard writer makes them."""
    rows = draw(st.lists(st.tuples(cells, cells), max_size=4))
    if kind == "jsonl":
        return "".join(json.dumps({"text": a, "label": b}, ensure_ascii=False) + "\n" for a, b in rows).encode()
    between = {"csv": ",", "txt": "\n"}.get(kind, "\t")
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' if kind == "csv" else cell for cell in row] for row in rows]
    head = [f"text{between}label"] if kind in ("csv", "tsv") else []
    return "\n".join([*head, *(between.join(row) for row in quoted)]).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("kind", WHOLE)
@SHORT
@given(data=st.data())
def test_fuzz(tmp_path_factory, kind, data):
    raw = data.draw(st.one_of(damaged(WHOLE[kind], OTHERS), tables(kind)))
    check(tmp_path_factory.getbasetemp(), kind, raw)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WHOLE)
@LONG
@given(data=st.data())
def test_fuzz_long(tmp_path_factory, kind, data):
    raw = data.draw(st.one_of(damaged(WHOLE[kind], OTHERS), tables(kind)))
    check(tmp_path_factory.getbasetemp(), kind, raw)


@SHORT
@given(rows=st.lists(st.tuples(cells.filter(str.strip), cells), min_size=1, max_size=5))
def test_csv_of_any_cells_comes_back(tmp_path_factory, rows):
    import csv

    path = tmp_path_factory.getbasetemp() / "back.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("text", "label"), *rows])
    found = survives(lambda: read_records(path), path)
    assert found is not None and len(found) == len(rows)
    for record, (text, label) in zip(found, rows, strict=True):
        same = {"text": text, "label": label}
        assert record == same or any("\r" in cell for cell in same.values())  # a line end in a cell is a line feed
