"""YAML and settings, damaged and made up: a mapping of plain values, or an error with file and line."""

from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import LONG, SHORT, VALUES, damaged, survives
from pretune.core.config import load_yaml, parse_assignments
from pretune.core.errors import InputError

WHOLE = [
    b"verb: pretrain\nsettings:\n  optimizer:\n    lr: 0.001\n  tokens: null\n  labels: [a, 'b', \"c\\n\"]\nn: 3\n",
    b"a: |\n  text\n  more\nb: {c: [1, 2.5, true], d: 2020-01-01}\n? e\n: f\n",
]


def plain(value):
    if isinstance(value, dict):
        return all(map(plain, [*value, *value.values()]))
    return (
        all(map(plain, value))
        if isinstance(value, list)
        else not isinstance(value, type | bytes) and not callable(value)
    )


def check(folder, raw):
    path = folder / "run.yaml"
    path.write_bytes(raw)
    found = survives(lambda: load_yaml(path), path)
    assert found is None or (isinstance(found, dict) and plain(found))


made_up = st.dictionaries(st.text(max_size=5), VALUES, max_size=4).map(lambda t: yaml.safe_dump(t).encode())


@SHORT
@given(raw=st.one_of(damaged(WHOLE), made_up))
def test_fuzz_yaml(tmp_path_factory, raw):
    check(tmp_path_factory.getbasetemp(), raw)


@pytest.mark.slow
@LONG
@given(raw=st.one_of(damaged(WHOLE), made_up))
def test_fuzz_yaml_long(tmp_path_factory, raw):
    check(tmp_path_factory.getbasetemp(), raw)


@SHORT
@given(
    text=st.one_of(st.text(max_size=30), damaged([b"a.b=[1, 2]", b"a={b: 1}"]).map(lambda d: d[:200].decode("latin-1")))
)
def test_fuzz_assignments(text):
    with suppress(InputError):
        parse_assignments([text])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: &x [1]\n", "run.yaml:2: .*anchors and aliases"),
        ("a: 1\nb: *x\n", "run.yaml:2: .*anchors and aliases"),
        ("a: 1\n\nb: !!python/object/apply:os.system [x]\n", "run.yaml:3: .*tags"),
        ("a: !!str 1\n", "run.yaml:1: .*tags"),
        ("a: 1\nb: 2\na: 3\n", "run.yaml:3: .*duplicate key 'a'"),
        ("a: 1\n<<: {b: 2}\n", "run.yaml:2: .*merge keys"),
        ("a: " + "[" * 40 + "]" * 40, "run.yaml:1: .*deeper than 32"),
        ("a: 1\nb: [\n", "run.yaml:3: "),
        ("a: 1\nb: \0\n", r"run.yaml:2: .*U\+0000"),
        ("a: '\n", "run.yaml:2: "),
        ("a: 1\nb: 2020-13-45\n", "run.yaml:2: .*month"),
        ('a: "\\ud800"\n', "run.yaml:1: .*surrogate"),
        ("a: " + "1:" * 5000 + "1\n", "run.yaml:1: .*400 digits"),
        ("- a\n", "run.yaml:1: expected a mapping"),
        ("a: 1\n---\nb: 2\n", "run.yaml:2: "),
    ],
)
def test_what_is_left_out_of_yaml_is_told_with_its_line(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_yaml(path)
