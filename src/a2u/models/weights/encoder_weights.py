"""ImageNet weights for encoders, from torchvision's files.

An encoder that they fit says which (`torchvision`) and how its tensors are called there (`torchvision_name`).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from a2u.errors import ConfigError
from a2u.files import sha256, user_path
from a2u.models.weights.files import WeightsError, read_weights, without_prefix

BACKBONE = "backbone."  # before the names of an encoder inside a larger network


def load_encoder_weights(model: nn.Module, source: str) -> None:
    """Load ImageNet weights into the encoder of `model`.

    The first three input channels come from the file, the trimap channel starts at 0. Layers that the encoder does not
    have (later blocks, the classifier) are ignored.

    Args:
        model: a network with an `encoder`, at width 1.
        source: "none" (nothing happens), "imagenet" (download torchvision's file), or a .pth or .safetensors file with
            torchvision's names: also in an entry `state_dict` or `model`, and behind "module." or "backbone.", where a
            file with such names has those of other parts left out.

    Raises:
        ConfigError: the file is missing, cannot be downloaded or does not fit, or this network has none.
    """
    if source == "none":
        return
    encoder = getattr(model, "encoder", None)
    classifier = getattr(encoder, "torchvision", None)
    if encoder is None or classifier is None:
        raise ConfigError(
            f"model.encoder_weights={source}: torchvision has no ImageNet weights for the encoder of "
            f"{type(model).__name__}; set model.encoder_weights=none."
        )
    released = _read(source, classifier)
    state = {}
    for key, value in encoder.state_dict().items():
        name = encoder.torchvision_name(key)
        if name not in released:
            raise ConfigError(
                f"model.encoder_weights={source} has no tensor {name}; torchvision's {classifier} is needed."
            )
        weight = released[name]
        if weight.dim() == 4 and value.shape[1] == 4 and weight.shape[1] == 3:  # the first convolution
            weight = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)
        if weight.dim() == 2 and weight.numel() == value.numel():
            weight = weight.view(value.shape)  # a fully connected layer as a convolution
        if weight.shape != value.shape:
            raise ConfigError(
                f"model.encoder_weights={source}: tensor {name} is {tuple(weight.shape)}, the encoder's is "
                f"{tuple(value.shape)}; ImageNet weights fit model.width=1 alone, else set model.encoder_weights=none."
            )
        if not weight.is_floating_point() and value.is_floating_point():
            raise ConfigError(
                f"model.encoder_weights={source}: tensor {name} is of {weight.dtype}, not floating-point."
            )
        state[key] = weight
    encoder.load_state_dict(state)


def imagenet_url(classifier: str) -> str:
    """Return where torchvision keeps its first ImageNet weights of a classifier."""
    from torchvision.models import get_model_weights  # here, as it takes a second to import

    url: str = get_model_weights(classifier)["IMAGENET1K_V1"].url
    return url


def _read(source: str, classifier: str) -> dict[str, Tensor]:
    try:
        path = _download(imagenet_url(classifier)) if source == "imagenet" else user_path(source)
        tensors = without_prefix(read_weights(path), "module.")
    except WeightsError as error:
        raise ConfigError(f"model.encoder_weights={source}: {error}") from error
    of_backbone = {name: value for name, value in tensors.items() if name.startswith(BACKBONE)}
    return without_prefix(of_backbone or tensors, BACKBONE)


def _download(url: str) -> Path:
    """Return torchvision's file, where torch.hub keeps it; download it first if it is not there.

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
