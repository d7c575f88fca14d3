"""The probe as a task: a row is trained, measured and written as any other."""

import json

import cv2
import numpy as np
import pytest

from a2u.config import compose
from a2u.data import build_data
from a2u.engine.identity import Places
from a2u.engine.prepare import check
from a2u.engine.run import run
from a2u.errors import ConfigError


def test_a_row_is_measured_where_alpha_is_mixed(tmp_path):
    options = ["scale=smoke", f"dataset.cache='{tmp_path}'", f"runtime.outputs='{tmp_path}'", "runtime.progress=false"]
    options += ["runtime.threads=1", "runtime.device=cpu", "runtime.save_predictions=true", "dataset.test_size=44"]
    cfg = compose(["experiment=probe/a2u_dynamic_cs_d_norm", *options])
    run(cfg)
    result = json.loads(Places.of(cfg).result.read_text())
    assert (list(result["metrics"]), result["provenance"]["steps"]) == (["mae", "mse", "grad"], 8)
    errors = []
    for case in build_data(cfg.dataset).test:
        found = next(Places.of(cfg).folder.rglob(f"{case.name}.png"))
        difference = (cv2.imread(str(found), cv2.IMREAD_UNCHANGED) / 255 - case.alpha / 255)[
            (case.alpha > 0) & (case.alpha < 255)
        ]
        errors.append([np.abs(difference).mean(), np.square(difference).mean()])
    assert list(result["metrics"].values())[:2] == pytest.approx(np.mean(errors, axis=0))


def test_a_batch_larger_than_the_memory_is_refused():
    with pytest.raises(ConfigError, match=r"one batch of crops of .* would take"):
        check(compose(["task=probe", "scale=smoke", "trainer.batch_size=1000000000"]))
