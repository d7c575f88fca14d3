"""From a configuration to a network."""

from omegaconf import DictConfig
from torch import nn

from a2u.config import plain
from a2u.models.matting import MattingUNet
from a2u.models.trimap_only import TrimapOnly


def build_model(cfg: DictConfig) -> nn.Module:
    """Construct the network of `cfg.model` with the operator of `cfg.upsampler`: (N, 4, H, W) -> (N, 1, H, W).

    Constructs only: reads no file, fetches nothing, freezes nothing. Initial values come from PyTorch's global
    generator.

    Raises:
        ValueError: an impossible combination of options.
    """
    model, operator = plain(cfg.model), plain(cfg.upsampler)
    name = model.pop("name")
    model.pop("encoder_weights")
    if name == "trimap_only":
        return TrimapOnly()
    return MattingUNet(operator.pop("name"), operator, **model)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters (buffers are not parameters)."""
    return sum(parameter.numel() for parameter in model.parameters())
