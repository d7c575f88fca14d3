"""Health of kernels, by operators whose answer is known, and what it costs."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from a2u.config import compose
from a2u.data.types import Composite
from a2u.engine.ablation import Ablation
from a2u.engine.health import warn_of_constant_kernels, watched
from a2u.engine.kernels import kernel_health
from a2u.engine.tasks.matting import Matting
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.upsampling import Upsampler
from a2u.upsampling.content import Content

TINY = {"width": 0.125, "encoder_blocks": (1, 1, 1), "decoder_blocks": 1}


class Given(Upsampler):
    """Has the kernels, and the input of a sigmoid, that a test gives it."""

    has_kernels = True

    def __init__(self, kernel, logits):
        super().__init__(1)
        self.given, self.logits = kernel, logits
        self.sigmoid, self.content = nn.Sigmoid(), Content()

    def upsample(self, x, guide):
        self.sigmoid(self.logits)
        self.content(self.given)
        return guide


def measured(kernel, logits=(0.0,)):
    operator = Given(kernel, torch.tensor(logits))
    with watched(operator) as health:
        operator(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4))
    operator(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4))  # nobody watches
    return health[""]


def test_equal_weights_have_entropy_1_and_no_deviation():
    found = measured(torch.full((1, 9, 4, 2, 2), 1 / 9))
    assert found == pytest.approx({"saturated": 0, "over_positions": 0, "over_window": 0, "entropy": 1}, abs=1e-7)


def test_a_single_weight_has_entropy_0_and_no_deviation_over_positions():
    kernel = torch.zeros(1, 4, 4, 2, 2)
    kernel[:, 1] = 1
    assert measured(kernel) == pytest.approx(
        {"saturated": 0, "over_positions": 0, "over_window": 3**0.5, "entropy": 0}, abs=1e-6
    )


def test_deviations_are_in_units_of_the_mean_weight():
    kernel = torch.full((1, 4, 4, 2, 2), 0.25)
    kernel[..., 0, :] = 0.1
    kernel[..., 1, :] = 0.4
    assert measured(kernel)["over_positions"] == pytest.approx(0.6)  # 0.15 / 0.25
    assert measured(kernel)["over_window"] == pytest.approx(0)


def test_saturated_are_logits_beyond_4():
    assert measured(torch.ones(1, 1, 4, 2, 2), (-5.0, -3.0, 3.9, 4.1)) == {"saturated": 0.5, "over_positions": 0}


def test_a_sentence_names_what_is_constant(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_constant_kernels({"up.0": {"over_positions": 0.001}, "up.1": {"over_positions": 0.02}}, "a2u")
        warn_of_constant_kernels({"up.1": {"over_positions": 0.02}}, "carafe")
    (record,) = caplog.records
    assert record.message.startswith("The content of a2u (kernels, index maps, offsets, gates) is constant in up.0 of")


@pytest.mark.parametrize(("operator", "passes"), [("nearest", 0), ("indexnet", 1), ("a2u", 2)])
def test_an_evaluation_costs_one_pass_more_and_one_for_the_picture(operator, passes):
    torch.manual_seed(0)
    model = MattingUNet(operator, **TINY).eval()
    unknown = np.full((16, 16), 128, np.uint8)
    case = Composite("it", np.zeros((16, 16, 3), np.uint8), unknown, unknown)
    assert list(kernel_health(model, case)) == [f"upsamplers.{stage}" for stage in range(4 if passes else 0)]
    task = Matting.__new__(Matting)
    cases = [case._replace(name=name) for name in "abc"]
    task.data, task.how, task.threads = type("Data", (), {"test": cases}), compose([]).metrics, 1
    task.ablate, task.tile = Ablation.none, None
    ran = []
    model.register_forward_hook(lambda *_: ran.append(1))
    task.evaluate(model, None, lambda *_: None)
    assert len(ran) == 3 + passes
    assert bool(task.health) == bool(passes)
