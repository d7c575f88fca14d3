"""Large images in tiles: the same alpha as untiled, less memory, and refusals."""

import numpy as np
import pytest
import torch
from helpers.memory import peak_mb
from helpers.runs import smoke
from torch import nn

from a2u.config import compose
from a2u.engine import evaluate
from a2u.engine.evaluate import predict
from a2u.engine.prepare import check, make_model
from a2u.errors import ConfigError
from a2u.models.networks.classic import ClosedForm
from a2u.models.networks.dim import DIM
from a2u.models.networks.gca import GCA
from a2u.models.networks.indexnet_matting import IndexNetMatting
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.networks.trimap_only import TrimapOnly
from a2u.models.tiled import radius, tiled
from a2u.reproduce.published import rows_of
from a2u.upsampling import build_upsampler, operators

ROWS = [row for row in rows_of("table2") if row != "trimap_only"]
IN_ROWS = ("nearest", "bilinear", "carafe", "indexnet", "a2u")
OTHERS = [name for name in operators() if name not in IN_ROWS and build_upsampler(name, 8).reach is not None]
RELEASED = {"encoder_kernel_size": 6, "paired": True, "normalise_uv": True}


def narrow(*overrides):
    """A row's network with all its blocks but few channels, as if trained: its norms have statistics of their own."""
    model = make_model(compose(["scale=paper", "model.width=0.125", "model.encoder_weights=none", *overrides]))
    return with_statistics(model)


@torch.no_grad()
def with_statistics(model):
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            part.weight.uniform_(0.5, 1.5)
            part.bias.normal_(0, 0.2)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
    model.eval()
    model.prediction[1].weight /= 4 * model(torch.randn(1, 4, 64, 64)).std()  # alphas of about -1..1
    return model


def photograph(height, width):
    """Bright on one side, dark on the other, so that no tile's average is the whole image's."""
    draws = np.random.default_rng(0)
    image = draws.integers(0, 128, (height, width, 3)) + np.linspace(0, 127, width, dtype=int)[:, None]
    return image.astype(np.uint8), np.full((height, width), 128, dtype=np.uint8)


@pytest.mark.parametrize("row", ROWS)
def test_tiles_give_what_the_whole_image_gives(row):
    """Up to rounding, everywhere: margins cover local layers, and global sums come from all tiles."""
    model = narrow(f"experiment=table2/{row}").double()
    x = torch.randn(1, 4, 304, 144, dtype=torch.float64) + torch.linspace(-1, 1, 144, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(tiled(model, x, 128), model(x), rtol=0, atol=1e-9)


OPTIONS = [*OTHERS, "freqfusion upsampler.padding=reflect", "fade upsampler.lite=true"]
OFTEN = ("fade", "lda_aqu", "freqfusion upsampler.padding=reflect")  # kernels, sampling points, another border


@pytest.mark.parametrize(
    "options", [pytest.param(each, marks=[pytest.mark.slow] * (each not in OFTEN)) for each in OPTIONS]
)
def test_tiles_suit_every_other_operator_that_says_how_far_it_reaches(options):
    torch.manual_seed(0)
    model = narrow(*f"upsampler={options} model.encoder_blocks=[1,1,1]".split()).double()
    x = torch.randn(1, 4, 160, 272, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(tiled(model, x, 128), model(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"normalise_uv": True}])
def test_tiles_of_an_encoder_with_max_pooling(options):
    """Whose guides are features of the encoder, in place of the shortcuts' outputs."""
    torch.manual_seed(0)
    model = with_statistics(
        MattingUNet("a2u", options, downsampling="max_pool", width=0.125, encoder_blocks=(1, 1, 1))
    ).double()
    x = torch.randn(1, 4, 160, 272, dtype=torch.float64) + torch.linspace(-1, 1, 272, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(tiled(model, x, 128), model(x), rtol=0, atol=1e-9)


OF_CHANNELS = {"sharing": "channel_wise", "normalise_uv": True, "rank": 2}


@pytest.mark.parametrize(
    ("options", "size"), [(RELEASED, (16, 400)), (RELEASED, (272, 144)), (OF_CHANNELS, (128, 256))]
)
def test_images_thinner_than_a_tile_and_tiles_of_any_side(options, size):
    torch.manual_seed(0)
    model = with_statistics(MattingUNet("a2u", options, width=0.125, encoder_blocks=(1, 1, 1))).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    with torch.inference_mode():
        whole = model(x)
        for tile in (128, 176, 512):
            torch.testing.assert_close(tiled(model, x, tile), whole, rtol=0, atol=1e-9)


def test_predictions_of_any_size_differ_by_less_than_one_grey_level():
    model = narrow("upsampler=a2u", *(f"upsampler.{key}={value}" for key, value in RELEASED.items()))
    image, trimap = photograph(293, 310)
    whole, in_tiles = predict(model, image, trimap), predict(model, image, trimap, tile=128)
    assert len(np.unique(whole)) > 50
    assert np.abs(whole.astype(int) - in_tiles).max() <= 1
    assert (whole == in_tiles).mean() > 0.99


def test_nothing_is_left_of_an_image_in_the_network():
    """Nor of one that failed half-way: what was gathered must not be used for the next image."""
    model = narrow("experiment=table2/a2u_dynamic_cs_d_norm")
    x = torch.randn(1, 4, 64, 160)
    with torch.inference_mode():
        expected = model(x)
        tiled(model, x - 1, 128)
        torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
        hook = model.aspp.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tiled(model, x - 1, 128)
        hook.remove()
        torch.testing.assert_close(model(x), expected, rtol=0, atol=0)


def test_tiles_need_a_fraction_of_the_memory():
    model, x = narrow("experiment=table2/a2u_dynamic_cs_d_norm"), torch.randn(1, 4, 512, 768)
    with torch.no_grad():
        whole, in_tiles = peak_mb(lambda: model(x)), peak_mb(lambda: tiled(model, x, 128))
    assert in_tiles < whole / 2


@pytest.mark.parametrize("tile", [-128, 0, 16, 100, 112, 200])
def test_impossible_sides_are_refused_in_a_sentence(tile):
    cfg = compose([f"runtime.tile={tile}"])
    with pytest.raises(ConfigError, match=r"runtime\.tile.*(at least 128 pixels|at least 1).*got"):
        check(cfg)


def test_an_operator_that_counts_through_the_whole_map_refuses():
    with pytest.raises(ConfigError, match=r"max_unpool does not say how far"):
        check(compose(["runtime.tile=128", "upsampler=max_unpool"]))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (lambda: GCA(width=0.125), "attention"),
        (lambda: GCA(width=0.125, attention=False), "not laid out"),
        (lambda: IndexNetMatting(width=0.125), "not laid out"),
        (lambda: DIM(width=0.125), "positions in the whole map"),
        (ClosedForm, "one system of equations"),
    ],
)
def test_networks_that_cannot_be_divided_say_why(network, why):
    image, trimap = photograph(32, 64)
    with pytest.raises(ValueError, match=rf"cannot divide it into tiles: .*{why}"):
        predict(network().eval(), image, trimap, tile=128)


