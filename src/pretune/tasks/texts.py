"""Texts as an Example: which columns, what is cut or read in windows where they are too long, and where labels stand.

Cut: a single text loses its tail. Of a pair, the longer text loses its last token until both fit, the second one where
they are equally long (google-research/bert, `_truncate_seq_pair`; Hugging Face's "longest_first"). Tokens left out are
counted in `Example.num_cut`. An empty text is allowed (it becomes [CLS] [SEP], so every input has its prediction);
`TaskSource` counts them.

Windows: a text that is too long becomes several sequences of one Example, whose beginnings are `stride` tokens apart
(`contexts.windows`). Of a pair the longer text is moved through and the other stands whole in every window; only where
that one takes more than half of the room is its tail left out, counted.

Read: the template's summary row of each sequence, or every row of it for a head that pools (`nn.pooling`). All rows of
a record are one group, their sequences are told apart by `given_M`, and their weights add up to the record's: so the
loss and its count are those of one prediction a record, however many rows and windows it has.

Dimensions: M rows that are read, C outputs, G records.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template, assemble
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Example, Segments, Span, Targets
from pretune.nn.pooling import group_max, group_mean, texts_of
from pretune.tasks.contexts import windows as windows_of
from pretune.text.records import Record
from pretune.tokenizers.pieces import Pieces
from pretune.tokenizers.tokenizer import Tokenizer

Pooling = Literal["cls", "mean", "max", "concat", "attention"]
"""What a head of whole texts reads: the summary row, or every row (`nn.pooling`)."""
Windows = Literal["first", "mean", "max"]
"""Of a text that is too long: its first tokens alone, or windows whose outputs are averaged, or their maximum."""
Gold = int | float | np.ndarray[Any, Any] | None
"""The number of a class, a value, an array [C] of truth values, or None where nothing is known."""


def text_of(record: Record, column: str) -> str:
    """A text column of a record. InputError where it is missing or not text."""
    value = record.get(column)
    if isinstance(value, str):
        return value
    if value is None:
        raise record.error(
            f"no {column!r}; the record has {', '.join(map(repr, record)) or 'nothing'}",
            f"fill it in, or name the column that holds it: columns.{column}=NAME",
        )
    raise record.error(f"{column!r} is {type(value).__name__}, not text", "write it as text")


def cut_lengths(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens of each text stay when there is room for `room` in all.

    >>> cut_lengths([9], 5), cut_lengths([2, 9], 7), cut_lengths([9, 2], 7), cut_lengths([9, 8], 7)
    ([5], [2, 5], [5, 2], [4, 3])
    """
    if sum(lengths) <= room:
        return list(lengths)
    if len(lengths) == 1:
        return [room]
    first, second = lengths
    share = room // 2
    if second <= share:
        return [room - second, second]
    if first <= room - share:
        return [first, room - first]
    return [room - share, share]


def featurize_texts(
    texts: Sequence[str],
    head: str,
    gold: Gold,
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    pooling: Pooling = "cls",
    *,
    windows: Windows = "first",
    stride: int = 128,
    weight: float = 1.0,
) -> Example:
    """One text or two, with their label: one sequence, or (windows="mean" or "max") as many as they need."""
    room = room_for(template, len(texts), max_length)
    if windows == "first":
        spans, lengths = zip(*(tokenizer.encode_start(text, max_length) for text in texts), strict=True)
        kept = cut_lengths(lengths, room)
        parts = [[pieces.span(0, keep) for pieces, keep in zip(spans, kept, strict=True)]]
        num_cut = sum(lengths) - sum(kept)
    else:
        parts, num_cut = _windows([tokenizer.encode(text) for text in texts], room, stride)
    example = read_sequences(parts, head, template, pooling)
    targets = labelled(example.predict[head], gold, weight)
    return replace(example, predict={head: targets}, num_cut=num_cut)


