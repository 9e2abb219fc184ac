import pytest

from pretune.core.config import Settings, dump_yaml, fields, load_yaml, parse_assignments, resolve
from pretune.core.errors import InputError


class Inner(Settings):
    lr: float = 1e-3
    """Learning rate."""


class Outer(Settings):
    steps: int = 10
    """Steps."""
    optimizer: Inner = Inner()
    """The optimizer."""


def test_assignments_win_over_layers():
    settings = resolve(Outer, {"steps": 1}, {"optimizer": {"lr": 0.5}}, assignments=["optimizer.lr=3e-4"])
    assert settings == Outer(steps=1, optimizer=Inner(lr=3e-4))


def test_fields_are_dotted_and_documented():
    found = fields(Outer)
    assert list(found) == ["steps", "optimizer.lr"]
    assert found["optimizer.lr"] == ("float", 1e-3, "Learning rate.")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizr.lr=1", "did you mean optimizer.lr"),
        ("optimizer.lrr=1", "did you mean optimizer.lr"),
        ("steps=many", "steps: .*'many'"),
        ("steps", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("optimizer=3", "optimizer"),
        ("optimizer.lr=inf", "optimizer.lr: it should be a finite number"),
        ("optimizer.lr=.nan", "optimizer.lr: it should be a finite number"),
    ],
)
def test_wrong_settings_say_what_is_right(assignment, message):
    with pytest.raises(InputError, match=message):
        resolve(Outer, assignments=[assignment])


def test_a_key_set_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        parse_assignments(["steps=1", "steps=2"])
    with pytest.raises(InputError, match="value before"):
        parse_assignments(["optimizer=1", "optimizer.lr=2"])


def test_yaml_round_trip(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(dump_yaml({"steps": 3, "optimizer": {"lr": 1e-5}}))
    assert resolve(Outer, load_yaml(path)) == Outer(steps=3, optimizer=Inner(lr=1e-5))


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "a: &x 1\nb: *x", "- 1", "a: [", "? [1]\n: 2", "{{{", "\x00", "a: !!python/object:os.system 1"],
)
def test_hostile_yaml_is_an_input_error_naming_the_file(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="run.yaml"):
        load_yaml(path)


def test_huge_and_missing_yaml(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_text("a: " + "1" * (2 << 20))
    with pytest.raises(InputError, match=r"big.yaml: larger than 262,144 bytes"):
        load_yaml(path)
    with pytest.raises(InputError, match="none.yaml: missing"):
        load_yaml(tmp_path / "none.yaml")
