"""The generator that `replaced_token` trains beside a model: from files, or fresh.

A model's directory may hold one in its folder `generator`, as our runs leave it; the setting `generator` names another,
such as google/electra-small-generator beside google/electra-small-discriminator. Its embeddings are given up for the
model's, which it shares (Clark et al. 2020, section 3.2).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from pretune.checkpoint.bundle import GENERATOR, Bundle
from pretune.checkpoint.huggingface import CONFIG
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec
from pretune.nn.generator import Generator, share_embeddings
from pretune.verbs.settings import PretrainSettings

NOTE = "generator"
"""In a bundle's manifest: what the user should know about where its generator began."""


def with_generator(
    bundle: Bundle, heads: Mapping[str, nn.Module], settings: PretrainSettings, allow_pickle: bool = False
) -> Bundle:
    """The model to start from, with the generator among `heads`, those of the objective; as it is if there is none.

    Raises InputError where the files of the generator do not go with the model, or with `objective.generator_size`.
    """
    found = [(kind, head) for kind, head in heads.items() if isinstance(head, Generator)]
    if not found:
        if settings.generator is not None:
            raise InputError("generator names a model to start a generator from, and this objective has no generator")
        return bundle
    ((kind, fresh),) = found
    beside = Path(bundle.folder) / GENERATOR
    source = settings.generator or (str(beside) if (beside / CONFIG).is_file() else None)
    if source is None:
        generator, note = fresh, f"the generator started fresh: {bundle.folder} has none"
    else:
        is_sized = settings.objective.get("generator_size") is not None
        generator, note = _read(source, bundle, fresh if is_sized else None, allow_pickle)
    started = bundle.with_heads({**dict(bundle.model.heads.items()), kind: generator})
    started.manifest[NOTE] = note
    return started


def _read(source: str, owner: Bundle, like: Generator | None, allow_pickle: bool) -> tuple[Generator, str]:
    loaded = Bundle.load(source, heads=[HeadSpec("lm")], allow_pickle=allow_pickle)
    body, head = loaded.model.body, loaded.model.heads["lm"]
    if loaded.fresh_weights:
        raise InputError(f"{source} has no language model's head, which a generator needs: name another")
    if loaded.tokenizer.fingerprint != owner.tokenizer.fingerprint:
        raise InputError(f"the generator {source} has another tokenizer than {owner.folder}: they do not belong")
    width, most = body.config.hidden_size, owner.model.body.config.hidden_size
    if width > most:
        raise InputError(f"the generator {source} is wider ({width}) than the model ({most}): they do not belong")
    if like is not None and like.body.config.hidden_size != width:
        raise InputError(
            f"the generator {source} is {width} wide, and objective.generator_size asks for "
            f"{like.body.config.hidden_size}: leave one of the two out"
        )
    generator = Generator(body, head)
    before = generator.embeddings
    try:
        share_embeddings(body, owner.model.body)
    except ValueError as error:
        raise InputError(f"the generator {source} does not go with {owner.folder}: {error}") from error
    if body.config.output.tied:
        head.decoder.weight = body.token_embedding.weight  # type: ignore[union-attr]
    differ = any(not torch.equal(old, new) for old, new in zip(before, generator.embeddings, strict=True))
    told = "; its embeddings differed from the model's, and are the model's now" if differ else ""
    return generator, f"the generator went on from {source}{told}"
