"""Texts that a model goes on with or answers, as Examples: for training on the answer, and for writing one.

A body of one stream reads `[CLS] source [SEP]` and goes on with the answer and its end token; a family without special
tokens around its texts puts the end token between them. A decoder beside an encoder reads its start token, and the
encoder the source, put together as any text of the family.

Dimensions: P tokens of the answer, its end included.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pretune.core.assemble import Template, assemble, decoder_input
from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.stream import Example, Segments, Span, Stream, Targets, bidirectional, left_to_right
from pretune.core.vocab import Vocab

HEAD = "lm"


def end_id(template: Template, vocab: Vocab) -> int:
    """The id that ends a text: the special token that the template puts last, else the vocabulary's end, or [SEP].

    InputError for a tokenizer that has none of these.
    """
    last = template.single[-1]
    if isinstance(last, str):
        return template.special_ids[last]
    if vocab.end_id is None:
        raise InputError("the tokenizer has no token that ends a text ([SEP], </s>, <|endoftext|>): train one that has")
    return vocab.end_id


def opening(text: Span, template: Template) -> Example:
    """A text that is to be gone on with, for a body of one stream: no special token stands behind it.

    A decoder beside an encoder begins anew instead, with the text read by the encoder: see `asking`.
    """
    return Example(_joined(template, text, None))


def asking(source: Span, template: Template, vocab: Vocab, *, sees_prompt: bool = False) -> Example:
    """A text that is to be answered, as the model reads it before it writes.

    sees_prompt: a body of one stream sees it from both sides (prefix LM).
    """
    if template.start_id is not None:
        whole = assemble(Segments([source]), template)
        return replace(whole, target=decoder_input(np.zeros(1, np.int64), template.start_id))
    prompt = _joined(template, source, end_id(template, vocab))
    return Example(prompt if sees_prompt else left_to_right(prompt))


def answering(source: Span, answer: Span, template: Template, vocab: Vocab, *, sees_prompt: bool = False) -> Example:
    """A text and its answer. Every token of the answer and the end behind it are predicted by the head "lm".

    >>> from pretune.core.vocab import Vocab
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2)
    >>> template, two = Template({"cls": 1, "sep": 2}), np.zeros(2, np.uint8)
    >>> source, answer = Span(np.array([4, 5]), two), Span(np.array([6, 7]), two)
    >>> example = answering(source, answer, template, vocab, sees_prompt=True)
    >>> example.source.ids_T, example.source.sees_up_to_T  # the prompt sees itself, the answer what is before
    (array([1, 4, 5, 2, 6, 7]), array([0, 0, 0, 0, 4, 5]))
    >>> example.predict["lm"].at_MK.ravel(), example.predict["lm"].gold_M
    (array([3, 4, 5]), array([6, 7, 2]))
    """
    end = end_id(template, vocab)
    gold_P = np.append(np.asarray(answer.ids_P, np.int64), end)
    if template.start_id is not None:
        whole = assemble(Segments([source]), template)
        if isinstance(template.single[0], str):  # what stands before a text stands before an answer too
            gold_P = np.insert(gold_P, 0, template.special_ids[template.single[0]])
        predict = {HEAD: _next(0, gold_P)}
        return replace(whole, target=decoder_input(gold_P, template.start_id), predict=predict)
    prompt = _joined(template, source, end)
    length = prompt.num_tokens
    stream = _behind(prompt, gold_P[:-1], np.asarray(answer.marks_P, np.uint8))
    seen = prefix_seen(stream, length) if sees_prompt else left_to_right(stream)
    return Example(seen, predict={HEAD: _next(length - 1, gold_P)})


def prefix_seen(stream: Stream, length: int) -> Stream:
    """One sequence in numpy whose first `length` tokens see each other; the others see what stands before them."""
    index_T = np.arange(stream.num_tokens)
    seen_T = np.where(index_T < length, 0, index_T)
    return replace(stream, shown_at_T=seen_T, sees_up_to_T=seen_T, visibility="mixed")


def _joined(template: Template, text: Span, end: int | None) -> Stream:
    """The template's parts up to the text, and the end token if there is one."""
    before = [
        template.special_ids[part] for part in template.single[: template.single.index(0)] if isinstance(part, str)
    ]
    behind = [] if end is None else [end]
    ids_T = np.concatenate([before, np.asarray(text.ids_P, np.int64), behind]).astype(np.int64)
    if not len(ids_T):
        raise InputError(
            "a prompt has no piece, and this family puts no token before it: there is nothing to go on from"
        )
    marks_T = np.concatenate([[SPECIAL] * len(before), np.asarray(text.marks_P, np.uint8), [SPECIAL] * len(behind)])
    return bidirectional(ids_T, marks_T=marks_T.astype(np.uint8), first_position=template.first_position)


def _behind(stream: Stream, ids_P: NDArray[np.int64], marks_P: NDArray[np.uint8]) -> Stream:
    """One sequence in numpy with more tokens behind it."""
    ids_T, marks_T = np.append(stream.ids_T, ids_P), np.append(stream.marks_T, marks_P)
    return bidirectional(ids_T, marks_T=marks_T, first_position=int(stream.positions_T[0]))


def _next(first_row: int, gold_P: NDArray[np.int64]) -> Targets:
    """Each of these tokens predicted at a row, from `first_row` on."""
    rows_P = np.arange(first_row, first_row + len(gold_P))
    return Targets(rows_P[:, None], gold_P, np.ones(len(gold_P), np.float32))
