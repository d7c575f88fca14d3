"""ImageNet weights for encoders, from torchvision's files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from a2u.errors import ConfigError
from a2u.files import sha256
from a2u.models.encoder import Encoder
from a2u.models.networks.dim import VGGEncoder
from a2u.models.networks.indexnet_matting import MobileNetEncoder
from a2u.models.weights.files import WeightsError, read_weights


@dataclass(frozen=True)
class Source:
    """Where an encoder's ImageNet weights come from."""

    network: str  # torchvision's
    url: str
    name: Callable[[str], str]  # our encoder's tensor name -> torchvision's
    first: str  # our first convolution, which also reads the trimap


def load_encoder_weights(model: nn.Module, source: str) -> None:
    """Fill the encoder of `model` in place.

    The first three input channels come from the file, the trimap channel starts at 0; what the encoder does not have
    (later blocks, classifiers) is not used.

    Args:
        model: a network with an `encoder` at width 1.
        source: "none" (nothing happens), "imagenet" (torchvision's file is fetched), or a .pth or .safetensors file
            with torchvision's names.

    Raises:
        ConfigError: the file is missing, cannot be fetched or does not fit, or there is none for this network.
    """
    if source == "none":
        return
    encoder = getattr(model, "encoder", None)
    known = SOURCES.get(type(encoder))
    if encoder is None or known is None:
        raise ConfigError(
            f"model.encoder_weights={source}: torchvision has no ImageNet weights for the encoder of "
            f"{type(model).__name__}; set model.encoder_weights=none."
        )
    released = _read(source, known)
    state = {}
    for key, value in encoder.state_dict().items():
        name = known.name(key)
        if name not in released:
            raise ConfigError(
                f"model.encoder_weights={source} has no tensor {name}; a torchvision {known.network} is needed."
            )
        weight = released[name]
        if key == known.first and weight.dim() == 4:
            weight = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)  # (out, 3 -> 4, k, k)
        if weight.dim() == 2 and weight.numel() == value.numel():
            weight = weight.view(value.shape)  # a fully connected layer as a convolution
        if weight.shape != value.shape:
            raise ConfigError(
                f"model.encoder_weights={source}: tensor {name} is {tuple(weight.shape)}, the encoder's is "
                f"{tuple(value.shape)}; ImageNet weights fit model.width=1 alone, else set model.encoder_weights=none."
            )
        state[key] = weight
    encoder.load_state_dict(state)


def resnet_name(key: str) -> str:
    """ "layer2.0.conv1.1.0.weight" -> "layer2.0.bn1.weight" """
    *path, tensor = key.split(".")
    if path[0] == "stem":
        return f"conv1.{tensor}" if path[1] == "0" else f"bn1.{tensor}"
    layer, block, part, position = path[:4]
    if part == "projection":
        return f"{layer}.{block}.downsample.{position}.{tensor}"
    number = part.removeprefix("conv")
    return f"{layer}.{block}.conv{number}.{tensor}" if position == "0" else f"{layer}.{block}.bn{number}.{tensor}"


def mobilenet_name(key: str) -> str:
    return key


def vgg_name(key: str) -> str:
    """ "stages.1.0.weight" -> "features.7.weight": between two stages torchvision counts a pool."""
    if key.startswith("fc6."):
        return key.replace("fc6", "classifier.0")
    _, stage, position, tensor = key.split(".")
    before = (0, 7, 14, 24, 34)[int(stage)]
    return f"features.{before + int(position)}.{tensor}"


URL = "https://download.pytorch.org/models/"
SOURCES: dict[type, Source] = {
    Encoder: Source("ResNet-34", f"{URL}resnet34-b627a593.pth", resnet_name, "stem.0.weight"),
    MobileNetEncoder: Source("MobileNetV2", f"{URL}mobilenet_v2-b0353104.pth", mobilenet_name, "features.0.0.weight"),
    VGGEncoder: Source("VGG-16 with batch norm", f"{URL}vgg16_bn-6c64b313.pth", vgg_name, "stages.0.0.weight"),
}


def _read(source: str, known: Source) -> dict[str, Tensor]:
    try:
        return read_weights(_fetched(known.url) if source == "imagenet" else Path(source))
    except WeightsError as error:
        raise ConfigError(f"model.encoder_weights={source}: {error}") from error


def _fetched(url: str) -> Path:
    """torchvision's file, where torch.hub keeps it; downloaded first where it is not there.

    Its name ends in the first digits of its SHA-256, which torch.hub compares after a download and we every time.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    digits = path.stem.rpartition("-")[2]
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digits, progress=False)
        found = sha256(path)
    except (OSError, RuntimeError) as error:  # a URLError is an OSError
        raise ConfigError(
            f"the ImageNet weights could not be fetched from {url} ({error}); download the file elsewhere "
            "and set model.encoder_weights to its path, or set model.encoder_weights=none."
        ) from error
    if not found.startswith(digits):
        raise ConfigError(
            f"{path} is not torchvision's file: its SHA-256 is {found}, expected is one that begins with {digits}; "
            "remove it, or put a whole copy in its place."
        )
    return path
