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
    from a2u.errors import needs_experiments

    with needs_experiments(f"a2u.{name}"):
        from a2u.apply import matte
    return getattr(matte, name)
