"""generate: texts from prompts, with a model that writes them.

A body of one stream goes on from the prompt, and its text is what stands behind it; an encoder-decoder reads the prompt
in the encoder and writes a text of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import resolve
from pretune.core.continuation import asking, opening
from pretune.core.errors import InputError
from pretune.core.stream import Example
from pretune.decode.generate import PromptError, Writer
from pretune.decode.settings import Generation
from pretune.decode.stops import Written


def writer_of(bundle: Bundle) -> Writer:
    """InputError for a model that writes no text."""
    kept = bundle.manifest.get("config", {})
    return Writer.of(bundle.model, bundle.tokenizer, bundle.template, kept, bundle.max_length)


def generation(settings: Mapping[str, Any]) -> Generation:
    """InputError for settings that do not exist or do not go together."""
    return resolve(Generation, settings)


def generate(bundle: Bundle, prompts: Sequence[str], settings: Mapping[str, Any]) -> list[list[Written]]:
    """What is written for each prompt, in order. PromptError for one that is too long, or has nothing to go on from."""
    if isinstance(prompts, str):
        raise InputError("give a list of prompts, not one text")
    writer, wanted = writer_of(bundle), generation(settings)
    return writer.write([prompted(bundle, prompt, number) for number, prompt in enumerate(prompts)], wanted)


def prompted(bundle: Bundle, prompt: str, number: int = 0) -> Example:
    """A prompt as the model reads it."""
    if not isinstance(prompt, str):
        raise PromptError(number, f"is no text: {prompt!r:.80}")
    template, max_length = bundle.template, bundle.max_length
    pieces, length = bundle.tokenizer.encode_start(prompt, max_length)
    if length + template.num_special(1) > max_length:
        raise PromptError(number, f"has {length} pieces and the model takes {max_length}: shorten it")
    if template.start_id is not None:
        return asking(pieces.span(), template, bundle.tokenizer.vocab)
    try:
        return opening(pieces.span(), template)
    except InputError as error:
        raise PromptError(number, f"is empty: {error}") from error


def stream(bundle: Bundle, prompt: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """The text for one prompt in parts, as they are written."""
    return writer_of(bundle).stream(prompted(bundle, prompt), generation(settings))
