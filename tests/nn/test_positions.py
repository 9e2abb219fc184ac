import math

import pytest
import torch

from pretune.nn.config import Learned, Sinusoidal
from pretune.nn.positions import Learned as LearnedModule
from pretune.nn.positions import Rotary
from pretune.nn.positions import Sinusoidal as SinusoidalModule


def turned_by_complex_numbers(x_THE, positions_T, base):
    """Su et al. 2021: the pair (i, i + E/2) is one complex number, turned by position * base^(-2i/E)."""
    half = x_THE.shape[-1] // 2
    angles = positions_T[:, None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    turned = torch.complex(x_THE[..., :half], x_THE[..., half:]) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat([turned.real, turned.imag], dim=-1)


@pytest.mark.parametrize("num_turned", [1, 2])
def test_rotary_equals_complex_multiplication_with_gradients(nn_tools, num_turned):
    stream = nn_tools.batch([1, 9, 40]).source
    x = torch.randn(50, 3, 2, 6, dtype=torch.float64, requires_grad=True)
    fast = Rotary(100.0, 6)((x * 1.0).flatten(1), stream, 3, num_turned).view(x.shape)
    parts = [
        turned_by_complex_numbers(part, stream.positions_T, 100.0) if i < num_turned else part
        for i, part in enumerate(x.unbind(1))
    ]
    plain = torch.stack(parts, dim=1)
    torch.testing.assert_close(fast, plain, rtol=0, atol=2e-5)  # angles are fp32
    weights = torch.randn_like(plain)
    grads = [torch.autograd.grad((form * weights).sum(), x)[0] for form in (fast, plain)]
    torch.testing.assert_close(*grads, rtol=0, atol=2e-5)


def test_sinusoidal_is_the_papers_formula(nn_tools):
    stream = nn_tools.batch([1, 30]).source
    out = SinusoidalModule(Sinusoidal(64), 10)(stream)
    for row, position in enumerate(stream.positions_T.tolist()):
        for i in range(5):
            angle = position / 10_000 ** (2 * i / 10)
            assert out[row, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert out[row, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_sinusoidal_as_worked_by_hand():
    """With a base of 100 and 4 dimensions, four positions; and with all sines before all cosines."""
    expected = torch.tensor(
        [
            [0, 1, 0, 1],
            [0.8415, 0.5403, 0.0998, 0.9950],
            [0.9093, -0.4161, 0.1987, 0.9801],
            [0.1411, -0.99, 0.2955, 0.9553],
        ]
    )
    in_turn = SinusoidalModule(Sinusoidal(4, base=100.0), 4).table_PD
    torch.testing.assert_close(in_turn, expected, rtol=0, atol=6e-5)
    halves = SinusoidalModule(Sinusoidal(4, interleaved=False, base=100.0), 4).table_PD
    assert torch.equal(halves, in_turn[:, [0, 2, 1, 3]])


def test_sines_of_far_positions_are_exact():
    table = SinusoidalModule(Sinusoidal(100_000), 10).table_PD
    for i in range(5):
        assert table[99_999, 2 * i].item() == pytest.approx(math.sin(99_999 / 10_000 ** (2 * i / 10)), abs=1e-6)


def test_learned_reads_the_row_of_the_position(nn_tools):
    stream = nn_tools.batch([2, 3]).source
    module = nn_tools.randomise(LearnedModule(Learned(8), 4))
    assert torch.equal(module(stream), module.embedding.weight[torch.tensor([0, 1, 0, 1, 2])])


@pytest.mark.parametrize("module", [LearnedModule(Learned(8), 4), SinusoidalModule(Sinusoidal(8), 4)])
def test_longer_than_the_positions_is_refused(nn_tools, module):
    with pytest.raises(ValueError, match="9 tokens is longer than the 8 positions"):
        module(nn_tools.batch([3, 9]).source)
