import pytest
import torch
import torch.nn.functional as F

from pretune.nn.kernels.dropout import add_dropped, dropout, has_own_bits, mixed_and_dropped


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_share_and_scale(rate):
    torch.manual_seed(0)
    x = torch.ones(1_000, 333)
    y = dropout(x, rate)
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(rate, abs=4 * (rate * (1 - rate) / x.numel()) ** 0.5 + 1e-5)
    assert y[y != 0].unique().tolist() == [pytest.approx(1 / (1 - rate), rel=1e-4)]
    assert y.mean().item() == pytest.approx(1, abs=0.01)


def test_every_place_and_every_pair_of_neighbours_is_as_likely():
    torch.manual_seed(0)
    kept = torch.stack([dropout(torch.ones(8, 7), 0.25) != 0 for _ in range(4_000)]).flatten(1).double()
    error = (0.25 * 0.75 / 4_000) ** 0.5
    assert (kept.mean(0) - 0.75).abs().max() < 5 * error
    together = torch.corrcoef(kept.T) - torch.eye(56)
    assert together.abs().max() < 5 / 4_000**0.5


def test_the_state_of_torch_s_generator_brings_the_mask_back():
    x = torch.ones(37, 11)
    state = torch.get_rng_state()
    first, second = dropout(x, 0.3), dropout(x, 0.3)
    torch.set_rng_state(state)
    torch.testing.assert_close(dropout(x, 0.3), first, rtol=0, atol=0)
    assert not torch.equal(first, second)


def test_gradient_goes_where_values_went():
    torch.manual_seed(0)
    x = torch.randn(5, 3, requires_grad=True)
    y = dropout(x, 0.5)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_added():
    x = torch.randn(50, 8, requires_grad=True)
    added = torch.randn(50, 8, requires_grad=True)
    torch.manual_seed(3)
    y = add_dropped(x, added, 0.4)
    y.sum().backward()
    torch.manual_seed(3)
    torch.testing.assert_close(y, x + dropout(added, 0.4))
    torch.testing.assert_close(x.grad, torch.ones(50, 8))
    assert ((added.grad == 0) == (y.detach() == x.detach())).all()


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 5, 7)])
def test_shapes(shape):
    assert dropout(torch.randn(shape), 0.1).shape == shape


def test_other_kinds_of_numbers_take_torch_s_way():
    x = torch.ones(100, 100, dtype=torch.bfloat16)
    assert not has_own_bits(x)
    assert dropout(x, 0.5).dtype == torch.bfloat16
    assert add_dropped(x, x, 0.5).dtype == torch.bfloat16
    assert dropout(torch.ones(4), 1.0).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [None, 1.0])
def test_attention_without_dropping_is_torch_s(is_causal, masked, scale):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 6, 8).unbind(0)
    mask = None
    if masked and not is_causal:
        mask = torch.zeros(2, 1, 6, 6).masked_fill(torch.rand(2, 1, 6, 6) < 0.3, -torch.inf)
        mask[1, 0, 2] = -torch.inf  # a query that sees nothing
    expected = F.scaled_dot_product_attention(q, k, v, mask, 0.0, is_causal, scale=scale)
    torch.testing.assert_close(mixed_and_dropped(q, k, v, mask, 0.0, is_causal, scale), expected)


def test_attention_drops_probabilities():
    torch.manual_seed(0)
    q, k = torch.zeros(2, 2, 3, 50, 4).unbind(0)
    mixed = mixed_and_dropped(q, k, torch.eye(50).expand(2, 3, 50, 50), None, 0.1)  # the probabilities themselves
    assert sorted(mixed.unique().tolist()) == [0, pytest.approx(1 / 50 / 0.9, rel=1e-4)]
    assert (mixed == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
