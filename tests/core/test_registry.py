import sys

import pytest

from pretune.core.errors import InputError, need_extra
from pretune.core.randomness import derive_rng, derive_seed
from pretune.core.registry import entries, find


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A zoo."""\n')
    (folder / "big_cat.py").write_text('"""Roars.\n\nLoudly."""\nbig_cat = 3\n')
    (folder / "shared.py").write_text('"""Not an entry."""\nfood = 1\n')
    (folder / "broken.py").write_text('"""Defined, but does not import."""\ndef broken(): ...\nraise RuntimeError\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield "zoo"
    for name in [name for name in sys.modules if name.split(".")[0] == "zoo"]:
        del sys.modules[name]


def test_entries_are_files_that_define_their_own_name(package):
    assert entries(package) == {"big-cat": "Roars.", "broken": "Defined, but does not import."}


def test_a_folder_is_read_once(package, monkeypatch):
    first = entries(package)
    first.clear()  # the caller's own copy
    monkeypatch.setattr("ast.parse", lambda *_: pytest.fail("parsed again"))
    assert list(entries(package)) == ["big-cat", "broken"]


def test_find_by_either_spelling_and_from_outside(package):
    assert find(package, "animal", "big-cat") == find(package, "animal", "big_cat") == 3
    assert find(package, "animal", "zoo.shared:food") == 1


@pytest.mark.parametrize("name", ["bigcat", "shared", "zoo.shared:drink", "nowhere:x"])
def test_unknown_names_are_input_errors(package, name):
    with pytest.raises(InputError):
        find(package, "animal", name)


def test_a_missing_extra_says_how_to_install_it():
    with pytest.raises(InputError, match=r'pip install "pretune\[data\]"'):
        need_extra("no_such_module_at_all", "data")


def test_generators_depend_on_every_number_and_its_place():
    draws = {derive_rng(*key).random() for key in [(1, 2), (2, 1), (1, 2, 0), (12,), ("1", 2)]}
    assert len(draws) == 5
    assert 0 <= derive_seed(1, 2, 3) < 2**63
