"""Reading a weights file that somebody else wrote, without running what is in it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from a2u.models.released.errors import ReleasedError

# A loss or an epoch stored beside the weights is often a NumPy number; as data these are harmless.
_SCALARS: list[Any] = [np.dtype, *{type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")}]
_SCALARS += [(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors file, or of a .pth file with or without a `state_dict` entry.

    Raises:
        ReleasedError: no such file, damaged, holding more than tensors and plain values, or holding no tensors.
    """
    if not path.is_file():
        raise ReleasedError(f"there is no weights file {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ReleasedError(
            f"{path} could not be read as weights ({reason}); expected are tensors and plain values in a .pth file, "
            "or a .safetensors file. Nothing else is loaded, since a pickle could run code."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise ReleasedError(f"{path} holds no tensors by name, nor a `state_dict` of them.")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ReleasedError(
            f"{path} holds {', '.join(others[:5])}, which are no tensors: it is a checkpoint of another form; expected "
            "are tensors by name, or a `state_dict` entry that holds them."
        )
    return content
