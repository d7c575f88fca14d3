"""Read weights files from any source without running code in them.

A .safetensors file and a TensorFlow checkpoint hold only tensors. Every other file is read as one of torch.save: a
pickle, of which only tensors and plain values are loaded.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from a2u.errors import A2UError
from a2u.models.weights.tensorflow_checkpoint import INDEX, read_tensorflow_checkpoint

# A loss or an epoch stored with the weights is often a NumPy number; as data these are harmless.
_SCALARS: list[Any] = [np.dtype, *{type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")}]
_SCALARS += [(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]

ZIP_START = b"PK\x03\x04"


class WeightsError(A2UError, ValueError):
    """A weights file is missing, damaged, of another kind, or names code."""


def read_content(path: Path) -> Any:
    """Return the content of a weights file: tensors (on the CPU), numbers, strings, lists and dictionaries.

    Of a TensorFlow checkpoint, `path` is the .index file or what both names of the pair begin with. Damage is noticed
    there and in files of torch.save since PyTorch 1.6, which have checksums; other files have none.

    Raises:
        WeightsError: no such file, damaged, of another kind, or a pickle that names code. Nothing of it ran.
    """
    index = path.with_name(path.name + INDEX)
    if index.is_file() and not path.is_file():
        path = index
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == INDEX:
            return read_tensorflow_checkpoint(path)
        if zipfile.is_zipfile(path):
            _check_archive(path)
        with torch.serialization.safe_globals(_SCALARS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        code = _code(path, error)
        if code:
            raise WeightsError(
                f"{path} is refused, since loading it could run code: {code}. Nothing of it ran. Expected are tensors "
                "and plain values alone; ask for the tensors as a .safetensors file."
            ) from error
        reason = str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__
        raise WeightsError(
            f"{path} could not be read as weights ({reason}): it is damaged or of another kind. Expected are tensors "
            "and plain values in a file of torch.save, a .safetensors file, or TensorFlow's .index with its data file."
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return tensors by name: of a .safetensors, TensorFlow or torch.save file, there also in `state_dict` or `model`.

    Raises:
        WeightsError: as read_content; or there are no tensors, more than tensors, or tensors that cannot be weights:
            with NaN or infinite values, or larger than what the file holds of them.
    """
    return tensors_of(read_content(path), path)


def tensors_of(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file's content. Raises WeightsError as read_weights."""
    for entry in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(entry), dict):
            content = content[entry]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path} holds no tensors by name, nor a `state_dict` of them.")
    others = [str(name) for name, value in content.items() if not _is_plain(value)]
    if others:
        raise WeightsError(
            f"{path} holds {', '.join(others[:5])}, which are no tensors, not whole ones or quantised: it is a "
            "checkpoint of another form; expected are tensors by name, or a `state_dict` entry that holds them."
        )
    check_finite(content, path)
    return content


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Drop `prefix` from the names that begin with it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """List what is missing, unknown, of another shape or of another kind of number in `given`."""
    found = [f"missing {name}" for name in wanted if name not in given]
    found += [f"unknown {name}" for name in given if name not in wanted]
    both = [(name, given[name], own) for name, own in wanted.items() if name in given]
    found += [
        f"{name} is {tuple(value.shape)}, expected {tuple(own.shape)}"
        for name, value, own in both
        if value.shape != own.shape
    ]
    found += [
        f"{name} is of {str(value.dtype).removeprefix('torch.')}, expected a floating-point type"
        for name, value, own in both
        if own.is_floating_point() and not value.is_floating_point()
    ]
    return found


def fits(given: Tensor, own: Tensor) -> bool:
    """Return whether a tensor has the shape and the kind of number of a network's own."""
    return not differences({"": given}, {"": own})


def enumerated(found: Sequence[str], shown: int = 20) -> str:
    """Join differences, the first of many."""
    return "; ".join(found[:shown]) + (f"; and {len(found) - shown} more" if len(found) > shown else "")


def check_finite(tensors: dict[str, Tensor], path: Path) -> None:
    """Raise WeightsError, naming `path`, if a tensor holds NaN or infinite values."""
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise WeightsError(f"{path} holds NaN or infinite values in {name}: no network can compute with them.")


def _is_plain(value: Any) -> bool:
    """Return whether a tensor has all its values in the file: not sparse, quantised or one repeated a billion times."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return not value.is_quantized and value.nbytes <= value.untyped_storage().nbytes()


def _check_archive(path: Path) -> None:
    """Raise ValueError for a zip file that torch.save did not write, or a damaged one: torch.load reads no checksum."""
    with zipfile.ZipFile(path) as archive:
        claimed, size = sum(part.file_size for part in archive.infolist()), path.stat().st_size
        if claimed > size:  # torch.save does not compress
            raise ValueError(f"it claims to hold {claimed:,} bytes and has {size:,}")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")


def _code(path: Path, error: Exception) -> str | None:
    """Say what torch.load refused as code; None if it failed for another reason."""
    if not isinstance(error, pickle.UnpicklingError):
        return None
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it names {named[1]}"
    with path.open("rb") as file:
        start = file.read(4)
    is_pickle = start[:1] == pickle.PROTO or start == ZIP_START
    return "it is a pickle, and not or no longer as torch.save writes one" if is_pickle else None
