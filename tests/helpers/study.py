"""Records of a study with known numbers, in the form in which they are published."""

import json
from pathlib import Path

from a2u.reproduce.published import rows_of

METRICS = ("sad", "mse", "grad", "conn")


def record(row, seed, sad, photographs=True):
    """A run of a row whose SAD on the test images is `sad`; on the photographs it is ten times that."""
    learns = row != "trimap_only"
    provenance = {
        "commit": "12" * 20,
        "dirty": False,
        "versions": {"torch": "2.11"},
        "machine": {"cpu": "a processor", "cores": 2, "system": "Linux x86_64"},
        "started": "2026-11-26T00:00:00+00:00",
        "wall_seconds": 360.0,
        "data_sha256": "ab" * 32,
        "command": ["study.py"],
        "device": "cpu",
        "threads": 1,
        "test_images": 64,
        "steps": 5000,
    }
    config = {
        "model": {"width": 0.125},
        "trainer": {"epochs": 5, "schedule": "one_cycle", "milestones": []},
        "dataset": {"name": "synthetic"},
    }
    curve = [{"epoch": epoch, **dict.fromkeys(METRICS, sad * (1 + 1 / epoch))} for epoch in range(1, 6)]
    training = {
        "table": "table2",
        "row": row,
        "dataset": "synthetic",
        "scale": "study",
        "seed": seed,
        "params": 1000 * learns,
        "metrics": dict.fromkeys(METRICS, sad),
        "best": None,
        "curve": curve if learns else [],
        "hash": f"{row}{seed}",
        "config": config,
        "provenance": provenance,
    }

    def evaluation(dataset, factor, images):
        return {
            "metrics": dict.fromkeys(METRICS, factor * sad),
            "undefined": [],
            "warnings": [],
            "hash": "e" * 64,
            "weights_sha256": "cd" * 32 if learns else None,
            "config": {"dataset": {"name": dataset}},
            "provenance": provenance | {"test_images": images},
        }

    of_photographs = evaluation("alphamatting", 10, 18) if photographs else None
    return {
        "row": row,
        "seed": seed,
        "params": 1000 * learns,
        "training": training,
        "test": evaluation("study_test", 1, 256),
        "photographs": of_photographs,
    }


def records(sad, photographs=True):
    """Records of Table 2's rows in their order; sad: of each trained row, by seed."""
    found = {}
    for row in rows_of("table2"):
        if row == "trimap_only":
            found[row] = [record(row, 0, 9.0, photographs)]
        elif row in sad:
            found[row] = [record(row, seed, value, photographs) for seed, value in sad[row].items()]
    return found


def write_records(folder: Path, found) -> None:
    """As `make study ARGS=publish=true` leaves them."""
    for row, runs in found.items():
        (folder / row).mkdir(parents=True, exist_ok=True)
        for run in runs:
            (folder / row / f"seed{run['seed']}.json").write_text(json.dumps(run))
    (folder / "failures.json").write_text("[]\n")
