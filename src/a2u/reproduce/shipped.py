"""The model in the package beside classic systems, on the photographs of alphamatting.com with true alpha."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig

from a2u.apply.evaluate_weights import evaluate_weights, evaluated
from a2u.config import compose
from a2u.data.sources.alphamatting import photographs_folder
from a2u.engine.provenance import REPOSITORY
from a2u.errors import ConfigError
from a2u.files import user_path, write_json
from a2u.models.shipped import shipped_weights
from a2u.models.weights.exported import read_manifest
from a2u.reproduce.render import TITLES, as_markdown, as_text, digits_for
from a2u.reproduce.table import RESULTS, PublishError, publish_page, refuse_unfit, write
from a2u.settings import field, schema

SYSTEMS = {"a2u": "checkpoint", "closed_form": "closed_form", "knn": "knn"}  # row -> system of scripts/evaluate.py
KEPT = ("params", "metrics", "images", "undefined", "warnings", "hash", "provenance")
# Published is what was measured on GT01 to GT18 with Trimap1, as in Table 6; the checksum is that of a2u.data for them.
PHOTOGRAPHS = 18
CHECKSUM = "13406fb0e36df2c5a1c3de2869e1ffeeab805fc40e0425f5559df9e0cfda16c2"
Rows = dict[str, dict[str, Any]]  # row -> its result


@schema("shipped")
@dataclass
class ShippedConfig:
    """configs/shipped.yaml: the model in the package beside classic systems on photographs of alphamatting.com."""

    photographs: str = field(MISSING, "their folder")
    weights: str | None = field(None, "another model instead of the one in the package")
    publish: bool = field(False, "also write to results/")


def make(settings: ShippedConfig, overrides: Sequence[str]) -> None:
    """Evaluate what is not evaluated yet, print the table, write it to <outputs>/shipped/table.{txt,md}.

    With settings.publish also results/shipped: one JSON a row, table.md, and the pages that show it.

    Raises:
        ConfigError, DataError, WeightsError: something cannot be used.
        PublishError: the numbers or the model are of uncommitted changes, or the numbers not of the model in the
            package on all photographs. Nothing is published then.
    """
    if settings.publish:
        _refuse_other(settings, overrides)
    if not settings.photographs:
        raise ConfigError(
            "photographs= (PHOTOS= of make) names no folder: give that of alphamatting.com's photographs."
        )
    weights = user_path(settings.weights) if settings.weights is not None else shipped_weights()
    if settings.publish:
        _refuse_dirty_model(weights)
    asked = {row: _evaluation(row, settings.photographs, weights, overrides) for row in SYSTEMS}
    results = {row: _result(row, _measured(cfg), weights) for row, cfg in asked.items()}
    text, markdown = page(results)
    folder = Path(asked["a2u"].runtime.outputs) / "shipped"
    write(folder / "table.txt", text)
    write(folder / "table.md", markdown)
    print(text)
    if settings.publish:
        refuse_unfit(results)
        _refuse_other_photographs(results)
        for row, result in results.items():
            write_json(RESULTS / "shipped" / f"{row}.json", result)
        publish_page(RESULTS / "shipped" / "table.md", markdown)
        print(f"published to {(RESULTS / 'shipped').relative_to(REPOSITORY)}")


def _refuse_other(settings: ShippedConfig, overrides: Sequence[str]) -> None:
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


def _evaluation(row: str, photographs: str, weights: Path, overrides: Sequence[str]) -> DictConfig:
    """configs/evaluate.yaml for one row."""
    cfg = compose([f"system={SYSTEMS[row]}", "dataset=alphamatting", *overrides], "evaluate")
    cfg.dataset.root = str(photographs_folder(photographs))
    cfg.weights = str(weights) if row == "a2u" else None
    cfg.runtime.progress = cfg.runtime.progress and sys.stderr.isatty()
    return cfg


def _measured(cfg: DictConfig) -> dict[str, Any]:
    """An earlier evaluation, or a new one."""
    found = None if cfg.runtime.force else evaluated(cfg)
    return evaluate_weights(cfg) if found is None else found


def _result(row: str, evaluation: dict[str, Any], weights: Path) -> dict[str, Any]:
    """What is published of a row: its evaluation, and the training behind the network."""
    trained = None
    if row == "a2u":
        trained = evaluation["trained"] | {"weights_sha256": evaluation["weights_sha256"]}
        trained["provenance"] = read_manifest(weights)["provenance"]
    kept = {key: evaluation[key] for key in ("config", *KEPT)}
    result: dict[str, Any] = _anywhere({"row": row, "trained": trained, **kept})
    return result


def _anywhere(value: Any) -> Any:
    """The same with the last part of each path, which is the same on every machine; of "key=path" that of the path."""
    if isinstance(value, dict):
        return {key: _anywhere(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_anywhere(inner) for inner in value]
    found = re.fullmatch(r"([\w.+]+=)?['\"]?([/~.].*/.*?|/.*?)['\"]?", value) if isinstance(value, str) else None
    return f"{found[1] or ''}{Path(found[2]).name}" if found else value


def page(results: Rows) -> tuple[str, str]:
    """Text and Markdown of the table."""
    digits, metrics = digits_for(results.values()), list(results["a2u"]["metrics"])
    header = ["row", *(TITLES[name] for name in metrics), "params", "s/image"]
    lines = []
    for row, result in results.items():
        numbers = [f"{result['metrics'][name]:.{digits[name]}f}" for name in metrics]
        origin = result["provenance"]
        seconds = f"{origin['wall_seconds'] / origin['test_images']:.2f}"
        lines.append([row, *numbers, f"{result['params']:,}", seconds])
    words = caption(results)
    return f"{as_text(header, lines)}\n{words}\n", f"{as_markdown(header, lines)}\n{words}\n"


def caption(results: Mapping[str, dict[str, Any]]) -> str:
    """One paragraph below the table: what was measured, on what, by which commit."""
    origins, trained = [result["provenance"] for result in results.values()], results["a2u"]["trained"]
    devices = sorted({f"{origin['device']}, threads: {origin['threads']}" for origin in origins})
    commits = sorted({origin["commit"][:8] for origin in origins})
    text = [
        f"The model in the package ({trained['row']}, scale {trained['scale']}, trained on dataset="
        f"{trained['dataset']} for {trained['steps']:,} steps, SHA-256 {trained['weights_sha256'][:8]}), and "
        "closed-form and KNN matting, solved by the package pymatting, on photographs of alphamatting.com that have a "
        f"true alpha (dataset=alphamatting, Trimap1, {origins[0]['test_images']} images; SHA-256 "
        f"{origins[0]['data_sha256'][:8]}). SAD, Grad and Conn are divided by 1,000. s/image is the wall time of an "
        f"evaluation, reading and measuring included, divided by its images ({'; '.join(devices)}). Commit "
        f"{', '.join(commits)}."
    ]
    if any(origin["dirty"] for origin in origins):
        text.append("WARNING: measured with uncommitted changes.")
    for row, result in results.items():
        text += [f"WARNING: {row}: {warning}" for warning in result["warnings"]]
    return " ".join(text)
