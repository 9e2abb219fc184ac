"""Disentangled attention: buckets as transformers has them, scores as a loop over pairs has them, with gradients."""

import numpy as np
import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from pretune.core.errors import InputError
from pretune.core.stream import Stream
from pretune.nn.config import Attention, Disentangled, FanIn, FeedForward, LMHead, Norm, TransformerConfig
from pretune.nn.disentangled import buckets
from pretune.nn.layout import read_rows
from pretune.nn.transformer import Transformer

CONFIG = TransformerConfig(
    vocab_size=29, hidden_size=16, num_layers=2, position=Disentangled(4, 8), norm=Norm(), placement="post",
    feed_forward=FeedForward(32), attention=Attention(2), init=FanIn(), output=LMHead(),
)  # fmt: skip


@pytest.mark.parametrize("number, longest", [(256, 512), (8, 16), (32, 100), (4, 1000)])
def test_buckets_are_those_of_transformers(number, longest):
    distance = torch.arange(-1500, 1501)
    expected = make_log_bucket_position(distance, number, longest).long()
    assert torch.equal(buckets(distance, Disentangled(number, longest)), expected)


@pytest.fixture
def body():
    body = Transformer(CONFIG).double()
    for number, weight in enumerate(body.parameters()):
        torch.nn.init.normal_(weight, std=0.5, generator=torch.Generator().manual_seed(number))
    return body.eval()


def attended(body, x_TD, stream, read=None, rows=None):
    bias = body.position.for_pass(stream)
    return body.layers[0].attention(x_TD, stream, read, rows, bias)


def by_loops(body, x_TD, stream):
    """Equation 4 pair by pair."""
    attention = body.layers[0].attention
    table = body.position.norm(body.position.vectors.weight)
    q, k, v = attention.qkv(x_TD).view(-1, 3, 2, 8).unbind(1)
    table_q, table_k, _ = attention.qkv(table).view(-1, 3, 2, 8).unbind(1)
    rows, start = [], 0
    for length in map(int, stream.lengths_N):
        for i in range(start, start + length):
            scores = []
            for j in range(start, start + length):
                distance = stream.positions_T[i] - stream.positions_T[j]
                bucket = int((buckets(distance, body.config.position) + 4).clamp(0, 7))
                products = q[i] * k[j] + q[i] * table_k[bucket] + k[j] * table_q[bucket]
                scores.append(products.sum(-1) / (3 * 8) ** 0.5)
            weights = torch.stack(scores).softmax(0)
            rows.append((weights[:, :, None] * v[start : start + length]).sum(0).flatten())
        start += length
    return attention.output(torch.stack(rows))


@pytest.mark.parametrize("counts", [True, False])
def test_scores_equal_loops_over_pairs(nn_tools, body, counts):
    stream = nn_tools.batch([3, 4, 9, 9, 12]).source
    if not counts:
        positions = torch.from_numpy(np.random.default_rng(0).permutation(stream.num_tokens))
        stream = Stream(**{**vars(stream), "positions_T": positions, "cache": {}})
    x_TD = torch.randn(stream.num_tokens, 16, dtype=torch.float64, requires_grad=True)
    fast, slow = attended(body, x_TD, stream), by_loops(body, x_TD, stream)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    weights = [x_TD, body.position.vectors.weight, body.position.norm.weight, body.layers[0].attention.qkv.weight]
    both = [torch.autograd.grad(found.pow(2).sum(), weights, retain_graph=True) for found in (fast, slow)]
    for ours, expected in zip(*both, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_rows_that_are_read_equal_those_of_the_whole(nn_tools, body):
    stream = nn_tools.batch([3, 4, 9, 9, 12]).source
    x_TD = torch.randn(stream.num_tokens, 16, dtype=torch.float64)
    rows = torch.tensor([0, 2, 5, 9, 30, 36])
    found = attended(body, x_TD, stream, read_rows(stream, rows), rows)
    torch.testing.assert_close(found, attended(body, x_TD, stream)[rows], rtol=0, atol=1e-12)


def test_only_distances_that_occur_are_mapped(nn_tools):
    body = Transformer(config_with(Disentangled(256, 512)))
    short = body.position.for_pass(nn_tools.batch([3, 5]).source)
    assert len(short._table_BD) == 10  # distances -4 to 4, and one that none has
    long = body.position.for_pass(nn_tools.batch([700]).source)
    assert len(long._table_BD) == 512


def config_with(position, **changes):
    return TransformerConfig(**{**vars(CONFIG), "position": position, **changes})


def test_vectors_are_dropped_out_in_training_alone(nn_tools):
    body = Transformer(config_with(Disentangled(4, 8), hidden_dropout=0.5))
    stream = nn_tools.batch([6]).source
    x_TD = torch.randn(6, 16)
    body.position.train()
    assert not torch.equal(attended(body, x_TD, stream), attended(body, x_TD, stream))
    body.eval()
    assert torch.equal(attended(body, x_TD, stream), attended(body, x_TD, stream))


@pytest.mark.parametrize(
    ("position", "changes", "words"),
    [
        (Disentangled(5, 16), {}, "num_buckets is 5"),
        (Disentangled(8, 5), {}, "max_distance is 5"),
        (Disentangled(), {"attention": Attention(2, causal=True)}, "an encoder's"),
        (Disentangled(), {"attention": Attention(2, num_key_value_heads=1)}, "no shared keys"),
    ],
)
def test_what_it_cannot_be_is_refused(position, changes, words):
    with pytest.raises(InputError, match=words):
        config_with(position, **changes)
