"""Buckets of distances as transformers has them, and scores with gradients however positions run."""

import numpy as np
import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from pretune.core.stream import Stream
from pretune.nn.attention import attend
from pretune.nn.config import RelativeBuckets
from pretune.nn.relative import RelativeScores, buckets


@pytest.mark.parametrize("number, longest", [(32, 128), (8, 16), (64, 1000)])
@pytest.mark.parametrize("causal", [True, False])
def test_buckets_are_those_of_transformers(number, longest, causal):
    behind = torch.arange(-1500, 1501)
    expected = T5Attention._relative_position_bucket(
        behind, bidirectional=not causal, num_buckets=number, max_distance=longest
    )
    torch.testing.assert_close(buckets(behind, RelativeBuckets(number, longest), causal), expected)


@pytest.mark.parametrize("counts", [True, False])
def test_scores_equal_a_dense_loop(nn_tools, counts):
    """Positions that count up share one table a group; others are looked up one by one."""
    module = RelativeScores(RelativeBuckets(8, 16), num_heads=2, causal=False).double()
    torch.nn.init.normal_(module.scores.weight)
    stream = nn_tools.batch([3, 4, 9, 9, 30]).source
    if not counts:
        positions = torch.from_numpy(np.random.default_rng(0).permutation(stream.num_tokens))
        stream = Stream(**{**vars(stream), "positions_T": positions, "cache": {}})
    q, k, v = (torch.randn(stream.num_tokens, 2, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    bias = module.for_pass().of_layer(None)
    fast = attend(q, k, v, stream, stream, bias=bias, scale=1.0)
    again = attend(q, k, v, stream, stream, bias=bias, scale=1.0)  # a second layer: nothing is added twice
    outputs, start = [], 0
    for length in stream.lengths_N:
        rows = slice(start, start + int(length))
        positions = stream.positions_T[rows]
        scores = module(positions[None], positions[None])[0]
        products = torch.einsum("qhe,khe->hqk", q[rows], k[rows]) + scores
        outputs.append(torch.einsum("hqk,khe->qhe", products.softmax(-1), v[rows]))
        start += int(length)
    slow = torch.cat(outputs)
    for found in (fast, again):
        torch.testing.assert_close(found, slow, rtol=0, atol=1e-12)
    grads = [torch.autograd.grad(out.pow(2).sum(), module.scores.weight, retain_graph=True)[0] for out in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-10)
