"""The packed representation: sequences end to end, no padding, in numpy for one example and in torch for a batch.

Dimensions: T tokens, N sequences, M predictions, K rows a prediction reads, C classes, E examples, R rows read at all.

Visibility is two integers a token: a query sees a key of the same sequence when `shown_at[key] <= sees_up_to[query]`.
Bidirectional: all zero. Causal: the index in the sequence. Prefix LM: zero over the prefix.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

Array = Any
"""A numpy array in an Example, a torch tensor in a Batch that was moved to a device."""

Visibility = Literal["full", "causal", "mixed"]


@dataclass(frozen=True, eq=False)
class Span:
    """A piece of text as ids. ids_P: int32; marks_P: uint8 (`core.marks`), same length."""

    ids_P: Array
    marks_P: Array

    def __len__(self) -> int:
        return len(self.ids_P)


@dataclass(frozen=True, eq=False)
class Segments:
    """What `arrange` cuts: spans and classes of the whole ({head: class}), without special tokens."""

    spans: list[Span]
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Stream:
    """N sequences of T tokens in all, end to end.

    ids_T, positions_T (from 0 in each sequence unless the template says otherwise), segment_ids_T, shown_at_T,
    sees_up_to_T: integers. marks_T: uint8, dropped by `pack`. lengths_N: int64, always numpy on the host.
    order_N: host; the n-th packed sequence was the order_N[n]-th given one. cu_seqlens: int32 [N + 1], on the device.
    visibility: host; what the two integers amount to over the whole stream. cache: layouts shared by all layers.
    """

    ids_T: Array
    positions_T: Array
    segment_ids_T: Array
    shown_at_T: Array
    sees_up_to_T: Array
    lengths_N: np.ndarray[Any, Any]
    marks_T: Array = None
    order_N: Any = None
    cu_seqlens: Array = None
    visibility: Visibility = "full"
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return int(self.ids_T.shape[0])

    def to(self, device: torch.device | str) -> "Stream":
        """The same stream as torch tensors on a device; host fields stay on the host. Layouts are computed anew."""
        ends = np.concatenate([[0], np.cumsum(self.lengths_N)]).astype(np.int32)
        columns: dict[str, Any] = {name: _tensor(getattr(self, name), device) for name in TOKEN_FIELDS}
        return replace(
            self,
            **columns,
            marks_T=None,
            cu_seqlens=_tensor(ends, device),
            cache={},
        )


TOKEN_FIELDS = ("ids_T", "positions_T", "segment_ids_T", "shown_at_T", "sees_up_to_T")


@dataclass(frozen=True, eq=False)
class Targets:
    """M rows to read and what they should be.

    at_MK: rows of the target stream if there is one, else of the source; K rows a prediction (most heads: K = 1).
    gold_M: int64 classes, float values, or gold_MC distributions; None where nothing is known (prediction).
    weight_M: float32. group_M: int64, predictions that belong together (a word's pieces, a question's choices), from 0
    without gaps in each example; None: each its own. given_M: what the head is told besides (a position in a span).
    slot_MK: places of `at` among the batch's `rows_R`, set by `pack`.
    """

    at_MK: Array
    gold_M: Array = None
    weight_M: Array = None
    group_M: Array = None
    given_M: Array = None
    slot_MK: Array = None

    def __len__(self) -> int:
        return int(self.at_MK.shape[0])

    def to(self, device: torch.device | str) -> "Targets":
        return Targets(*(None if value is None else _tensor(value, device) for value in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Batch:
    """Packed sequences and what heads predict at their rows. An Example is a Batch of one training example, in numpy.

    origin_E: which documents or records the examples come from. rows_R: sorted rows that any head reads, set by `pack`.
    num_cut: tokens left out because the longest allowed length was reached; `pack` sums them.
    """

    source: Stream
    target: Stream | None = None
    predict: dict[str, Targets] = field(default_factory=dict)
    origin_E: Any = None
    rows_R: Array = None
    num_cut: int = 0

    @property
    def read(self) -> Stream:
        """The stream that `at` counts in."""
        return self.source if self.target is None else self.target

    @property
    def num_tokens(self) -> int:
        """Real tokens, source and target."""
        return self.source.num_tokens + (0 if self.target is None else self.target.num_tokens)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch as torch tensors on a device."""
        return replace(
            self,
            source=self.source.to(device),
            target=None if self.target is None else self.target.to(device),
            predict={head: targets.to(device) for head, targets in self.predict.items()},
            rows_R=None if self.rows_R is None else _tensor(self.rows_R, device),
        )


Example = Batch


def _tensor(value: Any, device: torch.device | str) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
    return tensor.to(device, non_blocking=True)


def bidirectional(
    ids_T: np.ndarray[Any, Any],
    *,
    marks_T: np.ndarray[Any, Any] | None = None,
    segment_ids_T: np.ndarray[Any, Any] | None = None,
    first_position: int = 0,
) -> Stream:
    """One sequence in numpy in which every token sees every other."""
    length = len(ids_T)
    zeros = np.zeros(length, np.int64)
    return Stream(
        ids_T=np.asarray(ids_T, np.int64),
        positions_T=np.arange(first_position, first_position + length),
        segment_ids_T=zeros if segment_ids_T is None else np.asarray(segment_ids_T, np.int64),
        shown_at_T=zeros,
        sees_up_to_T=zeros,
        lengths_N=np.array([length], np.int64),
        marks_T=np.zeros(length, np.uint8) if marks_T is None else marks_T,
    )


def left_to_right(stream: Stream) -> Stream:
    """The same stream, in numpy or torch, in which a token sees itself and what stands before it in its sequence."""
    ends_N = np.cumsum(stream.lengths_N)
    index_T: Array = np.arange(stream.num_tokens) - np.repeat(ends_N - stream.lengths_N, stream.lengths_N)
    if isinstance(stream.ids_T, torch.Tensor):
        index_T = _tensor(index_T, stream.ids_T.device)
    return replace(stream, shown_at_T=index_T, sees_up_to_T=index_T, visibility="causal", cache={})


def map_targets(batch: Batch, change: Callable[[Targets], Targets]) -> Batch:
    """The batch with every head's targets changed."""
    return replace(batch, predict={head: change(targets) for head, targets in batch.predict.items()})
