"""Upsampling operators: one file per operator (fixed.py: three), one contract (base.py). Imports only torch.

To add an operator, add a file here with a subclass of `Upsampler` that has a `name`.
"""

import importlib
import inspect
import pkgutil
from typing import Any

from a2u.upsampling.affinity import A2U
from a2u.upsampling.base import Upsampler, named_subclasses
from a2u.upsampling.carafe import Carafe
from a2u.upsampling.deconv import Deconv
from a2u.upsampling.fixed import Bicubic, Bilinear, Nearest
from a2u.upsampling.indexnet import IndexNet
from a2u.upsampling.max_unpool import MaxUnpool
from a2u.upsampling.pixel_shuffle import PixelShuffle


def operators() -> dict[str, type[Upsampler]]:
    """Return every operator by name: the subclasses of `Upsampler` in this folder, and any the caller defined."""
    return named_subclasses(Upsampler)


def build_upsampler(name: str, channels: int, **options: Any) -> Upsampler:
    """Build the operator `name` for features of `channels` channels; options are its constructor's.

    Raises:
        ValueError: no such operator, no such option, or an impossible combination of options.
    """
    known = operators()
    if name not in known:
        raise ValueError(f"there is no upsampler {name!r}; known: {', '.join(known)}.")
    allowed = option_names(known[name])
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has: {', '.join(allowed) or 'none'}.")
    return known[name](channels, **options)


def option_names(operator: type[Upsampler]) -> list[str]:
    """Return the names of an operator's options: its constructor's arguments after `channels`."""
    return [name for name in inspect.signature(operator).parameters if name != "channels"]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "A2U",
    "Bicubic",
    "Bilinear",
    "Carafe",
    "Deconv",
    "IndexNet",
    "MaxUnpool",
    "Nearest",
    "PixelShuffle",
    "Upsampler",
    "build_upsampler",
    "operators",
    "option_names",
]
