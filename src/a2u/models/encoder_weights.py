"""ImageNet weights for the encoder: the first 11 residual blocks of torchvision's ResNet-34."""

from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from a2u.errors import ConfigError

SOURCE = "https://download.pytorch.org/models/resnet34-b627a593.pth"


def load_encoder_weights(model: nn.Module, source: str) -> None:
    """Fill the encoder of `model` in place.

    The first three input channels come from the file, the trimap channel starts at 0; blocks beyond the encoder's
    and layer4 are not used.

    Args:
        model: a network with an `encoder` at width 1.
        source: "none" (nothing happens), "imagenet" (torchvision fetches the file), or a .pth or .safetensors file
            with torchvision's ResNet-34 names.

    Raises:
        ConfigError: the file is missing, cannot be fetched or does not fit.
    """
    if source == "none":
        return
    released = _read(source)
    encoder = model.get_submodule("encoder")
    state = {}
    for key, value in encoder.state_dict().items():
        name = torchvision_name(key)
        if name not in released:
            raise ConfigError(
                f"model.encoder_weights={source} has no tensor {name}; a torchvision ResNet-34 is needed."
            )
        weight = released[name]
        if key == "stem.0.weight":
            weight = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)  # (64, 3 -> 4, 7, 7)
        if weight.shape != value.shape:
            raise ConfigError(
                f"model.encoder_weights={source}: tensor {name} is {tuple(weight.shape)}, the encoder's is "
                f"{tuple(value.shape)}; ImageNet weights fit model.width=1 alone, else set model.encoder_weights=none."
            )
        state[key] = weight
    encoder.load_state_dict(state)


def torchvision_name(key: str) -> str:
    """Our encoder's tensor name -> torchvision's: "layer2.0.conv1.1.0.weight" -> "layer2.0.bn1.weight"."""
    *path, tensor = key.split(".")
    if path[0] == "stem":
        return f"conv1.{tensor}" if path[1] == "0" else f"bn1.{tensor}"
    layer, block, part, position = path[:4]
    if part == "projection":
        return f"{layer}.{block}.downsample.{position}.{tensor}"
    number = part.removeprefix("conv")
    return f"{layer}.{block}.conv{number}.{tensor}" if position == "0" else f"{layer}.{block}.bn{number}.{tensor}"


def _read(source: str) -> dict[str, Tensor]:
    if source == "imagenet":
        try:
            return torch.hub.load_state_dict_from_url(SOURCE, map_location="cpu", weights_only=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"the ImageNet weights could not be fetched from {SOURCE} ({error}); download the file elsewhere and "
                "set model.encoder_weights to its path, or set model.encoder_weights=none."
            ) from error
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"model.encoder_weights: there is no file {source}; give none, imagenet or a file.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(f"model.encoder_weights: {source} could not be read ({error}).") from error
