"""Whole networks as ONNX, at other sizes and batches than the traced ones; engine/test_export.py has one by default."""

import pytest
import torch
from torch import nn

from a2u.config import compose
from a2u.errors import A2UError
from a2u.models.build import build_model
from a2u.models.encoders import TRUNKS
from a2u.models.networks.base import MattingNetwork
from a2u.models.weights.exported_onnx import write_onnx
from a2u.reproduce.published import rows_of
from a2u.upsampling import operators

NETWORKS = {
    **{row: [f"experiment=table2/{row}"] for row in rows_of("table2") if row != "trimap_only"},
    **{name: [f"upsampler={name}"] for name in operators()},
    "indexnet, paired": ["upsampler=indexnet", "upsampler.paired=true"],
    "pyramid pooling": ["upsampler=nearest", "model.aspp=true"],
    **{
        row: [f"experiment=table5/{row}"]
        for row in ("gca", "indexnet_matting", "context_aware", "dim", "adamatting_reading")
    },
    **{
        f"{encoder}, {row}": [f"experiment=table2/{row}", f"model.encoder={encoder}"]
        for encoder in TRUNKS
        for row in ("nearest", "a2u_dynamic_cs")
    },
    "gca, baseline": ["experiment=table5/gca", "model.attention=false"],
    **{row: [f"experiment=table1/{row}"] for row in ("maxpool_maxunpool", "maxpool_a2u", "pixel_shuffle")},
}


def network(*overrides):
    torch.manual_seed(0)
    scale = [] if any("table1" in word for word in overrides) else ["scale=smoke"]
    model = build_model(compose([*scale, *overrides])).eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_gives_the_same_at_another_size(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network(*NETWORKS[name])
    channels, multiple = (4, model.multiple) if isinstance(model, MattingNetwork) else (1, 8)
    described = write_onnx(tmp_path / "it.onnx", model, {})["onnx"]
    assert described["input"]["multiple"] == multiple
    session = onnxruntime.InferenceSession(str(tmp_path / "it.onnx"))
    for batch, height, width in ((1, 4, 7), (2, 5, 2), (3, 2, 3)):
        x = torch.rand(batch, channels, height * multiple, width * multiple)
        with torch.no_grad():
            expected = model(x)
        (found,) = session.run([described["output"]["name"]], {"input": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["closed_form", "knn", "trimap_only"])
def test_a_system_without_weights_has_nothing_to_export(name, tmp_path):
    with pytest.raises(A2UError, match="is no trained network, so there is nothing to export as ONNX"):
        write_onnx(tmp_path / "it.onnx", build_model(compose([f"model={name}"])), {})
    assert not list(tmp_path.iterdir())


class Otherwise(MattingNetwork):
    """A network that becomes another when it is exported."""

    multiple = 2

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 1, kernel_size=1)

    def forward(self, x):
        return self.conv(x) if torch.compiler.is_exporting() else 2 * self.conv(x)


@pytest.mark.onnx
def test_a_file_that_gives_something_else_is_not_kept(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(A2UError, match=r"ONNX file of Otherwise is wrong by .* so it was not kept"):
        write_onnx(tmp_path / "it.onnx", Otherwise().eval(), {})
    assert not list(tmp_path.iterdir())


class Refused(Otherwise):
    """A network with a convolution in float64, which onnxruntime does not have on a CPU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 1, kernel_size=1, dtype=torch.float64)

    def forward(self, x):
        return self.conv(x.double()).float()


class Fails(Otherwise):
    """A network that is exported with a row of its input that smaller ones do not have."""

    def __init__(self):
        super().__init__()
        self.register_buffer("row", torch.tensor([5]))

    def forward(self, x):
        return self.conv(x) + x[:, :1, self.row] if torch.compiler.is_exporting() else self.conv(x)


@pytest.mark.onnx
@pytest.mark.parametrize("kind", [Refused, Fails])
def test_a_file_that_onnxruntime_cannot_run_is_a_sentence(kind, tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(A2UError, match=rf"onnxruntime cannot run the ONNX file of {kind.__name__}, so it was not kept"):
        write_onnx(tmp_path / "it.onnx", kind().eval(), {})
    assert not list(tmp_path.iterdir())
