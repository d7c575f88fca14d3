"""Build a network from a configuration."""

import inspect
from collections.abc import Callable, Mapping

import torch
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from a2u.models.networks import networks
from a2u.models.networks.base import Network
from a2u.models.operators import DEFAULT_OPERATOR
from a2u.models.weights.files import differences, enumerated
from a2u.settings import plain


def build_model(cfg: DictConfig) -> nn.Module:
    """Construct the network of `cfg.model` with the operator of `cfg.upsampler`.

    A matting network maps (N, 4, H, W) -> (N, 1, H, W), the reconstruction network (N, 1, H, W) -> (N, 1, H, W),
    the probe (N, 4, H, W) with the true alpha -> (N, 1, H, W).

    Constructs only: reads no file, fetches nothing, freezes nothing. Initial values come from PyTorch's global
    generator.

    Raises:
        ValueError: an impossible combination of options.
    """
    options, operator = plain(cfg.model), plain(cfg.upsampler)
    name, upsampler = options.pop("name"), operator.pop("name")
    options.pop("encoder_weights", None)  # read afterwards, by a2u.models.weights
    known = networks()
    if name not in known:
        raise ValueError(f"there is no network {name!r}; known: {', '.join(known)}.")
    network: Callable[..., nn.Module] = known[name]
    if takes_operator(known[name]):
        return network(upsampler, operator, **options)
    if upsampler != DEFAULT_OPERATOR:
        raise ValueError(
            f"model={name} has no place for an upsampling operator, so upsampler={upsampler} would have no effect: "
            f"leave it out, or choose model={' or '.join(each for each in known if takes_operator(known[each]))}."
        )
    return network(**options)


def takes_operator(network: type[Network]) -> bool:
    """Return whether a network's constructor takes an upsampling operator."""
    return "upsampler" in inspect.signature(network).parameters


def build_trained(cfg: DictConfig, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network of a configuration and load its trained tensors; draws no random numbers.

    Raises:
        ValueError: tensors and network do not fit, or the configuration describes no network.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_model(cfg)
        found = differences(tensors, model.state_dict())
        if found:
            raise ValueError(f"{enumerated(found)}.")
        model.load_state_dict(tensors)
    except (RuntimeError, TypeError, KeyError, AttributeError, OmegaConfBaseException) as error:
        raise ValueError(str(error)) from error
    return model.eval()


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters, without buffers."""
    return sum(parameter.numel() for parameter in model.parameters())
