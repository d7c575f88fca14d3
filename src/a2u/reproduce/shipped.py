"""Compare the model in the package with classic systems, on alphamatting.com's photographs or the validation set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2u.config import compose, quoted
from a2u.data.sources.alphamatting import photographs_folder
from a2u.data.sources.photo_textures import absolute_paths
from a2u.errors import A2UError, ConfigError
from a2u.files import user_path, write_json
from a2u.models.shipped import shipped_weights
from a2u.models.weights.exported import read_manifest
from a2u.reproduce.evaluations import evaluate_missing, labelled, without_folders
from a2u.reproduce.pages import RESULTS, SHIPPED, make_pages, write
from a2u.reproduce.render import shipped_table
from a2u.reproduce.table import PublishError, refuse_unfit
from a2u.settings import field, schema

# Only measurements on GT01 to GT18 with Trimap1 are published; this is their checksum by a2u.data.
PHOTOGRAPHS = 18
CHECKSUM = "13406fb0e36df2c5a1c3de2869e1ffeeab805fc40e0425f5559df9e0cfda16c2"
Rows = dict[str, dict[str, Any]]  # row -> its result


@schema("shipped")
@dataclass
class ShippedConfig:
    """configs/shipped.yaml: compare the model in the package with classic systems on alphamatting.com's photographs."""

    photographs: str | None = field(None, "their folder")
    validation: str | None = field(
        None,
        "a folder of ordinary photographs: measure on the validation set of dataset=photo_textures instead, which "
        "chooses what system=auto is",
    )
    weights: str | None = field(None, "another model instead of the one in the package")
    publish: bool = field(False, "also write to results/")


def make(settings: ShippedConfig, overrides: Sequence[str]) -> None:
    """Evaluate what is missing, print the table, write it to <outputs>/shipped/table.{txt,md}.

    With settings.publish also results/shipped, one JSON per row, and the pages that show it. With settings.validation
    these folders are called validation.

    Raises:
        ConfigError, DataError, WeightsError: something cannot be used.
        PublishError: the numbers or the model are of uncommitted changes, or the numbers not of the model in the
            package on all photographs. Nothing is published then.
    """
    weights = user_path(settings.weights) if settings.weights is not None else shipped_weights()
    if settings.publish:
        _refuse_others(settings, overrides)
        _refuse_dirty_model(weights)
    name, given = _test_set(settings)
    given += overrides
    asked = {row: compose([f"system={row}", *given], "evaluate") for row in SHIPPED if row != "a2u"}
    ours = compose(["system=checkpoint", f"weights={quoted(str(weights))}", *given], "evaluate")
    found, failures = evaluate_missing({"a2u": ours, **asked})
    if failures:
        raise A2UError("; ".join(f"{row}: {reason}" for row, reason in failures.items()))
    results = {row: _result(row, found[row], weights) for row in SHIPPED}
    table = shipped_table(results)
    outputs = Path(ours.runtime.outputs)
    write(outputs / name / "table.txt", table.text())
    write(outputs / name / "table.md", table.markdown())
    print(table.text())
    if settings.publish:
        refuse_unfit(results)
        if settings.validation is None:
            _refuse_other_photographs(results)
        for row, result in results.items():
            write_json(RESULTS / name / f"{row}.json", result)
        make_pages()
        print(f"published to results/{name}")


def _test_set(settings: ShippedConfig) -> tuple[str, list[str]]:
    """Return the name of the folders of results, and the test set's overrides."""
    if settings.validation is not None:
        root = absolute_paths(settings.validation)
        return "validation", ["dataset=photo_textures", f"dataset.root={quoted(str(root))}"]
    if not settings.photographs:
        raise ConfigError("photographs= (make: PHOTOS=) is missing: give the folder of alphamatting.com's photographs.")
    root = str(photographs_folder(settings.photographs))
    return "shipped", ["dataset=alphamatting", f"dataset.root={quoted(root)}"]


def _refuse_others(settings: ShippedConfig, overrides: Sequence[str]) -> None:
    others = [override for override in overrides if not re.match(r"runtime\.\w+=", override)]
    others += [] if settings.weights is None else [f"weights={settings.weights}"]
    if others:
        raise PublishError(
            f"only the model in the package on all photographs is published; leave out {', '.join(others)}."
        )


def _refuse_dirty_model(weights: Path) -> None:
    dirty = [commit for commit in read_manifest(weights)["provenance"].get("commits", []) if commit.endswith("-dirty")]
    if dirty:
        raise PublishError(
            f"{weights.name} was trained with uncommitted changes ({', '.join(dirty)} in its manifest), so no commit "
            "stands for the model; nothing was published. Train it from a clean tree and export it again."
        )


def _refuse_other_photographs(results: Rows) -> None:
    for row, result in results.items():
        count, checksum = (result["provenance"][key] for key in ("test_images", "data_sha256"))
        if (count, checksum) != (PHOTOGRAPHS, CHECKSUM):
            raise PublishError(
                f"{row} was measured on {count} photographs with the checksum {checksum}; what is published is of "
                f"{PHOTOGRAPHS}, GT01 to GT18 with Trimap1, with {CHECKSUM}; nothing was published. Give their folder."
            )


def _result(row: str, evaluation: dict[str, Any], weights: Path) -> dict[str, Any]:
    """Return the published record of a row: its evaluation, and the training of its network."""
    training = {"provenance": read_manifest(weights)["provenance"]} if row == "a2u" else None
    result: dict[str, Any] = without_folders(labelled(evaluation, {"row": row}, training))
    return result