def _windows(texts: Sequence[Pieces], room: int, stride: int) -> tuple[list[list[Span]], int]:
    """The spans of each window, and how many tokens of the shorter text were left out."""
    if sum(map(len, texts)) <= room:
        return [[pieces.span() for pieces in texts]], 0
    if len(texts) == 1:
        return [[texts[0].span(*window)] for window in windows_of(len(texts[0]), room, stride)], 0
    long = int(len(texts[1]) > len(texts[0]))
    whole = texts[1 - long].span(0, room // 2)
    moved = [texts[long].span(*window) for window in windows_of(len(texts[long]), room - len(whole), stride)]
    num_cut = len(texts[1 - long]) - len(whole)
    return [[whole, span] if long else [span, whole] for span in moved], num_cut


def read_sequences(parts: Sequence[Sequence[Span]], head: str, template: Template, pooling: Pooling) -> Example:
    """Sequences of one record, whose rows are read as `pooling` says: one group, `given_M` numbers the sequences."""
    found = []
    for number, spans in enumerate(parts):
        example = assemble(Segments(list(spans), {head: 0}), template)
        at_MK = example.predict[head].at_MK if pooling == "cls" else np.arange(example.read.num_tokens)[:, None]
        targets = Targets(at_MK, weight_M=np.ones(len(at_MK), np.float32), given_M=np.full(len(at_MK), number))
        found.append(replace(example, predict={head: targets}))
    example = found[0] if len(found) == 1 else pack(found)
    targets = example.predict[head]
    return replace(example, predict={head: replace(targets, group_M=np.zeros(len(targets), np.int64))})


def labelled(targets: Targets, gold: Gold, weight: float = 1.0) -> Targets:
    """All rows of a record with its label, and each with its share of the record's weight."""
    num_rows = len(targets)
    share_M = np.full(num_rows, weight / num_rows, np.float32)
    if gold is None:
        return replace(targets, gold_M=None, weight_M=share_M)
    kind = gold.dtype if isinstance(gold, np.ndarray) else np.int64 if isinstance(gold, int) else np.float32
    gold_M = np.repeat(np.asarray(gold, kind)[None], num_rows, axis=0)
    return replace(targets, gold_M=gold_M, weight_M=share_M)


def joined(outputs_MC: Tensor, targets: Targets, windows: Windows) -> Tensor:
    """Each row with the outputs of its whole record, [M, C]: those of its windows averaged, or their maximum."""
    if windows == "first" or targets.group_M is None:
        return outputs_MC
    targets = targets.to(outputs_MC.device)
    group_M = targets.group_M
    if windows == "max":
        return group_max(outputs_MC, group_M).index_select(0, group_M)
    first_M = _first_of_each(texts_of(targets))
    return group_mean(outputs_MC[first_M], group_M[first_M]).index_select(0, group_M)


def _first_of_each(text_M: Tensor) -> Tensor:
    """Truth values: the rows at which a text begins."""
    is_first_M = torch.ones_like(text_M, dtype=torch.bool)
    is_first_M[1:] = text_M[1:] != text_M[:-1]
    return is_first_M


def one_a_group(outputs_MC: Tensor, targets: Targets) -> Tensor:
    """The output of each group's first row, in fp32 on the host [G, C]: one a record, however many rows it has."""
    outputs_MC = outputs_MC.float().cpu()
    if targets.group_M is None:
        return outputs_MC
    _, first_G = np.unique(on_host(targets.group_M), return_index=True)
    return outputs_MC[torch.from_numpy(first_G)]


def on_host(array: Any) -> np.ndarray[Any, Any]:
    """A column of Targets as numpy, wherever it is."""
    return np.asarray(array.cpu() if isinstance(array, Tensor) else array)


def pooling_of(model: Any, head: str) -> Pooling:
    """What a model's head reads."""
    found: Pooling | Literal["row"] = getattr(model.heads[head], "pooling", "row")
    return "cls" if found == "row" else found


def room_for(template: Template, num_spans: int, max_length: int) -> int:
    """Tokens left for the texts. InputError where there is not one for each."""
    room = max_length - template.num_special(num_spans)
    if room < num_spans:
        least = template.num_special(num_spans) + num_spans
        raise InputError(f"max_length={max_length} leaves no room beside the special tokens: give at least {least}")
    return room
