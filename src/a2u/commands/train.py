"""Train and evaluate one run: a row of a table, or any combination of the keys below.

Examples:
    python scripts/train.py experiment=table2/a2u_dynamic_cs scale=lite seed=1
    python scripts/train.py upsampler=a2u upsampler.rank=2 trainer.iterations=200
    python scripts/train.py experiment=table2/nearest dataset=adobe dataset.root=DIR scale=paper
"""

from omegaconf import DictConfig

from a2u.cli.main import RESUMES, main
from a2u.engine.distributed import is_rank_zero
from a2u.engine.run import run
from a2u.reproduce.render import one_result


def train(cfg: DictConfig) -> None:
    result = run(cfg)
    if is_rank_zero():
        print(one_result(result))


if __name__ == "__main__":
    main("train", train, stopped=RESUMES)
