"""Affinity-Aware Upsampling (A2U), CVPR 2021: operators, networks, data, metrics and the paper's tables.

`a2u.matte` mattes a photograph, `a2u.load` gives a network; both import what they need when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a2u.apply.matte import load, matte

__version__ = "0.1.0"
__all__ = ["load", "matte"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'a2u' has no attribute {name!r}")
    try:
        from a2u.apply import matte
    except ModuleNotFoundError as error:
        needed = f"a2u.{name} needs the package {error.name}; install it with `pip install 'a2u[experiments]'`"
        raise ImportError(needed, name=error.name) from error
    return getattr(matte, name)
