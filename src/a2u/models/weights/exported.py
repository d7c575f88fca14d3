"""Exported weights: a .safetensors file whose metadata says what the weights are.

The metadata's entry `a2u` is a manifest in JSON:
sha256                                    of the file without its metadata; compared on every load
task, table, row, dataset, scale, seed    of the run
steps, params                             of training; of the network
metrics                                   on the run's test set with these weights; null where its result is not there
hash, config                              of the run: identity, and resolved configuration, which describes the network
train_names                               training foregrounds, to warn where a test image is one of them
provenance                                commits, devices, wall_seconds; with a result also data, versions and machine

Older exports have the manifest next to them, in a .json file of the same name; they are read too.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors.torch import save, save_file
from torch import Tensor, nn

from a2u.files import replacing, sha256
from a2u.models.build import build_trained
from a2u.models.weights.files import WeightsError, check_finite, read_weights

METADATA = "a2u"  # the entry of a file's metadata that holds the manifest
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("sha256", "task", "table", "row", "dataset", "scale", "hash"), str),
    **dict.fromkeys(("seed", "steps", "params"), int),
    **dict.fromkeys(("config", "provenance"), dict),
    "metrics": (dict, type(None)),
    "train_names": list,
}


def load_exported(path: Path | str) -> nn.Module:
    """Load the network of an exported .safetensors file, ready to predict.

    Returns:
        Network in evaluation mode. For mattes (N, 4, H, W) -> (N, 1, H, W), not clamped; input: RGB normalised with the
        ImageNet mean and deviation, and trimap / 255. For pictures (N, 1, H, W) -> (N, 1, H, W).

    Raises:
        WeightsError: the file is missing, damaged, or says nothing of its network.
    """
    path = Path(path)
    return network_of(path, read_manifest(path))


def network_of(path: Path, manifest: Mapping[str, Any]) -> nn.Module:
    """Load the network of a file whose manifest was read by read_manifest. Raises as load_exported."""
    tensors = read_weights(path)
    try:
        return build_trained(OmegaConf.create(manifest["config"]), tensors)
    except ValueError as error:
        raise WeightsError(f"{path} cannot be put into the network that its manifest describes: {error}") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of an exported file, after comparing its checksum.

    Raises:
        WeightsError: the file is missing, has no manifest or a damaged one, or the checksum differs.
    """
    older = path.with_suffix(".json")
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}.")
    try:
        header, found = _header_and_checksum(path)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} could not be read as a .safetensors file ({error}).") from error
    try:
        text = (header.get("__metadata__") or {}).get(METADATA)
        if text is None and older.is_file():
            text, found = older.read_text(encoding="utf-8-sig"), sha256(path)
        if text is None:
            raise WeightsError(
                f"{path} has no manifest, which says what network the weights are of: its metadata has no entry "
                f"{METADATA}, and there is no file {older.name} next to it. Make it with scripts/export.py."
            )
        manifest: dict[str, Any] = json.loads(text)
        wrong = [key for key, kind in KINDS.items() if not isinstance(manifest[key], kind)]
        if wrong:
            raise ValueError(f"{wrong[0]} is {type(manifest[wrong[0]]).__name__}")
    except WeightsError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} has a damaged manifest ({error!r}): export it again.") from error
    if found != manifest["sha256"]:
        raise WeightsError(
            f"{path} holds other weights than its manifest says: their SHA-256 is {found}, expected is "
            f"{manifest['sha256']}; take the file from where it came again."
        )
    return manifest


def write_exported(path: Path, model: nn.Module, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write a network's tensors as safetensors with their manifest in the metadata; return the manifest.

    about: the manifest without sha256. The same tensors and manifest give the same bytes.

    Raises:
        WeightsError: NaN or infinite values.
        OSError: the file cannot be written.
    """
    state: Mapping[str, Tensor] = model.state_dict()
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    check_finite(tensors, path)
    manifest = {"sha256": hashlib.sha256(save(tensors)).hexdigest(), **about}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {METADATA: json.dumps(manifest)})
    return manifest


def _header_and_checksum(path: Path) -> tuple[dict[str, Any], str]:
    """Return the header of a .safetensors file, and the SHA-256 that it would have without its metadata."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(size))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        text = json.dumps(tensors, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8 bytes
        digest = hashlib.sha256(len(text).to_bytes(8, "little") + text)
        while part := file.read(2**20):
            digest.update(part)
    return header, digest.hexdigest()
