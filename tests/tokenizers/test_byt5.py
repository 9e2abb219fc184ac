"""ByT5's tokenizer from a directory without a vocabulary: the ids of transformers' class, both ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

transformers = pytest.importorskip("transformers")

from pretune.core.errors import InputError  # noqa: E402
from pretune.tokenizers.tokenizer import Tokenizer  # noqa: E402

TEXTS = [
    "Hello, wörld!",
    "你好 🙂\n\ttab  two",
    " before",
    "",
    "a </s> b",
    "<extra_id_0>x <extra_id_1>",
    "\x7f\x80\xad\xff",
]


@pytest.fixture(scope="module")
def theirs():
    return transformers.ByT5Tokenizer()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("byt5")
    theirs.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def ours(folder):
    assert not (folder / "tokenizer.json").exists()
    return Tokenizer.load(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_transformers(ours, theirs, text):
    assert ours.backend.encode(text).ids == theirs(text)["input_ids"]
    assert ours.backend.encode(text, "and B").ids == theirs(text, "and B")["input_ids"]
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.decode(ours.encode(text).ids_P) == theirs.decode(ids, skip_special_tokens=True)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_texts_ids_are_its_bytes(ours, text):
    if "<" not in text:
        assert ours.encode(text).ids_P.tolist() == [byte + 3 for byte in text.encode()]


def test_special_tokens_and_size(ours, theirs):
    assert len(ours) == len(theirs) == 384
    assert {role: ours.special_ids[role] for role in ("pad", "eos", "unk")} == {"pad": 0, "eos": 1, "unk": 2}
    assert ours.vocab.sentinel_ids == tuple(range(259, 384))


def test_it_is_written_as_a_tokenizer_that_opens(ours, theirs, tmp_path):
    ours.save(tmp_path)
    again, fast = Tokenizer.load(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert again.encode(text).ids_P.tolist() == ours.encode(text).ids_P.tolist()
        assert fast(text)["input_ids"] == theirs(text)["input_ids"]


@pytest.mark.parametrize("number", [-1, "many", 10**9])
def test_a_number_of_extra_ids_that_is_none(folder, tmp_path, number):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config = {key: value for key, value in config.items() if "<extra_id_" not in str(value)}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "extra_ids": 3}))
    assert len(Tokenizer.load(tmp_path)) == 262
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "extra_ids": number}))
    with pytest.raises(InputError, match="extra_ids is .*expected a whole number"):
        Tokenizer.load(tmp_path)
