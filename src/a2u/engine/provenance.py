"""Record where a number comes from: commit, versions, machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from a2u.engine.memory import machine_memory

REPOSITORY = Path(__file__).parents[3]
CODE = ("src", "configs", "scripts", "pyproject.toml")  # what a number depends on
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "opencv-python-headless", "hydra-core", "omegaconf", "pymatting")


def commit() -> tuple[str, bool]:
    """Return the commit of the code that runs, and whether the code differs from it.

    Outside a git checkout (a tree copied to another machine) the variable A2U_COMMIT is used; without
    it the commit is "unknown" and counts as dirty.
    """
    try:
        if not (REPOSITORY / "src").is_dir():  # installed, maybe within another repository
            raise FileNotFoundError
        head = _git("rev-parse", "HEAD")
        return head, bool(_git("status", "--porcelain", "--", *CODE))
    except (OSError, subprocess.CalledProcessError):
        given = os.environ.get("A2U_COMMIT", "")
        return given or "unknown", not given


def machine() -> dict[str, Any]:
    """Describe processor, cores, memory and GPU."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    found: dict[str, Any] = {
        "cpu": cpu,
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if memory := machine_memory():
        found["memory_gb"] = round(memory / 2**30, 1)
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def device_name(device: torch.device) -> str:
    """Return "cpu", or the name of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def provenance(
    code: tuple[str, bool], started: str, wall_seconds: float, data_sha256: str, **extra: Any
) -> dict[str, Any]:
    """Return everything a reader needs to trust or repeat a number.

    code: the value of `commit` when the run started, since the checkout may change during a long run.
    """
    return {
        "commit": code[0],
        "dirty": code[1],
        "versions": versions(),
        "machine": machine(),
        "started": started,
        "wall_seconds": round(wall_seconds, 1),
        "data_sha256": data_sha256,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        **extra,
    }


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
