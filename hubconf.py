"""Entry points of torch.hub.

>>> torch.hub.load("CHECKOUT", "matting", source="local")  # doctest: +SKIP
>>> torch.hub.load("CHECKOUT", "upsampler", "a2u", channels=64, source="local")  # doctest: +SKIP
"""

import sys
from pathlib import Path
from typing import Any

from torch import nn

sys.path.insert(0, str(Path(__file__).parent / "src"))  # this checkout's package, whether or not one is installed

dependencies = ["torch"]


def matting(name_or_file: str = "auto") -> nn.Module:
    """Return a matting network, (N, 4, H, W) -> (N, 1, H, W): the best in the package, or what `a2u.load` takes."""
    import a2u

    return a2u.load(name_or_file)


def upsampler(name: str, channels: int, **options: Any) -> nn.Module:
    """Return an upsampling operator by name, such as "a2u", "carafe" or "dysample", with its constructor's options."""
    from a2u.upsampling import build_upsampler

    return build_upsampler(name, channels, **options)