def test_a_network_that_is_not_laid_out_for_tiles_cannot_say_it_is():
    class Own(GCA):
        indivisible = None

    with pytest.raises(ValueError, match=r"Own takes an image whole and cannot divide it into tiles: .*not laid out"):
        tiled(Own(width=0.125, attention=False).eval(), torch.zeros(1, 4, 128, 128), 128)


@pytest.mark.parametrize("layer", [nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(3, 1, 1), nn.GroupNorm(1, 32)])
def test_an_encoder_with_a_layer_of_unknown_reach_is_refused(layer):
    model = narrow("upsampler=nearest", "model.encoder_blocks=[1,1,1]")
    model.encoder.layer3.append(layer)
    with pytest.raises(ValueError, match=rf"a layer {type(layer).__name__}, and how far .* is not known"):
        tiled(model, torch.zeros(1, 4, 128, 128), 128)


@pytest.mark.parametrize(("kernel_size", "dilation"), [((1, 7), 1), ((7, 1), 1), (3, (1, 3))])
def test_a_convolution_reads_as_far_as_its_longer_side(kernel_size, dilation):
    assert radius(nn.Conv2d(1, 1, kernel_size, dilation=dilation)) == 3


def test_the_trimap_alone_needs_no_tiles_and_small_pictures_have_none():
    image, trimap = photograph(40, 60)
    assert (predict(TrimapOnly(), image, trimap, tile=128) == 128).all()
    with pytest.raises(ConfigError, match=r"runtime\.tile=128 is for photographs"):
        check(compose(["task=reconstruction", "upsampler=nearest", "runtime.tile=128"]))


def test_tiles_are_for_evaluation():
    with pytest.raises(ValueError, match="tiles are for evaluation"):
        tiled(narrow("upsampler=nearest").train(), torch.zeros(1, 4, 16, 16), 128)


def test_a_run_evaluates_in_tiles_where_it_is_told_to(tmp_path, monkeypatch):
    from a2u.engine.run import run

    sides = []
    monkeypatch.setattr(evaluate, "tiled", lambda model, x, side: sides.append(side) or tiled(model, x, side))
    cfg = smoke(tmp_path, "experiment=table2/nearest", "runtime.tile=128", "dataset.limit_test=2")
    result = run(cfg)
    assert set(sides) == {128}
    again = smoke(tmp_path, "experiment=table2/nearest", "dataset.limit_test=2")
    assert run(again)["hash"] == result["hash"]  # how an image is computed is no part of what is computed
