"""From a configuration to a network."""

from collections.abc import Callable, Mapping

import torch
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from a2u.models.networks.classic import KNN, ClosedForm
from a2u.models.networks.context_aware import ContextAware
from a2u.models.networks.dim import DIM
from a2u.models.networks.gca import GCA
from a2u.models.networks.indexnet_matting import IndexNetMatting
from a2u.models.networks.reconstruction import ReconstructionNet
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.networks.trimap_only import TrimapOnly
from a2u.models.weights.files import differences
from a2u.settings import plain

WITH_A_SLOT: dict[str, Callable[..., nn.Module]] = {  # for an upsampling operator
    "resnet34_unet": MattingUNet,
    "reconstruction": ReconstructionNet,
    "context_aware": ContextAware,
}
COMPLETE: dict[str, Callable[..., nn.Module]] = {"dim": DIM, "indexnet_matting": IndexNetMatting, "gca": GCA}
UNTRAINED: dict[str, Callable[[], nn.Module]] = {"trimap_only": TrimapOnly, "closed_form": ClosedForm, "knn": KNN}


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
    if network in WITH_A_SLOT:
        return WITH_A_SLOT[network](upsampler, operator, **options)
    if upsampler != "nearest":  # the default, which need not be taken back
        raise ValueError(
            f"model={network} has no place for an upsampling operator, so upsampler={upsampler} would have no effect: "
            f"leave it out, or choose model={' or '.join(WITH_A_SLOT)}."
        )
    return UNTRAINED[network]() if network in UNTRAINED else COMPLETE[network](**options)


def build_trained(cfg: DictConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network of a configuration with the tensors it ended up with, in evaluation mode; draws no random numbers.

    Raises:
        ValueError: they do not belong together, or the configuration is none of a network.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_model(cfg)
        found = differences(tensors, {name: value.shape for name, value in model.state_dict().items()})
        if found:
            raise ValueError(f"{found}.")
        model.load_state_dict(tensors)
    except (RuntimeError, TypeError, KeyError, AttributeError, OmegaConfBaseException) as error:
        raise ValueError(str(error)) from error
    return model.eval()


def count_parameters(model: nn.Module) -> int:
    """Number of parameters (buffers are not parameters)."""
    return sum(parameter.numel() for parameter in model.parameters())
