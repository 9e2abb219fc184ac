import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pretune.core.stream import Stream
from pretune.nn.attention import attend

KINDS = ["full", "causal", "prefix", "permuted", "query stream", "mixed"]
LENGTHS = {
    "ones": [1, 1, 1],
    "single": [7],
    "equal": [16] * 40,  # past STANDS_ALONE
    "huge and tiny": [300, 1, 2, 1, 3, 2],
    "spread": [3, 5, 8, 13, 21, 34, 55, 34, 21, 8],
    "equal and others": [20] * 30 + [3, 11, 19, 25],
}


def random_stream(lengths: list[int], seed: int) -> Stream:
    """Positions, ranks and visibility at random, in no order of lengths."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 6, sum(lengths)) for _ in range(3)]
    shown, sees, positions = columns
    zeros = np.zeros(sum(lengths), np.int64)
    return Stream(zeros, positions, zeros, shown, sees, np.array(lengths), visibility="mixed").to("cpu")


def maps(queries: Stream, keys: Stream, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    sizes = [queries.num_tokens, keys.num_tokens, keys.num_tokens]
    return [torch.randn(n, 2, 6, dtype=dtype).requires_grad_() for n in sizes]


def check(nn_tools, queries: Stream, keys: Stream, **options) -> None:
    """Outputs and gradients equal the dense loop's, in float64."""
    inputs = maps(queries, keys)
    fast = attend(*inputs, queries, keys, **options)
    plain = nn_tools.dense(*inputs, queries, keys, **options)
    weights = torch.randn_like(plain)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-12)
    fast_grads = torch.autograd.grad((fast * weights).sum(), inputs)
    plain_grads = torch.autograd.grad((plain * weights).sum(), inputs)
    for one, other in zip(fast_grads, plain_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
def test_equals_the_dense_loop(nn_tools, lengths, kind, window):
    stream = nn_tools.batch(lengths, kind).source
    check(nn_tools, stream, stream, window=window)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=25), st.sampled_from(KINDS), st.sampled_from([None, 0, 5]))
def test_equals_the_dense_loop_for_any_lengths(nn_tools, lengths, kind, window):
    stream = nn_tools.batch(lengths, kind).source
    check(nn_tools, stream, stream, window=window)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=15),
    st.sampled_from([None, 3]),
    st.integers(0, 9),
)
def test_queries_and_keys_of_different_streams(nn_tools, pairs, window, seed):
    queries = random_stream([pair[0] for pair in pairs], seed)
    keys = random_stream([pair[1] for pair in pairs], seed + 1)
    check(nn_tools, queries, keys, window=window)


def test_causal_queries_read_a_whole_source(nn_tools):
    """A decoder's cross-attention: source rows are shown at zero."""
    queries = nn_tools.batch([2, 5, 5, 30], "causal").source
    keys = nn_tools.batch([3, 4, 20, 20]).source
    check(nn_tools, queries, keys)


@pytest.mark.parametrize("kind", ["full", "causal"])
def test_bias_is_added_and_has_gradients(nn_tools, kind):
    table_HB = torch.randn(2, 9, dtype=torch.float64, requires_grad=True)

    def bias(q_NHQE, k_NHKE, positions_NQ, positions_NK):
        """T5's kind (a table by distance) and one that depends on the query."""
        apart = (positions_NQ[:, :, None] - positions_NK[:, None, :]).clamp(-4, 4) + 4
        return table_HB[:, apart].transpose(0, 1) + q_NHQE[..., :1]

    def grouped(group):
        positions_NQ, positions_NK = (
            side.pad(of.positions_T) for side, of in ((group.query_side, group.queries), (group.key_side, group.keys))
        )
        scores = bias(group.q_NHQE, group.k_NHKE, positions_NQ, positions_NK)
        return scores if group.mask is None else scores + group.mask

    stream = nn_tools.batch([1, 4, 9, 9, 30], kind).source
    inputs = maps(stream, stream)
    outputs = [attend(*inputs, stream, stream, bias=grouped), nn_tools.dense(*inputs, stream, stream, bias=bias)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-10)
    grads = [torch.autograd.grad(out.pow(2).sum(), table_HB)[0] for out in outputs]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-10)


def test_a_query_that_sees_no_key_gets_zeros_and_finite_gradients(nn_tools):
    stream = nn_tools.batch([1, 5], "query stream").source
    inputs = maps(stream, stream)
    out = attend(*inputs, stream, stream)
    blind = stream.sees_up_to_T < 0
    assert blind.sum() == 2
    assert (out[blind] == 0).all() and (out[~blind] != 0).all()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(out.sum(), inputs))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_tolerance_for_each_dtype(nn_tools, dtype, tolerance):
    stream = nn_tools.batch(LENGTHS["spread"], "mixed").source
    exact = maps(stream, stream)
    fast = attend(*(x.detach().to(dtype) for x in exact), stream, stream)
    assert fast.dtype == dtype
    torch.testing.assert_close(fast.double(), nn_tools.dense(*exact, stream, stream), rtol=0, atol=tolerance)


def test_dropout_keeps_the_mean_and_drops(nn_tools):
    stream = nn_tools.batch([3, 9, 20]).source
    inputs = [x.detach() for x in maps(stream, stream)]
    torch.manual_seed(1)
    draws = torch.stack([attend(*inputs, stream, stream, dropout=0.3) for _ in range(2000)])
    torch.testing.assert_close(draws.mean(0), attend(*inputs, stream, stream), rtol=0, atol=0.12)
    assert draws.std(0).min() > 0.01


def test_unequal_numbers_of_sequences_are_refused(nn_tools):
    queries, keys = nn_tools.batch([2, 3]).source, nn_tools.batch([4]).source
    with pytest.raises(ValueError, match="2 sequences of queries for 1"):
        attend(*maps(queries, keys), queries, keys)


def test_a_queried_sequence_without_keys_is_refused():
    queries, keys = random_stream([2, 0, 1], 0), random_stream([3, 0, 0], 0)
    with pytest.raises(ValueError, match="at least one key"):
        attend(*maps(queries, keys), queries, keys)
