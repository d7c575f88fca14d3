"""Find out whether Triton kernels work on this machine."""

import importlib
import warnings
from functools import cache
from types import ModuleType

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from a2u.upsampling.ops.cache_folder import give_triton_a_folder


@cache
def checked(name: str) -> ModuleType | None:
    """Return a module with Triton kernels once its `check()` has passed on this machine; else None, with a warning."""
    try:
        give_triton_a_folder()
        module = importlib.import_module(f"a2u.upsampling.ops.{name}")
        # the first map may come in the midst of a step in bfloat16, or be a fake one
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False), _disable_current_modes():
            module.check()
    except Exception as error:  # no Triton, no compiler for its launcher, a GPU it does not know: many types
        why = f"{type(error).__name__}: {error}"
        warnings.warn(f"a2u.upsampling.ops.{name} runs without its Triton kernels, and slower: {why}", stacklevel=2)
        return None
    return module


def suits(x: Tensor) -> bool:
    """Return whether a map is on a GPU and may be summed in float32."""
    return x.device.type == "cuda" and x.dtype != torch.float64
