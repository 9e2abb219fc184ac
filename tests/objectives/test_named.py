import pytest

from pretune.core.errors import InputError
from pretune.core.registry import entries
from pretune.objectives.add import add
from pretune.objectives.full_sentences import full_sentences
from pretune.objectives.mlm import mlm
from pretune.objectives.named import open_objective
from pretune.objectives.sentence_order import sentence_order


@pytest.mark.parametrize("name", [name for name in entries("pretune.objectives") if name != "add"])
def test_every_objective_has_a_name(name):
    assert open_objective(name, {}) == open_objective(name.replace("-", "_"), {})


def test_sums_and_settings():
    found = open_objective("sentence_order+mlm", {"masking_rate": 0.3, "copies": 2, "short_rate": 0.0})
    assert found == add(sentence_order(short_rate=0.0, copies=2), mlm(0.3, copies=2))
    assert open_objective("full-sentences + mlm", {"ngram": 3}) == add(full_sentences(), mlm(ngram=3))


@pytest.mark.parametrize(
    "name, settings, match",
    [
        ("span_bondary", {}, "did you mean span-boundary"),
        ("sentence_order+mlm", {"geometric_p": 0.2}, "unknown setting of the objective sentence_order.mlm"),
        ("mlm", {"masking_rate": "much"}, r"objective.\*: masking_rate"),
        ("add", {}, "with . between them"),
        ("mlm+full_sentences", {}, "name it first"),
        ("", {}, "unknown objective"),
    ],
)
def test_refusals(name, settings, match):
    with pytest.raises(InputError, match=match):
        open_objective(name, settings)
