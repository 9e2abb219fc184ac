"""Scores for the distance of key and query, learned a head and a bucket, shared by all layers of a stack.

Raffel et al. 2020 ("T5"), section 2.1: 32 buckets up to a distance of 128. Half of the buckets are single distances,
the others grow with the logarithm; a bidirectional stack has one half of all for keys before and one for keys behind.
The rounding is that of mesh_tensorflow and transformers: the logarithm in fp32, cut to a whole number.

Dimensions: N sequences of a group, H heads, Q padded queries, K padded keys.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn import config
from pretune.nn.attention import Group, SelfAttention
from pretune.nn.cache import Step
from pretune.nn.initial import Embedding
from pretune.nn.layout import Layout, Side


class RelativeScores(nn.Module):
    """`for_pass()` gives the bias of one forward pass. causal: no bucket is kept for keys behind the query."""

    def __init__(self, settings: config.RelativeBuckets, num_heads: int, causal: bool) -> None:
        super().__init__()
        self.settings = settings
        self.causal = causal
        self.scores = Embedding(settings.num_buckets, num_heads)

    def for_pass(self) -> "PassScores":
        return PassScores(self)

    def step(self, step: Step) -> Tensor:
        """[N, H, 1, W]: scores of each sequence's new token for its slots; [1, H, 1, W] where all are equally long."""
        read = step.cache.read
        positions_PW = read.positions_PW[:, : read.used]
        if (read.lengths_N == read.lengths_N[:1]).all() and (positions_PW == positions_PW[:1]).all():
            at_N, positions_NW = step.at_N[:1], positions_PW[:1]
        else:
            at_N, positions_NW = step.at_N, positions_PW.repeat(read.readers, axis=0)
        return self.forward(at_N[:, None], torch.from_numpy(positions_NW).to(at_N.device))

    def forward(self, positions_NQ: Tensor, positions_NK: Tensor) -> Tensor:
        """[N, H, Q, K]."""
        behind_NQK = positions_NK[:, None, :] - positions_NQ[:, :, None]
        bucket_NQK = buckets(behind_NQK, self.settings, self.causal)
        return F.embedding(bucket_NQK, self.scores.weight).permute(0, 3, 1, 2).contiguous()


class PassScores:
    """Bias of the layers of one forward pass: computed once a group, and once for all sequences of a group whose
    positions count from the same number without gaps."""

    def __init__(self, scores: RelativeScores) -> None:
        self._scores = scores
        self._known: dict[tuple[int, int], tuple[Layout, Tensor]] = {}

    def of_layer(self, attention: SelfAttention) -> "PassScores":
        """The same for all layers."""
        return self

    def __call__(self, group: Group) -> Tensor:
        key = (id(group.layout), group.index)
        if key not in self._known:  # the layout is kept, so that no other gets its id
            self._known[key] = (group.layout, self._masked(group))
        return self._known[key][1]

    def _masked(self, group: Group) -> Tensor:
        scores = self._scores.forward(*positions_of(group)).to(group.q_NHQE.dtype)
        return scores if group.mask is None else scores + group.mask


def buckets(behind: Tensor, settings: config.RelativeBuckets, causal: bool) -> Tensor:
    """The bucket of each distance `position of the key - position of the query`.

    >>> settings = config.RelativeBuckets(num_buckets=8, max_distance=16)
    >>> buckets(torch.tensor([-20, -9, -4, -3, -1, 0, 1, 5]), settings, causal=True)
    tensor([7, 6, 4, 3, 1, 0, 0, 0])
    >>> buckets(torch.tensor([-20, -3, -1, 0, 1, 5, 20]), settings, causal=False)
    tensor([3, 2, 1, 0, 5, 6, 7])
    """
    number = settings.num_buckets if causal else settings.num_buckets // 2
    start = torch.zeros_like(behind) if causal else (behind > 0).long() * number
    distance = (-behind).clamp(min=0) if causal else behind.abs()
    exact = number // 2
    growth = (distance.clamp(min=1).float() / exact).log() / math.log(settings.max_distance / exact)
    far = (exact + (growth * (number - exact)).long()).clamp(max=number - 1)
    return start + torch.where(distance < exact, distance, far)


def positions_of(group: Group) -> tuple[Tensor, Tensor]:
    """Of a group's queries and keys, [N, Q] and [N, K]; [1, Q] and [1, K] where all sequences count from one number."""
    counted = _counts(group.queries) and _counts(group.keys)
    sides = ((group.query_side, group.queries), (group.key_side, group.keys))
    queries, keys = (_first(side, stream) if counted else side.pad(stream.positions_T) for side, stream in sides)
    return queries, keys


def _counts(stream: Stream) -> bool:
    """Whether positions count up from one number in every sequence. Looked at once a stream."""
    if "positions count" not in stream.cache:
        lengths = torch.from_numpy(stream.lengths_N)
        ends = lengths.cumsum(0)
        index_T = torch.arange(stream.num_tokens) - torch.repeat_interleave(ends - lengths, lengths)
        first = stream.positions_T[:1]
        stream.cache["positions count"] = bool((stream.positions_T == index_T.to(first.device) + first).all())
    return bool(stream.cache["positions count"])


def _first(side: Side, stream: Stream) -> Tensor:
    """[1, width]: the positions of all sequences of a group."""
    first: Tensor = stream.positions_T[:1]
    return (torch.arange(side.width, device=first.device) + first)[None]
