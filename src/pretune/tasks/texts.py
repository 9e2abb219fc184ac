"""One text or two as an Example: which columns, what is cut where they are too long, and where the label stands.

Cut: a single text loses its tail. Of a pair, the longer text loses its last token until both fit, the second one where
they are equally long (google-research/bert, `_truncate_seq_pair`; Hugging Face's "longest_first"). Tokens left out are
counted in `Example.num_cut`. An empty text is allowed (it becomes [CLS] [SEP], so every input has its prediction);
`TaskSource` counts them.

Read: the template's summary row, or every row of the text with the head taking their mean (`nn.heads`): then the rows
are predictions of one group, of weight 1 / rows each, and the loss and its count are those of one prediction a text.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template, assemble, label_at
from pretune.core.errors import InputError
from pretune.core.stream import Example, Segments, Targets
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

Pooling = Literal["row", "mean"]


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
    label: int | float | None,
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    pooling: Pooling = "row",
) -> Example:
    """One sequence of one text or two, with its label."""
    spans, lengths = zip(*(tokenizer.encode_start(text, max_length) for text in texts), strict=True)
    kept = cut_lengths(lengths, room_for(template, len(spans), max_length))
    segments = Segments([pieces.span(0, keep) for pieces, keep in zip(spans, kept, strict=True)], {head: 0})
    example = assemble(segments, template)
    targets = label_at(int(example.predict[head].at_MK[0, 0]), label)
    if pooling == "mean":
        targets = _over_all_rows(targets, example.num_tokens)
    return replace(example, predict={head: targets}, num_cut=sum(lengths) - sum(kept))


def _over_all_rows(targets: Targets, num_rows: int) -> Targets:
    return Targets(
        at_MK=np.arange(num_rows)[:, None],
        gold_M=None if targets.gold_M is None else np.repeat(targets.gold_M, num_rows),
        weight_M=np.full(num_rows, 1 / num_rows, np.float32),
        group_M=np.zeros(num_rows, np.int64),
    )


def one_a_group(outputs_MC: Tensor, targets: Targets) -> Tensor:
    """The output of each group's first row, in fp32 on the host [G, C]: one a text, however many rows it has."""
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
    return getattr(model.heads[head], "pooling", "row")


def room_for(template: Template, num_spans: int, max_length: int) -> int:
    """Tokens left for the texts. InputError where there is not one for each."""
    room = max_length - template.num_special(num_spans)
    if room < num_spans:
        least = template.num_special(num_spans) + num_spans
        raise InputError(f"max_length={max_length} leaves no room beside the special tokens: give at least {least}")
    return room
