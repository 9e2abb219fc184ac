"""The family free: every choice of the block is kept in its files, and computes; modern is one point of it."""

import json

import pytest
import torch
from tests.beside_transformers import VOCAB, examples, randomise

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.families.family import HeadSpec, family_of, open_family
from pretune.nn.config import Disentangled, FanIn, Learned, NoPosition, Normal, RelativeBuckets, Rotary, Sinusoidal
from pretune.nn.model import Model

SMALL = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 64}
SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3, "unk": 4}
CHOICES = [
    {},
    {"position": "learned"},
    {"position": "sinusoidal"},
    {"position": "relative"},
    {"position": "disentangled"},
    {"position": "none"},
    {"position": {"type": "rotary", "base": 500.0, "scaling": {"factor": 4.0, "low_frequency": 1.0}}},
    {"position": {"type": "learned", "max_positions": 50}},
    {"norm": {"kind": "rms"}},
    {"norm": {"bias": True}, "attention.bias": True, "feed_forward.bias": True},
    {"placement": "post", "final_norm": False, "position": "learned"},
    {"embedding_norm": False},
    {"attention.qk_norm": True},
    {"attention.num_key_value_heads": 1, "attention.head_size": 8},
    {"attention.scaled": False, "attention.windows": [3, None]},
    {"attention.causal": True},
    {"feed_forward.gated": False, "feed_forward.activation": "relu"},
    {"num_segments": 2, "scaled_embedding": True},
    {"embedding_size": 16, "num_groups": 1},
    {"attention.prefix": True},
    {"init": "normal"},
    {"init": {"type": "normal", "std": 0.05}},
    {"output": {"bias": False}},
]


def small(**changes):
    family = open_family("free")
    body = family.build(family.config(SMALL, VOCAB, **changes))
    specs = [HeadSpec("lm"), HeadSpec("sequence", ("no", "yes"))]
    return family, randomise(Model(body, {spec.kind: family.head_of(spec, body) for spec in specs})), specs


def outputs(model):
    with torch.no_grad():
        return model(pack(examples(open_family("free").template(SPECIAL), ("lm", "sequence"))).to("cpu"))


@pytest.mark.parametrize("changes", CHOICES, ids=lambda changes: json.dumps(changes)[1:-1] or "none")
def test_every_choice_is_kept_and_computes_the_same(changes):
    family, model, specs = small(**changes)
    plain = small()[1]
    assert not changes or model.body.config != plain.body.config
    hf, weights = family.to_hf(model, specs)
    hf = json.loads(json.dumps(hf))
    assert family_of(hf) is family
    loaded = family.from_hf(hf, weights)
    assert loaded.model.body.config == model.body.config and not loaded.fresh and not loaded.unread
    found = outputs(model)
    for kind, value in outputs(loaded.model).items():
        assert torch.equal(value, found[kind]) and value.isfinite().all()


@pytest.mark.parametrize("changes", CHOICES[1:19], ids=lambda changes: json.dumps(changes)[1:-1])
def test_every_choice_changes_what_is_computed(changes):
    """Where a weight's shape stays, it is the same weight."""
    model, plain = small(**changes)[1], small()[1]
    there = model.state_dict()
    same = {n: v for n, v in plain.state_dict().items() if n in there and there[n].shape == v.shape}
    model.load_state_dict(same, strict=False)
    assert not torch.allclose(outputs(model)["lm"], outputs(plain)["lm"], atol=1e-3)


def test_modern_is_one_point_of_it():
    """The same weights under both families compute the same."""
    family, model, specs = small()
    modern = open_family("modern")
    twin = Model(modern.build(modern.config(SMALL, VOCAB)), {})
    assert twin.body.config == model.body.config
    twin.body.load_state_dict(model.body.state_dict())
    twin = Model(twin.body, {spec.kind: modern.head_of(spec, twin.body) for spec in specs})
    twin.heads.load_state_dict(model.heads.state_dict())
    assert all(torch.equal(value, outputs(model)[kind]) for kind, value in outputs(twin.eval()).items())
    assert family.presets == modern.presets


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("learned", Learned(1024)),
        ("sinusoidal", Sinusoidal(1024)),
        ("rotary", Rotary()),
        ("relative", RelativeBuckets()),
        ("disentangled", Disentangled()),
        ("none", NoPosition()),
    ],
)
def test_positions_have_names(name, kind):
    assert open_family("free").config(SMALL, 29, position=name).position == kind


def test_starts_have_names():
    family = open_family("free")
    assert family.config(SMALL, 29, init="fan-in").init == FanIn()
    assert family.config(SMALL, 29, init={"type": "normal", "cutoff": 2.0}).init == Normal(cutoff=2.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"position": "rotari"}, "unknown model.position 'rotari'.*rotary"),
        ({"position": {"type": "learned", "max_position": 9}}, "number 'max_position'"),
        ({"position": {"type": "learned", "max_positions": 0}}, "max_positions is 0"),
        ({"position": {"type": "learned", "max_positions": 1 << 40}}, "max_positions is 1099511627776"),
        ({"position": {"type": "rotary", "base": "far"}}, "model.position: base"),
        ({"position": {"type": "rotary", "base": 0.0}}, "base of wavelengths"),
        ({"position": {"type": "learned", "first": -1}}, "begin at row -1"),
        ({"position": {"type": ["rotary"]}}, "expected a type"),
        ({"position": {"type": "rotary", "scaling": {"faktor": 2.0}}}, "scaling.faktor"),
        ({"placement": "middle"}, "unknown placement 'middle'"),
        ({"norm": {"kind": "batch"}}, "unknown norm.kind 'batch'"),
        ({"init": "zero"}, "unknown model.init 'zero'"),
        ({"attention.windows": [3]}, "windows has 1 entries for 2 layers"),
        ({"attention.windows": "wide"}, "attention.windows is 'wide'"),
        ({"embedding_size": "wide"}, "embedding_size is 'wide'"),
        ({"attention.head_size": 7}, "even head size"),
    ],
)
def test_what_is_no_choice_is_refused_in_words(changes, words):
    with pytest.raises(InputError, match=words):
        open_family("free").config(SMALL, 29, **changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position", {"type": "alibi"}),
        ("position", 3),
        ("placement", "middle"),
        ("norm.kind", "batch"),
        ("attention.windows", [0, None]),
        ("attention.windows", "wide"),
        ("embedding_size", -1),
        ("num_groups", 1.5),
        ("num_layers", 1 << 20),
        ("feed_forward.activation", "mish"),
        ("auto_map", {"AutoModel": "there--modeling.Model"}),
        ("strange", 1),
    ],
)
def test_files_that_say_something_else_are_refused(key, value):
    family, model, specs = small()
    hf, weights = family.to_hf(model, specs)
    with pytest.raises(InputError, match=key):
        family.from_hf(hf | {key: value}, weights)


def test_longest_sequence_is_that_of_the_positions():
    family = open_family("free")
    length = {"type": "learned", "max_positions": 50}
    assert family.max_length(family.config(SMALL, 29, position=length), {}) == 50
    assert family.max_length(family.config(SMALL, 29), {}) == 1024


def test_other_families_name_it():
    with pytest.raises(InputError, match="the family free"):
        open_family("modern").config(SMALL, 29, placement="post")
