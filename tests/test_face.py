"""The names that outside code relies on: all there, and what they say, whatever was imported before."""

import types
from importlib import import_module

import pytest

import pretune


@pytest.mark.parametrize("name", pretune.__all__)
def test_every_name_is_there_and_no_folder_hides_it(name):
    if name in ("evaluate",):
        import_module(f"pretune.{name}.report")  # binds the folder of this name to the package
    assert not isinstance(getattr(pretune, name), types.ModuleType)


def test_the_verb_and_the_folder_of_one_name_are_both_reached():
    from pretune.evaluate.table import Table
    from pretune.verbs.evaluate import evaluate

    assert pretune.evaluate is evaluate
    assert import_module("pretune.evaluate.table").Table is Table


def test_what_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'finetine'"):
        _ = pretune.finetine
