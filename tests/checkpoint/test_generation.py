"""generation_config.json: read, its ids taken before config.json's, and written again for the tokenizer there is."""

import json

import pytest
import tokenizers

from lively import END, byte_level
from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.generation import GENERATION
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer
from pretune.verbs.generate import writer_of

SHAPE = {"num_layers": 1, "hidden_size": 16, "attention.num_heads": 2, "feed_forward.intermediate_size": 32}
TOLD = {"eos_token_id": [3, 7], "forced_bos_token_id": 5, "num_beams": 4, "max_length": 33}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the cat sat on the mat"] * 4, algorithm="wordpiece", vocab_size=40)[0]


@pytest.fixture(params=["bart", "gpt2"])
def folder(request, tokenizer, tmp_path):
    Bundle.fresh(request.param, SHAPE, tokenizer, heads=[HeadSpec("lm")]).save(tmp_path / "model")
    return tmp_path / "model"


def add(folder, told):
    """As if the model came from somewhere else, with such a file."""
    (folder / "pretune.json").unlink()
    (folder / GENERATION).write_text(told if isinstance(told, str) else json.dumps(told))


def test_a_model_without_the_file_gets_none(folder):
    assert not (folder / GENERATION).exists()
    config = json.loads((folder / "config.json").read_text())
    assert config["eos_token_id"] == 3 and "generation" not in Bundle.load(folder).manifest


def test_it_is_kept_and_its_ids_come_first(folder, tmp_path):
    add(folder, TOLD)
    bundle = Bundle.load(folder)
    assert bundle.manifest["generation"] == TOLD and bundle.manifest["config"]["eos_token_id"] == [3, 7]
    bundle.save(tmp_path / "again")
    bundle.save(tmp_path / "again")  # over what it wrote itself
    assert json.loads((tmp_path / "again" / GENERATION).read_text()) == TOLD
    again = Bundle.load(tmp_path / "again")
    assert again.manifest["generation"] == TOLD and again.manifest["config"]["eos_token_id"] == [3, 7]


def test_ids_are_those_of_the_tokenizer(folder, tmp_path):
    add(folder, {"eos_token_id": 9, "decoder_start_token_id": 9, "pad_token_id": 0, "num_beams": 2})
    Bundle.load(folder).save(tmp_path / "again")
    told = json.loads((tmp_path / "again" / GENERATION).read_text())
    start = 3 if "decoder_layers" in json.loads((folder / "config.json").read_text()) else 9  # GPT-2 has none
    assert told == {"eos_token_id": 3, "decoder_start_token_id": start, "pad_token_id": 0, "num_beams": 2}


def test_several_ends_of_config_json_stay_without_the_file(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    (folder / "pretune.json").unlink()
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": [3, 7]}))
    Bundle.load(folder).save(tmp_path / "again")
    again = Bundle.load(tmp_path / "again")
    assert again.manifest["config"]["eos_token_id"] == [3, 7] and writer_of(again).borders.end_ids == (3, 7)


@pytest.mark.parametrize("name", ["config.json", GENERATION])
def test_what_is_never_written_is_kept_wherever_it_stands(folder, tmp_path, name, tokenizer):
    """Of Marian it is the padding token."""
    add(folder, "{}")
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | {"bad_words_ids": [[0], [7, 8]]}))
    bundle = Bundle.load(folder)
    assert writer_of(bundle).borders.never == ((0,), (7, 8))
    bundle.save(tmp_path / "again")
    assert writer_of(Bundle.load(tmp_path / "again")).borders.never == ((0,), (7, 8))
    assert json.loads((tmp_path / "again" / name).read_text())["bad_words_ids"] == [[0], [7, 8]]
    assert writer_of(Bundle.load(folder, tokenizer=tokenizer)).borders.never == ()
    transformers = pytest.importorskip("transformers")
    kind = "BartForConditionalGeneration" if bundle.family.name == "bart" else "GPT2LMHeadModel"
    theirs = getattr(transformers, kind).from_pretrained(tmp_path / "again")
    assert theirs.generation_config.bad_words_ids == [[0], [7, 8]]
    theirs.save_pretrained(tmp_path / "theirs")


