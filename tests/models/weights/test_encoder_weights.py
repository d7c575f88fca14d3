"""ImageNet weights: torchvision's tensors at the right places."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from a2u.errors import ConfigError
from a2u.files import sha256
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.weights import encoder_weights
from a2u.models.weights.encoder_weights import load_encoder_weights


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    model = torchvision.models.resnet34(weights=None).eval()
    for module in model.modules():  # statistics and scales that a wrong place would not survive
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_encoder_computes_what_torchvisions_resnet_does(resnet, tmp_path, suffix):
    path = tmp_path / f"resnet34{suffix}"
    save_file(resnet.state_dict(), path) if suffix == ".safetensors" else torch.save(resnet.state_dict(), path)
    model = MattingUNet().eval()
    load_encoder_weights(model, str(path))
    for module in model.encoder.modules():  # ResNet has ReLU
        if isinstance(module, torch.nn.LeakyReLU):
            module.negative_slope = 0.0
    x = torch.randn(1, 4, 32, 32)
    with torch.no_grad():
        expected = resnet.relu(resnet.bn1(resnet.conv1(x[:, :3])))
        torch.testing.assert_close(model.encoder.stem(x), expected)
        expected = resnet.maxpool(expected)
        block, theirs = model.encoder.layer2[0], resnet.layer2[0]
        torch.testing.assert_close(block.projection(expected), theirs.downsample(expected))
        hidden = theirs.relu(theirs.bn1(theirs.conv1(expected)))
        torch.testing.assert_close(block.conv1(expected), hidden)
        torch.testing.assert_close(block.conv2(hidden), theirs.bn2(theirs.conv2(hidden)))
    for key, value in model.encoder.state_dict().items():
        if key != "stem.0.weight":
            assert torch.equal(value, resnet.state_dict()[model.encoder.torchvision_name(key)]), key


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {f"backbone.{name}": value for name, value in state.items()} | {"head.weight": torch.ones(2)},
        lambda state: {"model": {f"module.backbone.{name}": value for name, value in state.items()}},
    ],
    ids=["state_dict, module", "backbone", "model, module.backbone"],
)
def test_weights_are_found_where_people_have_them(resnet, tmp_path, wrap):
    torch.save(wrap(resnet.state_dict()), tmp_path / "weights.pth")
    model = MattingUNet()
    load_encoder_weights(model, str(tmp_path / "weights.pth"))
    assert torch.equal(model.encoder.stem[0].weight[:, :3], resnet.conv1.weight)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path, state: None, "there is no weights file"),
        (lambda path, state: path.write_bytes(b"not a checkpoint"), "could not be read"),
        (lambda path, state: torch.save({}, path), "holds no tensors by name"),
        (lambda path, state: torch.save({"fc.bias": torch.zeros(1)}, path), "has no tensor conv1.weight"),
        (lambda path, state: torch.save({k: v.long() for k, v in state.items()}, path), "of torch.int64, not floating"),
        (
            lambda path, state: torch.save(state | {"conv1.weight": torch.zeros(8, 3, 7, 7)}, path),
            "model.width=1 alone",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_named(resnet, tmp_path, prepare, words):
    path = tmp_path / "weights.pth"
    prepare(path, resnet.state_dict())
    with pytest.raises(ConfigError, match=words):
        load_encoder_weights(MattingUNet(), str(path))


def test_a_failed_download_says_where_the_file_is_to_be_had(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(ConfigError, match=r"resnet34-b627a593\.pth \(no network\); download the file elsewhere"):
        load_encoder_weights(MattingUNet(width=0.125), "imagenet")


def test_torchvisions_file_is_taken_from_where_torch_hub_keeps_it_if_it_is_that_file(resnet, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    torch.save(resnet.state_dict(), kept / "resnet34-b627a593.pth")
    with pytest.raises(ConfigError, match=r"resnet34-b627a593\.pth is not torchvision's file: .* begins with b627a593"):
        load_encoder_weights(MattingUNet(width=0.125), "imagenet")
    name = f"resnet34-{sha256(kept / 'resnet34-b627a593.pth')[:8]}.pth"
    (kept / "resnet34-b627a593.pth").rename(kept / name)
    monkeypatch.setattr(encoder_weights, "imagenet_url", lambda classifier: f"https://example.org/{name}")
    model = MattingUNet()
    load_encoder_weights(model, "imagenet")
    assert torch.equal(model.encoder.stem[0].weight[:, :3], resnet.conv1.weight)
