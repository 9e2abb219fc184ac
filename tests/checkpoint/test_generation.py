"""generation_config.json: read, its ids taken before config.json's, and written again for the tokenizer there is."""

import json

import pytest

from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.generation import GENERATION
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec
from pretune.tokenizers.train import train_tokenizer

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


def test_a_damaged_file_is_an_error_that_names_it(folder):
    add(folder, "{")
    with pytest.raises(InputError, match=GENERATION):
        Bundle.load(folder)
