"""Evaluation without content and with other guides, by a network that returns its guide."""

import numpy as np
import pytest
import torch
from helpers.guide import Guide
from helpers.pictures import random_pictures

from a2u.config import compose
from a2u.data.types import Composite
from a2u.engine.ablation import Ablation, check_ablation
from a2u.engine.evaluate import evaluate
from a2u.engine.tasks import reconstruction as reconstruction_module
from a2u.engine.tasks.probe import Probe
from a2u.engine.tasks.reconstruction import Reconstruction, unit
from a2u.errors import ConfigError, DataError
from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.probe import ProbeNet
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.networks.trimap_only import TrimapOnly

TINY = {"width": 0.125, "encoder_blocks": (1, 1, 1), "decoder_blocks": 1}


class Red(MattingNetwork):
    """Alpha is the image's red, as a guide."""

    multiple = 2

    def __init__(self):
        super().__init__()
        self.operator = Guide(1)

    def forward(self, x):
        return self.operator(x[:, :1, ::2, ::2], x[:, :1])


def cases(*widths):
    """Images that are all unknown; the left half of image i has the brightness 120 + 10 * i, the right half 0."""
    found = []
    for number, width in enumerate(widths):
        image = np.zeros((4, width, 3), np.uint8)
        image[:, : width // 2] = 160 + 10 * number
        trimap, alpha = np.full((4, width), 128, np.uint8), np.zeros((4, width), np.uint8)
        found.append(Composite(f"image_{number}", image, trimap, alpha))
    return found


def predictions(test, ablate):
    found = []
    evaluate(Red(), test, compose([]).metrics, seen=lambda *given: found.append(given[-1]), ablate=ablate)
    return found


def test_without_its_content_an_image_is_grey_and_with_another_guide_it_is_the_next_of_its_size():
    test = cases(8, 8, 12, 8, 12)
    whole, mean, other = (predictions(test, ablate) for ablate in Ablation)
    assert all(len(np.unique(alpha)) == 2 for alpha in whole)
    assert all(len(np.unique(alpha)) == 1 for alpha in mean)
    assert all(np.array_equal(alpha, whole[number]) for alpha, number in zip(other, (1, 3, 4, 0, 2), strict=True))
    with pytest.raises(DataError, match=r"needs two test images of each size; 'image_1' alone is 12 x 4"):
        predictions(cases(8, 12, 8), Ablation.other_guide)


class Grey(Red):
    """A picture is its own guide."""

    def forward(self, x):
        return self.operator(x[..., ::2, ::2], x)


def test_a_picture_gets_the_guide_of_the_next_though_a_batch_holds_it_alone(monkeypatch):
    pictures = random_pictures(train=1, test=3)
    monkeypatch.setattr(reconstruction_module, "build_data", lambda cfg: pictures)
    monkeypatch.setattr(reconstruction_module, "EVALUATION_BATCH", 2)
    task = Reconstruction(None, compose(["task=reconstruction"]).metrics, torch.device("cpu"))
    task.ablate = Ablation.other_guide
    error = (unit(pictures.test[[1, 2, 0]]) - unit(pictures.test)).abs().mean()
    assert task.evaluate(Grey(), None, lambda *_: None)["mae"] == pytest.approx(float(error), rel=1e-5)
    task.test = task.test[:1]
    with pytest.raises(DataError, match="needs two test pictures; there is one"):
        task.evaluate(Grey(), None, lambda *_: None)


def test_health_is_that_of_the_whole_operators():
    task = Probe.__new__(Probe)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 4), np.uint8)
    test = [Composite(name, x[..., :3], x[..., 3], x[..., 3]) for name, x in zip("ab", images, strict=True)]
    task.data, task.device = type("Data", (), {"test": test}), torch.device("cpu")
    model = ProbeNet("a2u", channels=4)
    found = []
    for task.ablate in Ablation:
        task.evaluate(model, None, lambda *_: None)
        found.append(task.health)
    assert len(found[0]) == 3
    assert found[1:] == found[:1] * 2


@pytest.mark.parametrize(
    ("ablate", "model", "tile", "words"),
    [
        ("mean_kernel", "nearest", None, "nearest has no kernel, index map, offset or gate that its mean"),
        ("mean_kernel", None, None, "TrimapOnly, which has no upsampling operator, has no kernel"),
        ("other_guide", "carafe", None, "carafe reads no guide"),
        ("mean_kernel", "carafe", 256, r"leave out runtime\.tile=256"),
    ],
)
def test_what_cannot_be_taken_away_is_refused_in_a_sentence(ablate, model, tile, words):
    with torch.device("meta"):
        network = MattingUNet(model, **TINY) if model else TrimapOnly()
    check_ablation(Ablation.none, network, tile)
    with pytest.raises(ConfigError, match=f"^ablate={ablate}.*{words}"):
        check_ablation(Ablation[ablate], network, tile)
