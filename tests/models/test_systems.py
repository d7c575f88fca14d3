"""The other systems of Table 5: parameters, sizes, learning, ImageNet weights."""

import pytest
import torch
import torchvision
from torch import nn

from a2u.errors import ConfigError
from a2u.losses import matting_loss
from a2u.models.build import count_parameters
from a2u.models.networks.base import scaled
from a2u.models.networks.dim import DIM
from a2u.models.networks.gca import GCA
from a2u.models.networks.indexnet_matting import IndexNetMatting
from a2u.models.weights.encoder_weights import load_encoder_weights

NETWORKS = [GCA, lambda **o: GCA(attention=False, **o), IndexNetMatting, DIM]
NAMES = ["gca", "gca_baseline", "indexnet_matting", "dim"]


@pytest.mark.parametrize(
    ("network", "options", "parameters"),
    [
        (DIM, {}, 130_545_345),
        (IndexNetMatting, {}, 8_153_771),
        (IndexNetMatting, {"hidden": 1}, 5_953_515),
        (GCA, {}, 25_164_529),
        (GCA, {"attention": False}, 25_072_481),
    ],
)
def test_parameters_are_the_published_ones(network, options, parameters):
    with torch.device("meta"):
        model = network(**options)
    assert count_parameters(model) == parameters


def test_gcas_printed_count_includes_the_vectors_of_the_spectral_normalisation():
    model = GCA()
    vectors = sum(value.numel() for name, value in model.named_buffers() if name.endswith(("._u", "._v")))
    assert count_parameters(model) + vectors == 25_269_144  # printed: 25.27M


@pytest.mark.parametrize("network", NETWORKS, ids=NAMES)
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_every_system_learns_at_any_width(network, size):
    torch.manual_seed(0)
    model = network(width=0.125)
    x = torch.randn(2, 4, *size)
    x[:, 3] = torch.tensor([0.0, 128 / 255, 1.0])[torch.randint(3, (2, *size))]
    ones, colours = torch.ones(2, 1, *size), torch.rand(3, 2, 3, *size)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = matting_loss(model.train()(x), 0.8 * ones, ones, *colours[:2], 0.8 * colours[0] + 0.2 * colours[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert not without
    assert losses[-1] < losses[0]
    assert model.eval()(x[:1]).shape == (1, 1, *size)


@pytest.mark.parametrize("network", NETWORKS, ids=NAMES)
def test_a_size_that_is_no_multiple_of_32_is_refused(network):
    with pytest.raises(ValueError, match="multiples of 32; got"):
        network(width=0.125)(torch.zeros(2, 4, 48, 64))


def test_a_width_leaves_whole_channels():
    assert scaled(0.5, 4, 64) == [2, 32]
    with pytest.raises(ValueError, match=r"model.width=0.3 must leave whole numbers of channels of 32"):
        scaled(0.3, 32, 64)


def test_gcas_trimap_has_no_part_before_training():
    model = GCA(attention=False, width=0.125)
    weight = model.encoder.stem[0][0].parametrizations.weight.original
    assert (weight[:, 3:] == 0).all()
    assert (weight[:, :3] != 0).any()


def shaken(model):
    """Statistics and scales that a wrong place would not survive."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5)
    return model.eval()


def test_indexnet_mattings_encoder_takes_torchvisions_mobilenet(tmp_path):
    mobilenet = shaken(torchvision.models.mobilenet_v2(weights=None))
    torch.save(mobilenet.state_dict(), tmp_path / "mobilenet.pth")
    model = IndexNetMatting().eval()
    load_encoder_weights(model, str(tmp_path / "mobilenet.pth"))
    x = torch.randn(1, 4, 33, 33)
    stem = mobilenet.features[0](x[:, :3])
    torch.testing.assert_close(model.encoder.features[0](x)[:, :, ::2, ::2], stem)  # there of stride 2
    # A block of theirs pads its depthwise convolution, one of ours its input: inside they agree.
    block, theirs = model.encoder.features[5], mobilenet.features[5]
    y = torch.randn(1, 32, 9, 9)
    torch.testing.assert_close(block(y)[..., 1:-1, 1:-1], theirs(y)[..., 1:-1, 1:-1])


@pytest.mark.slow  # half a gigabyte of weights
def test_dims_encoder_takes_torchvisions_vgg(tmp_path):
    with torch.device("meta"):
        whole = torchvision.models.vgg16_bn(weights=None)
    torch.manual_seed(0)
    state = {  # without the other fully connected layers, half a gigabyte
        key: torch.rand(value.shape) if value.is_floating_point() else torch.zeros(value.shape, dtype=value.dtype)
        for key, value in whole.state_dict().items()
        if key.startswith(("features.", "classifier.0."))
    }
    torch.save(state, tmp_path / "vgg.pth")
    model = DIM()
    load_encoder_weights(model, str(tmp_path / "vgg.pth"))
    stages = model.encoder.stages
    assert torch.equal(stages[0][0].weight[:, :3], state["features.0.weight"])
    assert (stages[0][0].weight[:, 3] == 0).all()
    assert torch.equal(stages[2][6].weight, state["features.20.weight"])
    assert torch.equal(stages[4][7].running_mean, state["features.41.running_mean"])
    assert torch.equal(model.encoder.fc6.weight.flatten(1), state["classifier.0.weight"])


def test_gca_has_no_public_imagenet_weights():
    with pytest.raises(ConfigError, match="no ImageNet weights for the encoder of GCA; set"):
        load_encoder_weights(GCA(width=0.125), "imagenet")
