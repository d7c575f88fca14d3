"""Train and evaluate one run: python scripts/train.py experiment=table2/a2u_dynamic_cs scale=lite seed=1"""

from omegaconf import DictConfig

from a2u.engine.main import main
from a2u.engine.processes import is_first
from a2u.engine.run import run
from a2u.reproduce.render import one_result


def train(cfg: DictConfig) -> None:
    result = run(cfg)
    if is_first():
        print(one_result(result))


if __name__ == "__main__":
    main("train", train)
