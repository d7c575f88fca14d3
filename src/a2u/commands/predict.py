"""Matte photographs: alpha, cut-out and composite, from a trimap or a rough mask.

Examples:
    python scripts/predict.py image=photo.jpg trimap=trimap.png background=white
    python scripts/predict.py image=photos mask=masks erode=15 dilate=25 folder=mattes
    python scripts/predict.py image=photo.jpg trimap=trimap.png system=closed_form
"""

from omegaconf import DictConfig

from a2u.apply.predict import TEXTS, predict_photographs
from a2u.cli.main import main


def work(cfg: DictConfig) -> None:
    predict_photographs(cfg)


if __name__ == "__main__":
    main("predict", work, TEXTS)
