"""Evaluate a checkpoint, released weights or a system that needs none.

Examples:
    python scripts/evaluate.py weights=outputs/.../last.pt dataset=alphamatting dataset.root=DIR
    python scripts/evaluate.py system=a2u weights=FILE.pth dataset=adobe dataset.root=DIR metrics.rounding=truncate
    python scripts/evaluate.py system=closed_form
"""

import sys

from omegaconf import DictConfig

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.cli.main import main
from a2u.engine.distributed import is_rank_zero
from a2u.reproduce.render import evaluation


def work(cfg: DictConfig) -> None:
    result = evaluate_weights(cfg)
    if not is_rank_zero():
        return
    for warning in result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(evaluation(result))


if __name__ == "__main__":
    main("evaluate", work)
