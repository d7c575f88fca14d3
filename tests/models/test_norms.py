"""Our norms against PyTorch's in double precision: outputs, every gradient, running statistics."""

import pytest
import torch
from torch import nn

from a2u.models.layers import NormActivation
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.norms.narrow_batchnorm import BatchNorm

SCALES = torch.tensor([1.0, -0.7, 0.3, 2.0, 0.5, -1.5, 0.9, 1.1])


def filled(norm, channels):
    with torch.no_grad():
        norm.weight.copy_(SCALES[:channels])
        norm.bias.copy_(torch.linspace(-1, 1, channels))
    return norm


def results(model, norm, x, grad):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = model(x)
    y.backward(grad)
    counted = norm.num_batches_tracked.double()
    return y.detach(), x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var, counted


def inputs(channels, dtype, size=(3, 6, 5)):
    torch.manual_seed(0)
    n, h, w = size
    x, grad = (torch.randn(n, channels, h, w, dtype=dtype) for _ in "xy")
    return x.contiguous(memory_format=torch.channels_last), grad


@pytest.mark.parametrize("channels", [1, 4, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_narrow_norm_is_pytorchs(channels, dtype, tolerance):
    x, grad = inputs(channels, dtype)
    ours = filled(BatchNorm(channels).to(dtype), channels)
    theirs = filled(nn.BatchNorm2d(channels).to(dtype), channels)
    for found, expected in zip(results(ours, ours, x, grad), results(theirs, theirs, x, grad), strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x), rtol=tolerance, atol=tolerance)


def test_a_narrow_norm_is_really_another_computation():
    """Or the test above would compare PyTorch with itself."""
    x, _ = inputs(4, torch.float32)
    assert "Narrow" in type(BatchNorm(4)(x).grad_fn).__name__
    assert "Narrow" not in type(BatchNorm(4)(x.contiguous()).grad_fn).__name__


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_a_norm_that_keeps_its_output_alone_gives_the_same(dtype, tolerance, last):
    x, grad = inputs(8, dtype)
    x = x if last else x.contiguous()
    models = [NormActivation(8).to(dtype) for _ in "ab"]
    for model in models:
        filled(model[0], 8)
    models[0].recompute = True
    found, expected = (results(model, model[0], x, grad) for model in models)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_a_scale_of_zero_is_not_divided_by():
    x, grad = inputs(8, torch.float64)
    models = [NormActivation(8).double() for _ in "ab"]
    for model in models:
        filled(model[0], 8)
        with torch.no_grad():
            model[0].weight[3] = 0
    models[0].recompute = True
    found, expected = (results(model, model[0], x, grad) for model in models)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_training_step_holds_less():
    """Bytes of all maps that are kept for the backward pass, each counted once."""
    x = torch.randn(2, 4, 64, 64)

    def held(recompute):
        torch.manual_seed(0)
        model = MattingUNet(width=0.5)
        for part in model.modules():
            if isinstance(part, NormActivation):
                part.recompute = recompute
        kept = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(x)
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        return sum(storage.nbytes() for place, storage in kept.items() if place not in weights)

    assert held(True) < 0.8 * held(False)
