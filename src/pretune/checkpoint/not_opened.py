"""What a directory says of itself that transformers does not open of it: the key "transformers" of pretune.json."""

from collections.abc import Mapping
from typing import Any

from pretune.families.family import FREE

WITHOUT_CRF = (
    "opens this model as a token classifier and leaves out its CRF (pretune.crf.transitions in model.safetensors): "
    "tags are then each word's best one, and may differ from pretune's"
)
"""What pretune.json says under "transformers" of a model with a CRF."""
WITHOUT_CAUSALITY = (
    "opens this model as {}, whose tokens see both sides, and it was trained from left to right: its numbers there are "
    "others; predict with pretune, or pre-train a bert recipe, whose files can say it"
)
"""What pretune.json says under "transformers" of a causal model whose family's files have no key for it."""
WITHOUT_MAP = (
    "cannot open this model, the generator that a discriminator was trained beside: its embeddings of {} stand before "
    "layers of {}, for which {} has no place; a generator of the family electra opens there"
)
"""Likewise of a generator whose family's files know no map between embeddings and layers."""
WITHOUT_CLASS = "cannot open this model: its family is free, whose files are pretune's own"
"""Likewise of a body whose choices no family of transformers has."""
WITHOUT_TOP = (
    "opens this model as {} and leaves out the BiLSTM on top of it and its heads (pretune.* in model.safetensors), for "
    "it has no class with one: predict with pretune"
)
"""Likewise of a model that was fine-tuned with a layer on top of its body."""
WITHOUT_HEAD = (
    "opens this model as {} and leaves out its {} head (pretune.* in model.safetensors), for it has no class with {} "
    "pooling: predict with pretune"
)
"""Likewise of a head that pools as no class of transformers does."""
WITHOUT_VECTOR = (
    "opens this model as {}, which gives rows and no vector of a text: `pretune export --format sentence-transformers` "
    "writes one that sentence-transformers opens with its pooling"
)
"""Likewise of a model with an embedding head."""


def not_opened(config: Mapping[str, Any], has_crf: bool) -> dict[str, str]:
    """What pretune.json says under "transformers" of a model that it does not open whole; {} where it does."""
    if of_body := other_body(config):
        return {"transformers": of_body}
    heads = config.get("pretune", {}).get("heads", {})
    ours = {kind: told for kind, told in heads.items() if kind != "embedding"}
    pooling = {told.get("pooling") for told in ours.values()} - {None, "row"}
    if has_crf:
        return {"transformers": WITHOUT_CRF}
    if not pooling and "embedding" in heads:
        return {"transformers": WITHOUT_VECTOR.format(config["architectures"][0])}
    if not pooling:
        return {}
    names, poolings = ", ".join(ours), ", ".join(sorted(pooling))
    return {"transformers": WITHOUT_HEAD.format(config["architectures"][0], names, poolings)}


def other_body(config: Mapping[str, Any]) -> str | None:
    """Why the body of a config.json that pretune wrote computes something else there, or nothing; None: it does not."""
    ours = config.get("pretune", {})
    if config["model_type"] == FREE:
        return WITHOUT_CLASS
    if size := ours.get("embedding_size"):
        width = config.get("hidden_size", config.get("dim"))
        return WITHOUT_MAP.format(size, width, config["architectures"][0])
    if ours.get("top"):
        return WITHOUT_TOP.format(config["architectures"][0])
    return WITHOUT_CAUSALITY.format(config["architectures"][0]) if ours.get("causal") else None