def test_a_damaged_file_is_an_error_that_names_it(folder):
    add(folder, "{")
    with pytest.raises(InputError, match=GENERATION):
        Bundle.load(folder)


def of_the_hub(family, folder, config, pieces=None):
    """A model whose tokenizer's files name no special token, as GPT-2's on the hub."""
    pieces = Tokenizer(byte_level() if pieces is None else pieces, special_tokens={})
    Bundle.fresh(family, SHAPE, pieces, heads=[HeadSpec("lm")]).save(folder)
    for name in ("pretune.json", "special_tokens_map.json"):
        (folder / name).unlink()
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | config))
    return folder


def ids_of(folder, name="config.json"):
    return {key: value for key, value in json.loads((folder / name).read_text()).items() if key.endswith("_token_id")}


def test_roles_that_only_config_json_tells(tmp_path):
    end = Tokenizer(byte_level()).id(END)
    ids = {"bos_token_id": end, "eos_token_id": end}
    folder = of_the_hub("gpt2", tmp_path / "model", ids)
    (folder / GENERATION).write_text(json.dumps(ids))
    bundle = Bundle.load(folder)
    assert bundle.tokenizer.special_tokens == {"bos": END, "eos": END} and bundle.template.single == (0,)
    bundle.save(tmp_path / "again")
    again = Bundle.load(tmp_path / "again")
    assert again.tokenizer.special_tokens == bundle.tokenizer.special_tokens
    assert ids_of(tmp_path / "again") == ids | {"pad_token_id": None} and ids_of(tmp_path / "again", GENERATION) == ids
    assert writer_of(again).borders.end_ids == (end,)


def test_what_is_no_special_token_gets_no_role_and_its_id_stays(tmp_path):
    ids = {"bos_token_id": None, "eos_token_id": 7}  # a letter, of which a tokenizer makes no end
    bundle = Bundle.load(of_the_hub("gpt2", tmp_path / "model", ids))
    assert bundle.tokenizer.special_tokens == {}
    bundle.save(tmp_path / "again")
    assert ids_of(tmp_path / "again") == ids | {"pad_token_id": None}


@pytest.mark.parametrize("is_put", [False, True])
def test_a_begin_token_stands_before_texts_only_where_the_tokenizer_puts_it(tmp_path, is_put):
    """Llama's template has one as soon as the tokenizer has the role."""
    transformers = pytest.importorskip("transformers")
    pieces, number = byte_level(), byte_level().token_to_id(END)
    if is_put:
        processor = tokenizers.processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, number)])
        pieces.post_processor = processor
    folder = of_the_hub("llama", tmp_path / "model", {"bos_token_id": number, "eos_token_id": number}, pieces)
    bundle = Bundle.load(folder)
    assert bundle.template.single == (("bos", 0) if is_put else (0,))
    assert bundle.tokenizer.special_tokens == dict.fromkeys(("bos", "eos") if is_put else ("eos",), END)
    bundle.save(tmp_path / "again")
    assert ids_of(tmp_path / "again") == {"bos_token_id": number, "eos_token_id": number, "pad_token_id": None}
    for path in (folder, tmp_path / "again"):
        theirs = transformers.PreTrainedTokenizerFast.from_pretrained(path)
        assert theirs("the old man").input_ids == [*[number] * is_put, *bundle.tokenizer.encode("the old man").ids_P]


def test_ids_of_a_tokenizer_that_was_replaced_are_gone(tokenizer, tmp_path):
    folder = of_the_hub("gpt2", tmp_path / "model", {"bos_token_id": 0, "eos_token_id": [0, 299]})
    bundle = Bundle.load(folder, tokenizer=tokenizer)
    assert writer_of(bundle).borders.end_ids == (3,)
    bundle.save(tmp_path / "again")
    assert ids_of(tmp_path / "again") == {"bos_token_id": None, "eos_token_id": 3, "pad_token_id": 0}
