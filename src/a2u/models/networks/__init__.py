"""Whole networks, one file each. To add one, add a file here with a subclass of `Network` that has a `name`."""

import importlib
import pkgutil

from a2u.models.networks.base import Network
from a2u.upsampling.base import named_subclasses


def networks() -> dict[str, type[Network]]:
    """Return every network by name: the subclasses of `Network` in this folder, and any the caller defined."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return named_subclasses(Network)
