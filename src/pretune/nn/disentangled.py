"""Disentangled attention: contents meet the vectors of distances (He et al. 2021, "DeBERTa", equations 2 to 4).

Score of query i and key j, before it is divided by the root of 3 E:

    q_i . k_j  +  q_i . Pk[d]  +  k_j . Pq[d]        d = bucket(position of i - position of j)

Pq and Pk are the vectors of distances, normed once a pass, as the layer's own maps make queries and keys of them
(version 2 shares the maps; version 1 has maps of their own). Only the distances that occur in a pass are mapped.
The code differs from the paper's algorithm in that distances are put into buckets of logarithmic size, and in that
transformers drops out the vectors in each layer at the hidden rate; both are followed.

Dimensions: B distances that occur, N sequences of a group, H heads, Q padded queries, K padded keys, E head size.
"""

import torch
from torch import Tensor, nn

from pretune.core.stream import Stream
from pretune.nn import config
from pretune.nn.attention import Group, SelfAttention
from pretune.nn.initial import Embedding
from pretune.nn.kernels.dropout import dropout
from pretune.nn.kernels.linear import linear
from pretune.nn.norms import make_norm
from pretune.nn.relative import positions_of


class DistanceVectors(nn.Module):
    """A vector for each bucket, normed: `for_pass` gives the biases of one forward pass."""

    def __init__(self, settings: config.Disentangled, body: config.TransformerConfig) -> None:
        super().__init__()
        self.settings = settings
        self.dropout = body.hidden_dropout
        self.vectors = Embedding(2 * settings.num_buckets, body.hidden_size)
        self.norm = make_norm(body.norm, body.hidden_size)

    def for_pass(self, stream: Stream) -> "PassDistances":
        """The biases of a pass over a stream, whose longest distance says how many vectors are needed."""
        reach = min(int(buckets(torch.tensor(_spread(stream)), self.settings)), self.settings.num_buckets - 1)
        middle = self.settings.num_buckets
        table_BD = self.norm(self.vectors.weight[middle - reach - 1 : middle + reach + 1])
        return PassDistances(self, table_BD, reach + 1)


class PassDistances:
    """Biases of the layers of one forward pass. middle: which row of the table is distance 0."""

    def __init__(self, vectors: DistanceVectors, table_BD: Tensor, middle: int) -> None:
        self._vectors = vectors
        self._table_BD = table_BD
        self._middle = middle
        self._rows: dict[tuple[int, int], tuple[object, Tensor]] = {}

    def of_layer(self, attention: SelfAttention) -> "LayerDistances":
        vectors, table_BD = self._vectors, self._table_BD
        if vectors.training and vectors.dropout:
            table_BD = dropout(table_BD, vectors.dropout)
        weights, biases = attention.split()
        size = attention.num_heads * attention.head_size
        shape = (-1, attention.num_heads, attention.head_size)
        q_BHE = linear(table_BD, weights[0], biases[0]).view(shape)
        key_bias = None if biases[1] is None else biases[1][:size]
        k_BHE = linear(table_BD, weights[1][:size], key_bias).view(shape)
        return LayerDistances(self, q_BHE.permute(1, 2, 0), k_BHE.permute(1, 2, 0), attention.scale)

    def rows(self, group: Group) -> Tensor:
        """[N or 1, Q, K]: the row of the table for each pair, computed once a group."""
        key = (id(group.layout), group.index)
        if key not in self._rows:  # the layout is kept, so that no other gets its id
            positions_NQ, positions_NK = positions_of(group)
            found = buckets(positions_NQ[:, :, None] - positions_NK[:, None, :], self._vectors.settings)
            rows_NQK = (found + self._middle).clamp(0, len(self._table_BD) - 1)
            self._rows[key] = (group.layout, rows_NQK)
        return self._rows[key][1]


class LayerDistances:
    """The bias of one layer."""

    def __init__(self, given: PassDistances, q_HEB: Tensor, k_HEB: Tensor, scale: float) -> None:
        self._given, self._q_HEB, self._k_HEB, self._scale = given, q_HEB, k_HEB, scale

    def __call__(self, group: Group) -> Tensor:
        rows_NQK = self._given.rows(group)
        number, heads = group.q_NHQE.shape[:2]
        shape = (number, heads, *rows_NQK.shape[1:])
        rows_NHQK = rows_NQK[:, None].expand(shape)
        of_queries = torch.matmul(group.q_NHQE, self._k_HEB.to(group.q_NHQE.dtype)).gather(-1, rows_NHQK)
        of_keys = torch.matmul(group.k_NHKE, self._q_HEB.to(group.k_NHKE.dtype)).gather(-1, rows_NHQK.transpose(2, 3))
        scores = (of_queries + of_keys.transpose(2, 3)) * self._scale
        return scores if group.mask is None else scores + group.mask


def _spread(stream: Stream) -> int:
    """The longest distance in a stream, or more. Looked at once a stream."""
    if "spread" not in stream.cache:
        positions = stream.positions_T
        stream.cache["spread"] = int(positions.max() - positions.min()) if len(positions) else 0
    return int(stream.cache["spread"])


def buckets(distance: Tensor, settings: config.Disentangled) -> Tensor:
    """The bucket of each distance, from -num_buckets to num_buckets: single distances up to half of num_buckets, then
    spaced in logarithms. Rounded as transformers does: in fp32, up to a whole number.

    >>> buckets(torch.tensor([-20, -5, -2, 0, 1, 3, 4, 6, 14, 15]), config.Disentangled(num_buckets=8, max_distance=16))
    tensor([-8, -5, -2,  0,  1,  3,  4,  5,  7,  7])
    """
    middle = settings.num_buckets // 2
    size = distance.abs().clamp(min=middle - 1).float()
    whole = torch.log(torch.tensor((settings.max_distance - 1) / middle, device=distance.device))
    far = torch.ceil(torch.log(size / middle) / whole * (middle - 1)).long() + middle
    return torch.where(distance.abs() <= middle, distance, far * distance.sign())
