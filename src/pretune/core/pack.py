"""pack: Examples to one Batch. Sequences lie end to end, sorted by length, and `at` and `group` are renumbered.

Predictions keep the order of the examples; only rows move. With a target stream both streams are sorted alike, so that
the n-th target sequence reads the n-th source sequence.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pretune.core.stream import TOKEN_FIELDS, Batch, Example, Stream, Targets, Visibility

IntArray = np.ndarray[Any, Any]


def pack(examples: Sequence[Example]) -> Batch:
    """One Batch, in numpy, of at least one Example. Raises ValueError when only some examples have a target stream."""
    if not examples:
        raise ValueError("pack needs at least one example")
    with_target = [example.target for example in examples if example.target is not None]
    if with_target and len(with_target) != len(examples):
        raise ValueError("some examples have a target stream and some have none")
    source_lengths = np.concatenate([example.source.lengths_N for example in examples])
    target_lengths = np.concatenate([stream.lengths_N for stream in with_target]) if with_target else None
    keys = (source_lengths,) if target_lengths is None else (source_lengths, target_lengths)
    order_N = np.lexsort(keys)
    source, moved = _pack_streams([example.source for example in examples], order_N)
    target = None
    if with_target:
        target, moved = _pack_streams(with_target, order_N)
    starts = np.cumsum([0] + [example.read.num_tokens for example in examples])
    predict = {head: _pack_targets(examples, head, starts, moved) for head in _heads(examples)}
    rows_R, predict = _number_rows(predict)
    origins = [example.origin_E for example in examples if example.origin_E is not None]
    origin_E = np.concatenate(origins) if origins else None
    return Batch(source, target, predict, origin_E, rows_R, sum(example.num_cut for example in examples))


def _heads(examples: Sequence[Example]) -> list[str]:
    return list(dict.fromkeys(head for example in examples for head in example.predict))


def _pack_streams(streams: Sequence[Stream], order_N: IntArray) -> tuple[Stream, IntArray]:
    """The packed stream and, for each row as given, its row after packing."""
    lengths = np.concatenate([stream.lengths_N for stream in streams])
    starts = np.cumsum(lengths) - lengths
    packed_lengths = lengths[order_N]
    packed_starts = np.cumsum(packed_lengths) - packed_lengths
    # row r of the packed stream was row taken[r] of the given ones
    taken = np.arange(int(lengths.sum())) + np.repeat(starts[order_N] - packed_starts, packed_lengths)
    moved = np.empty_like(taken)
    moved[taken] = np.arange(len(taken))
    columns = {name: np.concatenate([getattr(stream, name) for stream in streams])[taken] for name in TOKEN_FIELDS}
    index_T = np.arange(len(taken)) - np.repeat(packed_starts, packed_lengths)
    visibility = _visibility(columns["shown_at_T"], columns["sees_up_to_T"], index_T)
    return Stream(**columns, lengths_N=packed_lengths, order_N=order_N, visibility=visibility), moved


def _visibility(shown_at_T: IntArray, sees_up_to_T: IntArray, index_T: IntArray) -> Visibility:
    if not shown_at_T.any() and not sees_up_to_T.any():
        return "full"
    if np.array_equal(shown_at_T, index_T) and np.array_equal(sees_up_to_T, index_T):
        return "causal"
    return "mixed"


def _pack_targets(examples: Sequence[Example], head: str, starts: IntArray, moved: IntArray) -> Targets:
    at, groups, num_groups = [], [], 0
    chosen = [(index, example.predict[head]) for index, example in enumerate(examples) if head in example.predict]
    for index, targets in chosen:
        at.append(np.asarray(targets.at_MK) + starts[index])
        group_M = np.arange(len(targets)) if targets.group_M is None else np.asarray(targets.group_M)
        groups.append(group_M + num_groups)
        num_groups += int(group_M.max()) + 1 if len(group_M) else 0
    parts = [targets for _, targets in chosen]
    return Targets(
        at_MK=moved[np.concatenate(at)],
        gold_M=_joined(parts, "gold_M"),
        weight_M=_joined(parts, "weight_M"),
        group_M=np.concatenate(groups),
        given_M=_joined(parts, "given_M"),
    )


def _joined(parts: Sequence[Targets], name: str) -> IntArray | None:
    columns = [getattr(targets, name) for targets in parts]
    missing = sum(column is None for column in columns)
    if missing == len(columns):
        return None
    if missing:
        raise ValueError(f"{missing} of {len(columns)} examples have no {name}")
    return np.concatenate(columns)


def _number_rows(predict: dict[str, Targets]) -> tuple[IntArray | None, dict[str, Targets]]:
    if not predict:
        return None, predict
    flat = [targets.at_MK.reshape(-1) for targets in predict.values()]
    rows_R, slots = np.unique(np.concatenate(flat), return_inverse=True)
    numbered, start = {}, 0
    for (head, targets), rows in zip(predict.items(), flat, strict=True):
        slot_MK = slots[start : start + len(rows)].reshape(targets.at_MK.shape)
        numbered[head] = replace(targets, slot_MK=slot_MK)
        start += len(rows)
    return rows_R, numbered


def cut_by_tokens(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Item numbers in batches of at most `max_tokens` tokens (a longer item has a batch of its own), longest first.

    Like lengths come together, so that attention pads little; the longest come first, so that memory fails early.

    >>> cut_by_tokens([3, 9, 2, 4], 8)
    [[1], [3, 0], [2]]
    """
    batches: list[list[int]] = []
    room = 0
    for number in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        if not batches or lengths[number] > room:
            batches.append([])
            room = max_tokens
        batches[-1].append(number)
        room -= lengths[number]
    return batches
