"""A whole matting network is traced, transformed and exported by PyTorch's own means, as its operators are."""

import copy
import pickle

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from a2u.config import compose
from a2u.models import build_model


@pytest.fixture(params=["a2u_dynamic_cs_d", pytest.param("a2u_dynamic_cs", marks=pytest.mark.slow)])
def network(request):
    torch.manual_seed(0)
    return build_model(compose([f"experiment=table2/{request.param}", "scale=smoke"])).eval()


def image(batch=2):
    return torch.rand(batch, 4, 64, 64, generator=torch.Generator().manual_seed(0))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 if expected.dtype == torch.float32 else 1e-9)


@pytest.mark.filterwarnings("ignore")
def test_traced(network):
    close(torch.jit.trace(network, image(), check_trace=False)(image(3)), network(image(3)))


def test_with_fake_tensors(network):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x = mode.from_tensor(image()).requires_grad_()
        network(x).sum().backward()
    assert x.grad.shape == x.shape


def test_make_fx_of_its_gradient(network):
    def gradient(x):
        return torch.autograd.grad(network(x).square().sum(), x)[0]

    x = image().requires_grad_()
    close(make_fx(gradient)(x)(x), gradient(x))


def test_functional_transforms(network):
    """In 64 bits: a gradient of the whole network magnifies rounding."""
    network, x = network.double(), image(4).double()
    found = torch.func.grad(lambda x: network(x).square().sum())(x)
    x.requires_grad_()
    close(found, torch.autograd.grad(network(x).square().sum(), x)[0])
    x = x.detach()
    with torch.no_grad():
        close(torch.func.vmap(network)(x.unflatten(0, (2, 2))).flatten(0, 1), network(x))


def test_copied_pickled_and_counted(network):
    expected = network(image())
    close(copy.deepcopy(network)(image()), expected)
    close(pickle.loads(pickle.dumps(network))(image()), expected)
    with FlopCounterMode(display=False) as counter:
        network(image())
    assert "a2u.reassemble" in {str(name) for name in counter.get_flop_counts()["Global"]}


def test_channels_last(network):
    expected = network(image())
    close(network.to(memory_format=torch.channels_last)(image()), expected)


@pytest.mark.slow
def test_compiled_in_one_graph(network):
    torch._dynamo.reset()
    close(torch.compile(network, fullgraph=True, backend="aot_eager")(image()), network(image()))


@pytest.mark.onnx
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_onnx_without_help(network, dynamo, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = str(tmp_path / "network.onnx")
    with torch.no_grad():
        given = {"input_names": ["input"], "opset_version": 20, "verbose": False}
        torch.onnx.export(network, (image(),), path, dynamo=dynamo, **given)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        close(torch.from_numpy(session.run(None, {"input": image().numpy()})[0]), network(image()))
