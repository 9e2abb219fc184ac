"""A text as windows in which each of its tokens is predicted once: what language models are scored and trained on.

A window is as long as the model allows and begins `stride` tokens after the one before it; what the one before has
predicted is read again and not predicted again, so every token but the first ones has at least length - stride tokens
before it (the sliding window of Baevski and Auli 2019, section 4.5, and of Hugging Face's guide to perplexity).

A family with a special token before a text ([CLS]) has it before each window. A family without any reads the
tokenizer's bos before the text, if there is one; else the text's first token, before which nothing stands, is read and
not predicted. A decoder beside an encoder reads the text, and the encoder an empty one.

Dimensions: P tokens of a text, M predictions.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pretune.core.assemble import Template, assemble, decoder_input
from pretune.core.errors import InputError
from pretune.core.stream import Example, Segments, Span, Targets, bidirectional, left_to_right

HEAD = "lm"
Ids = NDArray[np.int64]


class Window(NamedTuple):
    """Tokens [start, end) of a text, predicted from `first` on."""

    start: int
    end: int
    first: int


def windows(num_tokens: int, room: int, stride: int, first: int = 0) -> Iterator[Window]:
    """first: the first token that is predicted. ValueError where a window would have nothing before its prediction.

    >>> [tuple(one) for one in windows(9, room=5, stride=2)]
    [(0, 5, 0), (2, 7, 5), (4, 9, 7)]
    >>> [tuple(one) for one in windows(8, room=5, stride=4, first=1)]
    [(0, 5, 1), (3, 8, 5)]
    """
    if not 1 <= stride <= room - min(first, 1):
        raise ValueError(f"windows of {room} tokens cannot begin {stride} tokens apart")
    end = min(room, num_tokens)
    yield Window(0, end, first)
    while end < num_tokens:
        first, end = end, min(end + stride, num_tokens)
        yield Window(max(end - room, 0), end, first)


def before_text(template: Template) -> tuple[Ids, Ids]:
    """(special tokens before every window, tokens before the text alone), as ids."""
    every = [
        template.special_ids[part] for part in template.single[: template.single.index(0)] if isinstance(part, str)
    ]
    has_start = template.start_id is not None or every
    once = [] if has_start or "bos" not in template.special_ids else [template.special_ids["bos"]]
    return np.array(every, np.int64), np.array(once, np.int64)


def first_is_read_only(template: Template) -> bool:
    """Whether a text's first token has nothing before it, and so is not predicted."""
    every, once = before_text(template)
    return template.start_id is None and not len(every) and not len(once)


def windows_of_text(ids_P: Ids, template: Template, max_length: int, stride: int | None) -> Iterator[Example]:
    """The windows of a text. stride: None for windows end to end, in which every token is read once as far as may be.

    InputError where `max_length` leaves no room; ValueError for a text none of whose tokens can be predicted.
    """
    every, once = before_text(template)
    has_start = template.start_id is not None or len(every) > 0
    tokens = np.concatenate([once, np.asarray(ids_P, np.int64)])
    first = 0 if has_start else 1
    if len(tokens) <= first:
        raise ValueError("the text is one token, and nothing stands before it: it cannot be predicted")
    room = max_length - len(every)
    widest = room - first
    if widest < 1:
        raise InputError(
            f"max_length={max_length} leaves no room beside the special tokens: give at least {len(every) + 2}"
        )
    parts = windows(len(tokens), room, min(stride or widest, widest), first)
    return (_example(tokens, part, every, template) for part in parts)


def _example(tokens: Ids, part: Window, every: Ids, template: Template) -> Example:
    inside = tokens[part.start : part.end]
    ids_T = np.concatenate([every, inside])
    place_M = np.arange(part.first - part.start, len(inside)) + len(every)  # of the predicted tokens among ids_T
    weights = np.ones(len(place_M), np.float32)
    if template.start_id is not None:
        nothing = Span(np.zeros(0, np.int32), np.zeros(0, np.uint8))
        whole = assemble(Segments([nothing]), template)
        targets = Targets(place_M[:, None], ids_T[place_M], weights)
        return replace(whole, target=decoder_input(ids_T, template.start_id), predict={HEAD: targets})
    targets = Targets(place_M[:, None] - 1, ids_T[place_M], weights)
    stream = left_to_right(bidirectional(ids_T, first_position=template.first_position))
    return Example(stream, predict={HEAD: targets})
