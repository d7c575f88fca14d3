"""Encoders other than the paper's: torchvision's features, torchvision's weights, and a place in the network."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from a2u.models.encoders import TRUNKS, Trunk
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.tiled import tiled
from a2u.models.weights.encoder_weights import load_encoder_weights

NODES = {name: [f"{trunk.within}.{end}".removeprefix(".") for end in trunk.ends] for name, trunk in TRUNKS.items()}
every_encoder = pytest.mark.parametrize("encoder", TRUNKS)


def network(encoder, upsampler="nearest", **options):
    torch.manual_seed(0)
    return MattingUNet(upsampler, options, encoder=encoder, width=0.125, decoder_blocks=1)


@every_encoder
def test_features_are_those_of_torchvisions_classifier(encoder, tmp_path):
    """By torchvision's own tool for intermediate features, with its weights read from a file."""
    classifier = torchvision.models.get_model(encoder, weights=None).eval()
    for module in classifier.modules():  # statistics and scales that a wrong place would not survive
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    model = network(encoder).eval()
    load_encoder_weights(model, str(tmp_path / "weights.pth"))
    x = torch.randn(2, 4, 32, 48)
    with torch.no_grad():
        features, guides = model.encoder(x, [])
        expected = create_feature_extractor(classifier, NODES[encoder])(x[:, :3])
    assert guides == [None] * 4
    for number, (feature, theirs) in enumerate(zip(features, expected.values(), strict=True)):
        assert feature.shape == (2, model.encoder.channels[number], 16 >> number, 24 >> number)
        torch.testing.assert_close(feature, theirs, rtol=0, atol=0)


@every_encoder
@pytest.mark.parametrize("upsampler", ["nearest", "a2u"])
def test_every_encoder_trains_a_step_and_is_computed_in_tiles(encoder, upsampler):
    model, x = network(encoder, upsampler), torch.randn(2, 4, 32, 32)
    before = [parameter.clone() for parameter in model.parameters()]
    model.train()(x).square().mean().backward()
    torch.optim.Adam(model.parameters()).step()
    changed = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > 0.95 * len(changed)  # biases before a norm have no gradient but rounding
    model.eval().double()
    x = torch.randn(1, 4, 144, 272, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(tiled(model, x, 128), model(x), rtol=0, atol=1e-9)


def test_an_encoder_that_averages_over_the_map_is_not_computed_in_tiles(monkeypatch):
    """As the documentation says of those that are added: squeeze-and-excitation."""
    monkeypatch.setitem(TRUNKS, "efficientnet_b0", Trunk("features", ("1", "2", "3", "5")))
    model, x = network("efficientnet_b0").eval(), torch.randn(1, 4, 144, 272)
    with torch.inference_mode():
        assert model(x).shape == (1, 1, 144, 272)
        with pytest.raises(ValueError, match=r"the encoder has a layer .*, and how far its output .* is not known"):
            tiled(model, x, 128)


@every_encoder
def test_paired_downsampling_has_no_place_in_it(encoder):
    with pytest.raises(ValueError, match=rf"model\.encoder={encoder} .* has a place in it: choose"):
        network(encoder, "a2u", paired=True)


def test_an_unknown_encoder_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no model\.encoder=vgg; known: resnet34, resnet18, resnet50, mobilenet_v2"):
        network("vgg")
