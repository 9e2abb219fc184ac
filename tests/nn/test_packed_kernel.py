"""Weights kept in oneDNN's layout: equal to the plain map, made anew when they change, never used for training."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from pretune.nn.initial import Linear
from pretune.nn.kernels import linear as kernel
from pretune.nn.kernels.packed import MOST_ROWS, keep_packed

pytestmark = pytest.mark.skipif(not kernel._HAS_IT, reason="needs a CPU with AVX-512 and a torch with oneDNN")


def layer(inputs=96, outputs=64, bias=True):
    made = Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    keep_packed(made)
    return made


def close(found, made, x):
    torch.testing.assert_close(found, F.linear(x, made.weight, made.bias), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 10, 33, MOST_ROWS])
def test_it_equals_the_plain_map(rows, bias):
    made, x = layer(bias=bias), torch.randn(rows, 2, 96)[:, 1]
    with torch.inference_mode():
        found = made(x)
    assert made.packed._packed is not None and found.shape == (rows, 64)
    close(found, made, x)


@pytest.mark.parametrize("activation", kernel.ACTIVATIONS)
def test_what_follows_the_map(activation):
    made, x = layer(), torch.randn(5, 96)
    with torch.inference_mode():
        found = made(x, activation)
    torch.testing.assert_close(found, kernel.ACTIVATIONS[activation](made(x)), rtol=1e-5, atol=1e-4)


def test_weights_that_change_or_move_are_packed_anew():
    made, x = layer(), torch.randn(8, 96)
    with torch.no_grad():
        close(made(x), made, x)
        made.weight.mul_(2)
        close(made(x), made, x)
        made.weight.data = torch.randn(64, 96)
        close(made(x), made, x)
        made.load_state_dict({"weight": torch.ones(64, 96), "bias": torch.zeros(64)})
        close(made(x), made, x)


def test_many_rows_gradients_and_other_kinds_of_numbers_take_the_plain_way():
    made = layer()
    made(torch.randn(8, 96)).sum().backward()
    with torch.no_grad():
        made(torch.randn(MOST_ROWS + 1, 96))
        made(torch.randn(0, 96))
        with torch.autocast("cpu", torch.bfloat16):
            assert made(torch.randn(8, 96)).dtype == torch.bfloat16
        made.double()(torch.randn(8, 96, dtype=torch.float64))
    assert made.weight.grad is not None and made.packed._packed is None


def test_copies_and_files_of_a_model_hold_no_packed_weights():
    made = layer()
    with torch.no_grad():
        made(torch.randn(8, 96))
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.packed._packed is None and other.packed is not made.packed
    assert set(made.state_dict()) == {"weight", "bias"}
