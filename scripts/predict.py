"""Matte photographs: python scripts/predict.py image=photo.jpg trimap=trimap.png background=white"""

from omegaconf import DictConfig

from a2u.engine.main import main
from a2u.engine.predict import TEXTS, predict_photographs


def work(cfg: DictConfig) -> None:
    predict_photographs(cfg)


if __name__ == "__main__":
    main("predict", work, TEXTS)
