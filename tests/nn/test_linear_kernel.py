"""The oneDNN linear map against torch's, forward and backward, and where it is not used."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from pretune.nn.kernels import linear as kernel

LARGE = [(2010, 128, 384, True), (2010, 320, 128, False), (396, 128, 4096, True), (8193, 16, 9, True)]


def values(rows, inputs, outputs, bias):
    generator = torch.Generator().manual_seed(1)
    shapes = [(rows, inputs), (outputs, inputs), *([(outputs,)] * bias)]
    return [torch.randn(shape, generator=generator).requires_grad_(True) for shape in shapes]


def both(tensors, grad):
    results = []
    for function in (kernel.linear, F.linear):
        given = [tensor.detach().clone().requires_grad_(True) for tensor in tensors]
        out = function(*given)
        results.append([out.detach(), *torch.autograd.grad(out, given, grad(out))])
    return results


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("grad", [torch.ones_like, lambda out: torch.ones(()).expand_as(out)])
def test_it_equals_torchs_forward_and_backward(shape, grad):
    ours, plain = both(values(*shape), grad)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=3e-4)
        assert mine.is_contiguous()


@pytest.mark.parametrize("activation", kernel.ACTIVATIONS)
@pytest.mark.parametrize("rows", [1, 2010])
def test_what_follows_the_map_is_the_same_with_and_without_gradients(rows, activation):
    """Few rows: torch's map; many: oneDNN's, which activates within its product where no gradient is asked for."""
    x, weight, bias = values(rows, 128, 384, True)
    plain = kernel.ACTIVATIONS[activation](F.linear(x, weight, bias))
    trained = kernel.linear(x, weight, bias, activation)
    with torch.no_grad():
        predicted = kernel.linear(x, weight, bias, activation)
    for found in (trained, predicted):
        torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-4)
    assert trained.requires_grad and not predicted.requires_grad
    (grad,) = torch.autograd.grad(trained.sum(), weight)
    torch.testing.assert_close(grad, torch.autograd.grad(plain.sum(), weight)[0], rtol=1e-4, atol=1e-3)


def test_strided_inputs_and_weights_are_read_right():
    x, weight = torch.randn(600, 2, 64)[:, 1], torch.randn(64, 96).t()
    torch.testing.assert_close(kernel.linear(x, weight), F.linear(x, weight), rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not kernel._HAS_IT, reason="this CPU has no AVX-512, or torch no oneDNN")
def test_it_is_used_for_large_fp32_maps_on_the_cpu_only():
    x, weight = torch.zeros(512, 64), torch.zeros(64, 64)
    assert kernel._pays(x, weight)
    assert not kernel._pays(x[:8], weight)
    assert not kernel._pays(x.bfloat16(), weight.bfloat16())
    assert not kernel._pays(x.double(), weight.double())
    assert not kernel._pays(x.view(8, 64, 64), weight)
    assert not kernel._pays(x.to("meta"), weight.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not kernel._pays(x, weight)


@pytest.mark.skipif(not kernel._HAS_IT, reason="this CPU has no AVX-512, or torch no oneDNN")
def test_it_can_be_turned_off_where_torch_is_told_not_to_use_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    try:
        assert not kernel._pays(torch.zeros(512, 64), torch.zeros(64, 64))
    finally:
        torch._C._set_mkldnn_enabled(True)


def test_gradients_that_nobody_needs_are_not_computed():
    x, weight, bias = values(2010, 128, 384, True)
    x.requires_grad_(False)
    kernel.linear(x, weight, bias.detach()).sum().backward()
    assert x.grad is None and weight.grad is not None


@pytest.mark.skipif(not kernel._HAS_IT, reason="needs a CPU with AVX-512 and a torch with oneDNN")
def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    """oneDNN keeps code for every shape it meets: 300 numbers of rows must not become 900 shapes."""
    weight_OI = torch.randn(512, 256, requires_grad=True)
    sizes: set[int] = set()
    original = kernel.product

    def counted(a_RI: torch.Tensor, b_CI: torch.Tensor, bias_C: torch.Tensor | None = None) -> torch.Tensor:
        sizes.add(max(a_RI.shape[0], a_RI.shape[1]))
        return original(a_RI, b_CI, bias_C)

    with mock.patch.object(kernel, "product", counted):
        for num_rows in range(600, 900):
            kernel.linear(torch.randn(num_rows, 256), weight_OI).sum().backward()
    assert sizes == {640, 704, 768, 832, 896, 960}
