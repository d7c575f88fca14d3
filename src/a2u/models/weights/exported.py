"""Exported weights: a file of tensors and, beside it under the same name, a .json file that says what they are.

The manifest holds
file, sha256                              of the weights: name, and checksum, which is compared on every load
task, table, row, dataset, scale, seed    of the run
steps, params                             of training; of the network
metrics                                   on the run's test set with these weights; null where its result is not there
hash, config                              of the run: identity and resolved configuration, which says what network it is
train_names                               training foregrounds, to tell where a test image is one of them
provenance                                commits, devices, wall_seconds; with a result also data, versions and machine
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor, nn

from a2u.files import replacing, sha256, write_json
from a2u.models.build import build_trained
from a2u.models.weights.files import WeightsError, check_finite, read_weights

KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("file", "sha256", "task", "table", "row", "dataset", "scale", "hash"), str),
    **dict.fromkeys(("seed", "steps", "params"), int),
    **dict.fromkeys(("config", "provenance"), dict),
    "metrics": (dict, type(None)),
    "train_names": list,
}


def load_exported(path: Path | str) -> nn.Module:
    """The network of an exported .safetensors file, ready to predict.

    Args:
        path: the file; its manifest is looked for beside it.

    Returns:
        Network in evaluation mode. For mattes (N, 4, H, W) -> (N, 1, H, W), not clamped; input: RGB normalised with the
        ImageNet mean and deviation, and trimap / 255. For pictures (N, 1, H, W) -> (N, 1, H, W).

    Raises:
        WeightsError: the file or its manifest is missing or damaged, or they do not belong together.
    """
    path = Path(path)
    return network_of(path, read_manifest(path))


def network_of(path: Path, manifest: Mapping[str, Any]) -> nn.Module:
    """As load_exported, with the manifest that read_manifest returned."""
    tensors = read_weights(path)
    try:
        return build_trained(OmegaConf.create(manifest["config"]), tensors)
    except ValueError as error:
        raise WeightsError(
            f"{path} cannot be put into the network that {manifest_of(path)} describes: {error}"
        ) from error


def manifest_of(path: Path) -> Path:
    """Where the manifest of a weights file lies."""
    return path.with_suffix(".json")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a weights file of any kind, after its checksum was compared.

    Raises:
        WeightsError: either file is missing, the manifest is damaged, or the checksum is another file's.
    """
    place = manifest_of(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}.")
    try:
        manifest: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        wrong = [key for key, kind in KINDS.items() if not isinstance(manifest[key], kind)]
        if wrong:
            raise ValueError(f"{wrong[0]} is {type(manifest[wrong[0]]).__name__}")
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path} has no manifest: there is no file {place.name} beside it, which says what network the weights are "
            "of; take both files of an export, or make them with scripts/export.py."
        ) from error
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise WeightsError(
            f"{place} is not the manifest of a weights file ({error!r}): take both files of the export again."
        ) from error
    found = sha256(path)
    if found != manifest["sha256"]:
        raise WeightsError(
            f"{path} is not the file that its manifest {place.name} was written for: its SHA-256 is {found}, expected "
            f"is {manifest['sha256']}; take both files of the export again."
        )
    return manifest


def write_exported(path: Path, model: nn.Module, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write a network's tensors as safetensors and, when they are there whole, their manifest; return it.

    about: the manifest but for file and sha256. The same tensors give the same bytes.

    Raises:
        WeightsError: NaN or infinite values, or another file has the manifest's place.
        OSError: something cannot be written.
    """
    check_place(path)
    tensors: Mapping[str, Tensor] = model.state_dict()
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    check_finite(plain, path)
    with replacing(path) as temporary:
        save_file(plain, temporary)
    return write_manifest(path, about)


def check_place(path: Path) -> None:
    """Raise WeightsError where another file has the place of the manifest of `path`."""
    place = manifest_of(path)
    if place.exists() and not _is_manifest_of(place, path):
        raise WeightsError(f"{place} is there already and not the manifest of {path.name}: choose another name.")


def write_manifest(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a file that is there whole; return it. about: all but file and sha256."""
    manifest = {"file": path.name, "sha256": sha256(path), **about}
    write_json(manifest_of(path), manifest)
    return manifest


def _is_manifest_of(place: Path, path: Path) -> bool:
    try:
        return json.loads(place.read_text(encoding="utf-8"))["file"] == path.name
    except (OSError, ValueError, TypeError, KeyError):
        return False
