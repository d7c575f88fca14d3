"""manifest.json next to composed test images: what each was made from, and checksums to recognise it by.

rule            version of the rule, see a2u.data.composition1k.rule
trimaps         largest erosion of the trimaps made with the composites; null: none were made
pixels_sha256   of all composites' pixels, independent of PNG compression; null until all are made
images          by name: file names and SHA-256 of the sources, width, height, SHA-256 of the file and of its pixels,
                largest erosion and SHA-256 of the trimap
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from a2u.data.composition1k.rule import RULE
from a2u.data.files.folders import file_sha256, find_images
from a2u.errors import DataError
from a2u.files import write_json

MANIFEST = "manifest.json"

Record = dict[str, Any]  # of one composite
Manifest = dict[str, Any]


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder of composites; None without one. Raises DataError if it is damaged."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8-sig"))
        if not {"rule", "trimaps", "pixels_sha256", "images"} <= manifest.keys():
            raise ValueError("entries are missing")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove {folder} and compose it again") from error
    return manifest


def write_manifest(folder: Path, records: dict[str, Record], trimaps: int | None, finished: bool) -> str:
    """Write the manifest sorted by name; return the SHA-256 of its lines `<pixels_sha256>  <name>`."""
    images = dict(sorted(records.items()))
    lines = "".join(f"{record['pixels_sha256']}  {name}\n" for name, record in images.items())
    total = hashlib.sha256(lines.encode()).hexdigest()
    pixels = total if finished else None
    write_json(folder / MANIFEST, {"rule": RULE, "trimaps": trimaps, "pixels_sha256": pixels, "images": images})
    return total


def check_manifest(folder: Path, trimaps: Mapping[str, Path]) -> list[str]:
    """Return a sentence for each difference between a folder of composites and its manifest, if it has one.

    Reads every file.

    Args:
        trimaps: of the composites, by name.
    """
    manifest, again = read_manifest(folder), "run `python scripts/data.py compose` again"
    if manifest is None:
        return []
    records: dict[str, Record] = manifest["images"]
    images = find_images(folder, (".png",))
    problems = []
    if manifest["rule"] != RULE:
        problems.append(f"{folder} was made by version {manifest['rule']} of the rule; this is {RULE}: {again}")
    if manifest["pixels_sha256"] is None:
        problems.append(f"{folder} is not finished: {again}")
    for name in sorted(records.keys() | images.keys()):
        if name not in images:
            problems.append(f"{folder} has no {name}.png, which {MANIFEST} names: {again}")
        elif name not in records:
            problems.append(f"{images[name]} is not in {MANIFEST}: remove it, or {again}")
        else:
            made = {images[name]: records[name]["sha256"]}
            if name in trimaps and "trimap_sha256" in records[name]:
                made[trimaps[name]] = records[name]["trimap_sha256"]
            problems += [
                f"{path} differs from the file that was made, by its checksum in {MANIFEST}: {again}"
                for path, sha256 in made.items()
                if file_sha256(path) != sha256
            ]
    return problems
