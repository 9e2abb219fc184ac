import pytest

from pretune.core.config import Settings, assignment, called, dump_yaml, fields, load_yaml, parse_assignments, resolve
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
        ("optimizer.lr=nan", "optimizer.lr: it should be a finite number"),
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("[0.9, 0.98]", [0.9, 0.98]),
        ("{a: 1}", {"a": 1}),
        ('"0"', "0"),
        ("'1e-3'", "1e-3"),
        ('"null"', "null"),
        ('"a "', "a "),
    ],
)
def test_values_of_assignments(text, value):
    found = parse_assignments([f"task.x={text}"])["task"]["x"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["no", "yes", "on", "~", "|", ">", "#1 String", "a #b", "2024-01-01", "010", "0x10"])
def test_what_yaml_would_make_something_else_of_stays_text(text):
    assert parse_assignments([f"task.x={text}"]) == {"task": {"x": text}}
    assert resolve(Outer, assignments=["steps=010"]).steps == 10


@pytest.mark.parametrize("text", ["#1 String", "yes", "010", "true", "null", "1.50", "1e3", "[a]", "2024-01-01", "~"])
def test_names_of_columns_are_texts(text):
    expected = {"columns": {"text": text}}
    assert parse_assignments([f"columns.text={text}"]) == expected
    assert parse_assignments([f"finetune.columns.text='{text}'"]) == {"finetune": expected}


@pytest.mark.parametrize("key", ["task.x", "columns.text"])
@pytest.mark.parametrize(
    "value", ["0", "no", "null", "1e-3", '"a"', "'a'", "[a]", "a: b", " a ", "|", '"\n\u2028\x85', "\\n", "😀", ""]
)
def test_an_assignment_is_read_back(key, value):
    parent, leaf = key.split(".")
    assert parse_assignments([assignment(key, value)]) == {parent: {leaf: value}}


def test_where_only_a_text_is_wanted_a_number_is_one():
    def shown(name: str | None = None, labels: tuple[str, ...] = (), number: int | str = 0) -> list:
        return [name, *labels, number]

    assert called("shown", shown, {"name": 0, "labels": [0, "a"], "number": 1}) == ["0", "0", "a", 1]
    assert called("shown", shown, {"name": True}) == ["true", 0]
    with pytest.raises(InputError, match="shown: name: it should be a valid string"):
        called("shown", shown, {"name": [0]})
