"""Export a checkpoint to a file whose metadata describes it.

Examples:
    python scripts/export.py weights=outputs/.../last.pt to=FILE.safetensors
    python scripts/export.py weights=outputs/.../last.pt to=FILE.onnx
"""

from pathlib import Path

from omegaconf import DictConfig

from a2u.apply.export import export
from a2u.cli.main import main


def work(cfg: DictConfig) -> None:
    manifest = export(Path(cfg.weights), Path(cfg.to))
    print(f"{cfg.to}: {manifest['params']:,} parameters")


if __name__ == "__main__":
    main("export", work)
