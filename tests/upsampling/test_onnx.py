"""Every operator as ONNX gives what PyTorch gives, at sizes and batches other than the traced one."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from a2u.models.weights.exported_onnx import to_onnx
from a2u.upsampling import build_upsampler, operators

CHANNELS = 8
pytestmark = pytest.mark.onnx
OPERATORS = {
    **{name: (name, {}) for name in operators()},
    "carafe, groups, dilation": ("carafe", {"groups": 2, "dilation": 2, "up_kernel_size": 3}),
    "dysample, pl, dynamic scope": ("dysample", {"style": "pl", "dynamic_scope": True}),
    "sapa, g": ("sapa", {"variant": "g"}),
    "freqfusion, resampled, reflected": (
        "freqfusion",
        {"compressed_channels": 8, "resample": True, "padding": "reflect"},
    ),
    "indexnet, paired": ("indexnet", {"paired": True}),
    "indexnet, holistic": ("indexnet", {"block": "holistic"}),
    "a2u, static, point-wise, channel-wise": ("a2u", {"mode": "static", "pointwise": True, "sharing": "channel_wise"}),
    "a2u, hybrid, channel-wise, e=6": ("a2u", {"mode": "hybrid", "sharing": "channel_wise", "encoder_kernel_size": 6}),
    "a2u, dynamic, channel-wise, e=4": ("a2u", {"sharing": "channel_wise", "encoder_kernel_size": 4}),
    "a2u, partly shared, d=2": ("a2u", {"sharing": "partly_shared", "rank": 2, "encoder_kernel_size": 2}),
    "a2u, k=1": ("a2u", {"up_kernel_size": 1, "kernel_norm": "none", "encoder_kernel_size": 3, "sigmoid_u": True}),
    "a2u, paired, normalised": ("a2u", {"paired": True, "normalise_uv": True, "encoder_kernel_size": 3}),
}
SIZES = [(1, 5, 7), (3, 11, 6), (2, 8, 9)]  # batch, height and width of the small map; the traced one is (2, 6, 8)


class All(nn.Module):
    """All operators side by side: one export, whose cost is mostly the same for one and for many."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        built = [build_upsampler(name, CHANNELS, **options) for name, options in OPERATORS.values()]
        self.operators = nn.ModuleList(built)

    def forward(self, x, guide):
        made = []
        for operator in self.operators:
            small, read = operator.downsample(guide) if operator.paired else (x, guide)
            made.append(operator(small, read))
        return tuple(made)


def inputs(n, h, w):
    generator = torch.Generator().manual_seed(h)
    return [torch.randn(n, CHANNELS, *size, generator=generator) for size in ((h, w), (2 * h, 2 * w))]


@pytest.fixture(scope="module")
def session_and_module(tmp_path_factory):
    onnxruntime = pytest.importorskip("onnxruntime")
    module = All().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    batch, h, w = (Dim(name) for name in ("batch", "h", "w"))
    x, guide = inputs(2, 6, 8)
    sizes = [{0: batch, 2: h, 3: w}, {0: batch, 2: 2 * h, 3: 2 * w}]
    names = [f"y{index}" for index in range(len(OPERATORS))]
    path = tmp_path_factory.mktemp("onnx") / "all.onnx"
    to_onnx(module, {"x": x, "guide": guide}, sizes, names).save(str(path))
    return onnxruntime.InferenceSession(str(path)), module


@pytest.fixture(scope="module", params=SIZES, ids=str)
def made(request, session_and_module):
    """(found by onnxruntime, expected from PyTorch) for every operator."""
    session, module = session_and_module
    x, guide = inputs(*request.param)
    with torch.no_grad():
        expected = module(x, guide)
    return [torch.from_numpy(y) for y in session.run(None, {"x": x.numpy(), "guide": guide.numpy()})], expected


@pytest.mark.parametrize("index", range(len(OPERATORS)), ids=list(OPERATORS))
def test_an_operator_gives_the_same_at_another_size(made, index):
    found, expected = (outputs[index] for outputs in made)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
