"""From a configuration to a network."""

from collections.abc import Callable

from omegaconf import DictConfig
from torch import nn

from a2u.config import plain
from a2u.models.matting import MattingUNet
from a2u.models.reconstruction import ReconstructionNet
from a2u.models.trimap_only import TrimapOnly

NETWORKS: dict[str, Callable[..., nn.Module]] = {"resnet34_unet": MattingUNet, "reconstruction": ReconstructionNet}


def build_model(cfg: DictConfig) -> nn.Module:
    """Construct the network of `cfg.model` with the operator of `cfg.upsampler`.

    A matting network maps (N, 4, H, W) -> (N, 1, H, W), the reconstruction network (N, 1, H, W) -> (N, 1, H, W).

    Constructs only: reads no file, fetches nothing, freezes nothing. Initial values come from PyTorch's global
    generator.

    Raises:
        ValueError: an impossible combination of options.
    """
    options, operator = plain(cfg.model), plain(cfg.upsampler)
    network, upsampler = options.pop("name"), operator.pop("name")
    options.pop("encoder_weights", None)
    if network == "trimap_only":
        return TrimapOnly()
    return NETWORKS[network](upsampler, operator, **options)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters (buffers are not parameters)."""
    return sum(parameter.numel() for parameter in model.parameters())
