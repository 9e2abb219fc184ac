"""Generators of every family as files: read again equal; only where the family's files know their map does
transformers open them, and elsewhere no user can ask for such a body."""

import json

import pytest
import torch

from pretune.core.errors import InputError
from pretune.core.registry import entries
from pretune.families.family import open_family
from pretune.nn.model import Model
from pretune.objectives.replaced_token import replaced_token

KNOWS_A_MAP = ("albert", "electra", "free")
WITHOUT = ("gpt", "gpt2", "llama", "bart", "byt5", "mt5", "t5", "transformer")
"""Families whose language models have no map of their rows."""


@pytest.mark.parametrize("name", WITHOUT[:3])
def test_decoders_are_no_generators(name):
    family = open_family(name)
    body = family.build(family.config("tiny", 60))
    with pytest.raises(InputError, match=f"{name} has no language model over mapped embeddings.*causal_lm"):
        replaced_token().heads(body)


@pytest.mark.parametrize("name", [name for name in entries("pretune.families") if name not in WITHOUT])
def test_a_generator_is_read_again(name):
    family = open_family(name)
    body = family.build(family.config("tiny", 60))
    generator = replaced_token().heads(body)["lm"]
    model = Model(generator.body, {"lm": generator.head})
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    hf, weights = family.to_hf(model)
    hf = json.loads(json.dumps(hf))
    assert ("embedding_size" in hf.get("pretune", {})) == (name not in KNOWS_A_MAP)
    assert any("pretune.embedding_map" in key for key in weights) == (name not in KNOWS_A_MAP)
    again = family.from_hf(hf, weights)
    assert again.model.body.config == generator.body.config and not again.fresh and not again.unread
    state = again.model.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    if name not in KNOWS_A_MAP:
        with pytest.raises(InputError, match="embedding_size is 0"):
            family.from_hf({**hf, "pretune": {**hf["pretune"], "embedding_size": 0}}, weights)
        with pytest.raises(InputError, match="embedding_size is 64 and not None"):
            family.config("tiny", 60, embedding_size=64)
