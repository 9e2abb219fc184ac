"""Which settings there are, which do not go together, and that none is ignored."""

import pytest

from pretune.core.config import resolve
from pretune.core.errors import InputError
from pretune.decode.choices import Choices
from pretune.decode.settings import Generation

REFUSED = {
    "temperature: without effect unless do_sample=true": ["temperature=0.5"],
    "top_k, seed: without effect unless do_sample=true": ["seed=3", "top_k=2"],
    "length_penalty: without effect unless num_beams above 1": ["length_penalty=0.5"],
    "early_stopping: without effect": ["early_stopping=never", "do_sample=true"],
    "leave num_beams out, or do_sample": ["num_beams=2", "do_sample=true"],
    "it needs do_sample=true or as many num_beams": ["num_return_sequences=3", "num_beams=2"],
    "min_new_tokens is above max_new_tokens, 4": ["min_new_tokens=5", "max_new_tokens=4"],
    "greater than 0": ["temperature=0", "do_sample=true"],
    "less than or equal to 1": ["top_p=1.2", "do_sample=true"],
    "greater than or equal to 1": ["max_new_tokens=0"],
    "length_penalty: it should be less than or equal to 10": ["length_penalty=10.5", "num_beams=2"],
    "a text stands there twice": ["choices=[a, b, a]"],
    "above the 2 choices": ["choices=[a, b]", "num_beams=3", "num_return_sequences=3"],
    "leave min_new_tokens, stop_strings out": ["choices=[a]", "min_new_tokens=1", "stop_strings=[b]"],
    "unknown setting 'max_tokens'": ["max_tokens=4"],
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_does_not_go_together_is_refused(told):
    with pytest.raises(InputError) as error:
        resolve(Generation, assignments=REFUSED[told])
    assert told in str(error.value)


def test_what_goes_together():
    for settings in (
        [
            "num_beams=3",
            "early_stopping=never",
            "length_penalty=-1",
            "num_return_sequences=3",
            "repetition_penalty=1.2",
        ],
        ["do_sample=true", "temperature=0.5", "top_k=3", "top_p=0.5", "min_p=0.1", "seed=4", "num_return_sequences=9"],
        ["choices=[good, bad]", "num_beams=2"],
        ["temperature=1.0", "early_stopping=false"],  # what they are anyway
    ):
        resolve(Generation, assignments=settings)
    assert resolve(Generation, assignments=["early_stopping=never", "num_beams=2"]).early_stopping == "never"


def test_every_setting_that_transformers_has_too_has_its_default():
    config = pytest.importorskip("transformers").GenerationConfig()
    defaults = config._get_default_generation_params()
    own = {"prefix", "choices", "seed", "max_new_tokens", "top_k"}
    for name, field in Generation.model_fields.items():
        if name not in own:
            assert hasattr(config, name), name
            value = defaults.get(name)
            assert value is None or value == field.default, name


def test_choices_say_what_may_follow():
    choices = Choices({"a": [1], "ab": [1, 2], "c": [3, 4]}, end_ids=(0, 9))
    assert choices.num_tokens == 3
    assert choices.after([]) == [1, 3] and sorted(choices.after([1])) == [0, 2, 9] and choices.after([1, 2]) == [0, 9]
    assert choices.after([7]) == [] and not choices.are_over([1, 2])
    bare = Choices({"ab": [1, 2], "c": [3, 4]}, end_ids=())
    assert bare.are_over([1, 2]) and not bare.are_over([1]) and bare.after([1, 2]) == [] and bare.num_tokens == 2


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"a": [1], "": []}, "'' has no pieces"),
        ({"A": [1], "a": [1]}, "'A' and 'a' have the same pieces"),
        ({"a": [1], "ab": [1, 2]}, "another one begins with 'a'"),
    ],
)
def test_choices_that_cannot_be_told_apart_are_refused(texts, told):
    with pytest.raises(InputError) as error:
        Choices(texts, end_ids=())
    assert told in str(error.value)
