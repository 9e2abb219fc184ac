"""What the fuzz tests share: profiles, and ways to damage a file that was whole.

The rule everywhere: a reader gives a right value or an error (ours, or a ValueError) that names the file; it never
hangs (a deadline an example) and never ends otherwise. Short by default and the same examples each time; the long form
is marked slow and draws new ones: PRETUNE_FUZZ_EXAMPLES=20000 pytest -m slow -k fuzz.
"""

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pretune.core.errors import PretuneError

COMMON = {
    "deadline": timedelta(seconds=20),
    "suppress_health_check": list(HealthCheck),
    "database": None,
}
SHORT = settings(max_examples=15, derandomize=True, **COMMON)
LONG = settings(max_examples=int(os.environ.get("PRETUNE_FUZZ_EXAMPLES", "2000")), **COMMON)

ODD = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\r",
        b"\n\n",
        b'"',
        b'"a',
        b"\\",
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\t",
        b",",
    ),
    *(b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"true", b'""', b"{}", b"[]"),
    *(
        b"9" * 5000,
        b"99999999999999999999",
        b"18446744073709551615",
        b"4294967295",
        b"1.5",
        b"[" * 3000,
        b'{"a":' * 3000,
    ),
    *(
        "\u2028\u202e\u0000\U0001f642e\u0301".encode(),
        b"&a",
        b"*a",
        b"!!python/object/apply:os.system",
        b"<<: ",
        b"- ",
        b"? ",
    ),
]


@st.composite
def damaged(draw, whole, others=()):
    """Bytes of a file with up to four cuts, flips, splices, repeats or odd insertions; now and then a 10 MB field."""
    data = bytes(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + draw(st.sampled_from([1, 4, 40, 4000])))))
        kind = draw(st.sampled_from(["cut", "tail", "flip", "insert", "replace", "repeat", "splice", "random", "long"]))
        if kind == "cut":
            data = data[:at] + data[end:]
        elif kind == "tail":
            data = data[:at]
        elif kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        elif kind == "insert":
            data = data[:at] + draw(st.sampled_from(ODD)) + data[at:]
        elif kind == "replace":
            data = data[:at] + draw(st.sampled_from(ODD)) + data[end:]
        elif kind == "repeat":
            data = data[:end] + data[at:end] * draw(st.sampled_from([1, 2, 50])) + data[end:]
        elif kind == "splice":
            other = bytes(draw(st.sampled_from([*whole, *others])))
            data = data[:at] + other[draw(st.integers(0, len(other))) :]
        elif kind == "random":
            data = data[:at] + draw(st.binary(max_size=12)) + data[end:]
        elif draw(st.integers(0, 30)) == 0:
            data = data[:at] + b"x" * 10_000_000 + data[at:]
    return data


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.sampled_from([10**9, 10**12, 2**63, -(10**9), 10**400, 0.5, -1.0, 1e308, 5e-324]),
    st.text(max_size=8),
    st.sampled_from(["gelu", "full_attention", "default", "../../x", "0", "NaN"]),
)
VALUES = st.recursive(
    SCALARS, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(st.text(max_size=5), x, max_size=3))
)


@st.composite
def altered(draw, tree, keys=()):
    """A JSON value with up to three of its parts replaced, dropped or added, anywhere inside it."""
    for _ in range(draw(st.integers(1, 3))):
        tree = draw(_altered_once(tree, keys))
    return tree


@st.composite
def _altered_once(draw, tree, keys):
    if isinstance(tree, dict) and tree and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(tree)))
        what = draw(st.sampled_from(["drop", "set", "set", "inside", "inside", "add"]))
        if what == "drop":
            return {name: value for name, value in tree.items() if name != key}
        if what == "add":
            return tree | {draw(st.one_of(st.text(max_size=6), st.sampled_from([*keys, "auto_map"]))): draw(VALUES)}
        return tree | {key: draw(VALUES) if what == "set" else draw(_altered_once(tree[key], keys))}
    if isinstance(tree, list) and tree and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(tree) - 1))
        return [*tree[:place], draw(_altered_once(tree[place], keys)), *tree[place + 1 :]]
    return draw(VALUES)


def survives(read, path):
    """Calls a reader; errors of ours and ValueErrors are right where they name the file, all others fail the test."""
    try:
        return read()
    except (ValueError, PretuneError) as error:
        assert str(path) in str(error), f"{error!r} does not name {path}"
        return None
