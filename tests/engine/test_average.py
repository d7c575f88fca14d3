"""The moving average of the weights: what it is, and that it survives a kill."""

import pytest
import torch
from helpers.runs import smoke
from torch import nn

from a2u.engine import fit as fit_module
from a2u.engine.average import Average
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.identity import Places
from a2u.engine.run import run


def test_the_average_follows_and_the_network_gets_its_own_weights_back():
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(3)
    average.update(model, 1)  # decay 2/11, since it is early
    assert average.state["weight"].item() == pytest.approx(1 * 2 / 11 + 3 * 9 / 11)
    average.update(model, 100)
    assert average.state["weight"].item() == pytest.approx((1 * 2 / 11 + 3 * 9 / 11) / 2 + 1.5)
    with average.inside(model):
        assert model.weight.item() == average.state["weight"].item()
    assert model.weight.item() == 3


@pytest.mark.slow
def test_a_killed_run_resumes_with_its_average(tmp_path, monkeypatch):
    def cfg(name):
        few = [f"dataset.cache='{tmp_path}'", "dataset.limit_train=2", "dataset.limit_test=1"]
        return smoke(tmp_path / name, *few, "trainer.ema=0.9")

    whole = run(cfg("whole"))
    saved = load_checkpoint(Places.of(cfg("whole")).last)
    key = next(key for key, value in saved["model"].items() if value.dim() == 4)
    assert not torch.equal(saved["model"][key], saved["trained"][key])
    update = fit_module.Average.update

    def killed(self, model, step):
        if step == 6:
            raise KeyboardInterrupt
        update(self, model, step)

    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Average, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            run(cfg("parts"))
    assert run(cfg("parts"))["metrics"] == whole["metrics"]
