"""What PyTorch does with modules, done with every operator: the table of docs/operators.md.

`python tests/upsampling/test_pytorch.py` writes the table.
"""

import copy
import io
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from a2u.upsampling import build_upsampler, operators
from a2u.upsampling.ops import c_backend, reassemble_down, reassemble_up, reassembly, torch_backend
from a2u.upsampling.ops.similarity import window_similarity

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
CHANNELS = 8
OPTIONS = {
    "a2u": ("a2u", {}),
    "a2u, hybrid, channel-wise": ("a2u", {"mode": "hybrid", "sharing": "channel_wise"}),
    "a2u, paired": ("a2u", {"paired": True}),
    "indexnet, paired": ("indexnet", {"paired": True}),
    "freqfusion": ("freqfusion", {"compressed_channels": 8, "resample": True}),
}
OPERATORS = OPTIONS | {
    name: (name, {})
    for name, operator in operators().items()
    if operator.__module__.startswith("a2u.") and name not in OPTIONS
}


class InNetwork(nn.Module):
    """An operator between two convolutions, downsampling by it where it is paired."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator
        self.before = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x, feature):
        feature = self.before(feature)
        guide = self.operator.downsample(feature)[1] if self.operator.paired else feature
        return self.operator(x, guide)


def build(name):
    torch.manual_seed(0)
    kind, options = OPERATORS[name]
    return InNetwork(build_upsampler(kind, CHANNELS, **options)).eval()


def inputs(n=2, h=3, w=4):
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(n, CHANNELS, *size, generator=generator) for size in ((h, w), (2 * h, 2 * w)))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def parameters(network):
    return {name: value.detach() for name, value in network.named_parameters()}


def loss_of(network):
    def loss(values, x, feature):
        return torch.func.functional_call(network, values, (x, feature)).square().mean()

    return loss


def jit_trace(network):
    traced = torch.jit.trace(network, inputs(), check_trace=False)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    again = inputs(3, 3, 4)  # another batch
    close(torch.jit.load(file)(*again), network(*again))


def add_graph(network):
    from torch.utils.tensorboard._pytorch_graph import graph

    nodes, _ = graph(network, inputs())
    assert len(nodes.node) > 3


def fake_tensors(network):
    expected = network(*inputs())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x, feature = (mode.from_tensor(each).requires_grad_() for each in inputs())
        y = network(x, feature)
        y.sum().backward()
        assert x.grad.shape == x.shape
    assert y.shape == expected.shape
    assert y.stride() == expected.stride()
    network.zero_grad()


def fx_of_a_step(network):
    """make_fx of values and gradients."""
    values = parameters(network)

    def step(x, feature):
        y = torch.func.functional_call(network, given, (x, feature))
        return y, torch.autograd.grad(y.square().mean(), list(given.values()) or [x], allow_unused=True)

    given = {name: value.requires_grad_() for name, value in values.items()}
    x, feature = (each.requires_grad_() for each in inputs())
    close(make_fx(step)(x, feature)(x, feature), step(x, feature))


def symbolic_trace(network):
    if network.operator.paired:  # the network's own downsampling is not a layer
        traced = torch.fx.symbolic_trace(nn.Sequential(network.operator))
        assert any(node.op == "call_module" for node in traced.graph.nodes)
        return
    close(torch.fx.symbolic_trace(network)(*inputs()), network(*inputs()))


def exported(network):
    program = torch.export.export(network, inputs(), dynamic_shapes=2 * ({0: torch.export.Dim("batch")},))
    again = inputs(3)
    close(program.module()(*again), network(*again))


class OwnCalls(TorchDispatchMode):
    """Keeps the calls of this package's operators of PyTorch."""

    def __init__(self):
        super().__init__()
        self.calls = {}  # one for each operator

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "a2u":
            self.calls[function] = args
        return function(*args, **(kwargs or {}))


def opcheck(network):
    """Of every operator of PyTorch that this package registers and that the network calls in a step."""
    x, feature = inputs()
    with OwnCalls() as own:
        network(x.requires_grad_(), feature).sum().backward()
    assert own.calls or network.operator.name not in ("a2u", "carafe")
    for function, args in own.calls.items():
        given = [each.detach().requires_grad_() if isinstance(each, torch.Tensor) else each for each in args]
        torch.library.opcheck(function, tuple(given))


def grad(network):
    values = parameters(network)
    arguments = 0 if values else 1
    found = torch.func.grad(loss_of(network), arguments)(values, *inputs())
    given = {name: value.clone().requires_grad_() for name, value in values.items()}
    x, feature = inputs()
    x.requires_grad_()
    expected = torch.autograd.grad(
        loss_of(network)(given, x, feature), list(given.values()) or [x], allow_unused=True, materialize_grads=True
    )
    close(list(found.values()) if values else [found], list(expected))


def vmap(network):
    x, feature = inputs(6)
    stacked = (each.unflatten(0, (3, 2)) for each in (x, feature))
    found = torch.func.vmap(network)(*stacked)
    close(found.flatten(0, 1), network(x, feature))


def double_backward(network):
    network, (x, feature) = network.double(), (each.double() for each in inputs(1, 2, 2))
    x.requires_grad_()
    y = network(x, feature)
    (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    if first.requires_grad:
        assert torch.autograd.grad(first.square().sum(), x)[0].isfinite().all()


def deep_copy(network):
    close(copy.deepcopy(network)(*inputs()), network(*inputs()))


def pickled(network):
    close(pickle.loads(pickle.dumps(network))(*inputs()), network(*inputs()))


def flops(network):
    with FlopCounterMode(display=False) as alone:
        network.before(inputs()[1])
    with FlopCounterMode(display=False) as counter:
        network(*inputs())
    counts = [sum(each.get_flop_counts()["Global"].values()) for each in (counter, alone)]
    layers = nn.Conv2d | nn.ConvTranspose2d
    multiplies = network.operator.has_kernels or any(isinstance(part, layers) for part in network.operator.modules())
    assert (counts[0] > counts[1]) == multiplies


def empty_batch(network):
    for dtype in (torch.float32, torch.bfloat16):  # on a CPU, bfloat16 takes the back end in PyTorch
        x, feature = (each.to(dtype) for each in inputs(0))
        y = network.to(dtype)(x.requires_grad_(), feature)
        assert y.shape == feature.shape
        y.sum().backward()
        assert x.grad.shape == x.shape


def channels_last(network):
    expected = network(*inputs())
    last = network.to(memory_format=torch.channels_last)
    close(last(*(each.to(memory_format=torch.channels_last) for each in inputs())), expected)


def meta_device(network):
    kind, options = OPERATORS[network.name]
    with torch.device("meta"):
        built = build_upsampler(kind, CHANNELS, **options)
    built.to_empty(device="cpu")
    with torch.no_grad():
        for value in built.parameters():
            value.fill_(torch.nan)
    for buffer in built.buffers():
        buffer.zero_()
    built.reset_parameters()
    for (name, value), drawn in zip(built.named_parameters(), network.operator.parameters(), strict=True):
        assert value.isfinite().all(), name
        if drawn.numel() > 200 and drawn.std() > 0:  # drawn from the same distribution, or the same constant
            assert 0.7 < value.std() / drawn.std() < 1.4, name
        elif drawn.std() == 0 or drawn.numel() == 1:
            assert torch.equal(value, drawn), name


def compiled(network):
    torch._dynamo.reset()
    backend = "inductor" if network.name == "a2u" else "aot_eager"  # C++ for every operator would take minutes
    x, feature = inputs()
    found, expected = (
        torch.autograd.grad(function(x.requires_grad_(), feature).square().sum(), x)
        for function in (torch.compile(network, fullgraph=True, backend=backend), network)
    )
    close(found, expected)


def onnx(network, tmp_path, **arguments):
    onnxruntime = pytest.importorskip("onnxruntime")
    path, names = str(tmp_path / "operator.onnx"), ["x", "feature"]
    with torch.no_grad():
        torch.onnx.export(network, inputs(), path, input_names=names, opset_version=20, verbose=False, **arguments)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        taken = [each.name for each in session.get_inputs()]
        assert taken == names or not network.operator.reads_guide
        again = inputs(3)  # another batch
        fed = {name: value.numpy() for name, value in zip(names, again, strict=True) if name in taken}
        close(torch.from_numpy(session.run(None, fed)[0]), network(*again))


def onnx_torchscript(network, tmp_path):
    onnx(network, tmp_path, dynamo=False, dynamic_axes={name: {0: "batch"} for name in ("x", "feature")})


def onnx_dynamo(network, tmp_path):
    batch = {0: torch.export.Dim("batch")}
    onnx(network, tmp_path, dynamo=True, dynamic_shapes=(batch, batch))


# What is done (the table's first column): how
CHECKS = {
    "`torch.jit.trace`, saved, for another batch": jit_trace,
    "TensorBoard's `add_graph`": add_graph,
    "`FakeTensorMode`, with gradients": fake_tensors,
    "`make_fx` of a training step": fx_of_a_step,
    "`torch.fx.symbolic_trace`": symbolic_trace,
    "`torch.export`, any batch": exported,
    "`torch.compile(fullgraph=True)`, with gradients": compiled,
    "`torch.onnx.export(dynamo=False)`, any batch": onnx_torchscript,
    "`torch.onnx.export(dynamo=True)`, any batch": onnx_dynamo,
    "`torch.library.opcheck` of what it calls": opcheck,
    "`torch.func.grad`": grad,
    "`torch.func.vmap`": vmap,
    "gradients of gradients": double_backward,
    "`copy.deepcopy`": deep_copy,
    "`pickle`": pickled,
    "`FlopCounterMode`": flops,
    "an empty batch, with gradients": empty_batch,
    "`to(memory_format=torch.channels_last)`": channels_last,
    "meta device, `reset_parameters()`": meta_device,
}
# (operator, how): what PyTorch says
REFUSED = {("max_unpool", how): "cond must be a bool" for how in (jit_trace, add_graph, onnx_torchscript)}
IN_DEFAULT_TESTS = ("a2u", "carafe", "sapa")  # of what takes a second for some


def cases():
    for how in CHECKS.values():
        for name in OPERATORS:
            marks = {
                compiled: [pytest.mark.slow],
                opcheck: [pytest.mark.slow],  # the library's operators themselves are checked below
                onnx_torchscript: [pytest.mark.onnx],
                onnx_dynamo: [pytest.mark.onnx],
            }
            if how in (add_graph, fake_tensors, fx_of_a_step, exported) and name not in IN_DEFAULT_TESTS:
                marks[how] = [pytest.mark.slow]
            yield pytest.param(name, how, marks=marks.get(how, ()), id=f"{how.__name__}-{name}")


@pytest.mark.parametrize(("name", "how"), list(cases()))
@pytest.mark.filterwarnings("ignore")
def test_an_operator_is_what_pytorch_expects(name, how, request):
    network = build(name)
    network.name = name
    more = [request.getfixturevalue("tmp_path")] if how in (onnx_torchscript, onnx_dynamo) else []
    if (name, how) in REFUSED:
        with pytest.raises(Exception, match=REFUSED[name, how]):
            how(network, *more)
    else:
        how(network, *more)


def table():
    lines = ["| What is done | operators |", "|---|---|"]
    for what, how in CHECKS.items():
        missing = [name for name in OPERATORS if (name, how) in REFUSED]
        lines.append(f"| {what} | all{' but ' + ', '.join(missing) if missing else ''} |")
    return "\n".join(lines)


def page_with_the_table():
    block = f"<!-- tests/upsampling/test_pytorch.py -->\n{table()}\n<!-- end -->"
    return re.sub(r"<!-- tests/upsampling/test_pytorch.py -->.*?<!-- end -->", block, PAGE.read_text(), flags=re.DOTALL)


def test_the_table_of_the_page_is_what_was_tested():
    assert PAGE.read_text() == page_with_the_table()
    assert table() in PAGE.read_text()


@pytest.mark.onnx
@pytest.mark.filterwarnings("ignore")
def test_the_network_of_the_page_is_exported_as_the_page_says(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if "Pyramid(" in block:  # the network, and below, its export
            exec(compile(block, "operators.md", "exec"), names)
    image = torch.randn(3, 3, 96, 128)  # another batch
    with torch.no_grad():
        expected = names["network"](image)
        close(torch.jit.load("pyramid.pt")(image), expected)
        files = sorted(tmp_path.glob("*.onnx"))
        assert len(files) == 2
        for file in files:
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            close(torch.from_numpy(session.run(None, {"image": image.numpy()})[0]), expected)


def blocks(dtype=torch.float32, last=False):
    """x, kernel and a gradient as reassemble_up hands them to the operators of the library, and their numbers."""
    torch.manual_seed(0)
    format = torch.channels_last if last else torch.contiguous_format
    x, grad = (torch.randn(2, 4, *size, dtype=dtype).contiguous(memory_format=format) for size in ((3, 5), (6, 10)))
    kernel = torch.randn(2, 18, 3, 2, 5, 2, dtype=dtype)
    return x, kernel, grad, (3, 2, 2, 1, 1)


@pytest.mark.parametrize("back_end", [torch_backend, c_backend])
@pytest.mark.parametrize("last", [False, True])
def test_the_library_operators_are_registered_as_pytorch_wants(monkeypatch, back_end, last):
    if back_end is c_backend and reassembly._compiled() is None:
        pytest.skip("there is no C compiler")
    monkeypatch.setattr(reassembly, "_back_end", lambda x: back_end)
    x, kernel, grad, numbers = blocks(last=last)
    x.requires_grad_()
    kernel.requires_grad_()
    torch.library.opcheck(torch.ops.a2u.reassemble.default, (x, kernel, *numbers))
    torch.library.opcheck(torch.ops.a2u.reassemble_backward.default, (grad, x, kernel, *numbers, True, True))
    for needs in ((True, False), (False, True)):
        given = (grad, x, kernel, *numbers, *needs)
        torch.library.opcheck(
            torch.ops.a2u.reassemble_backward.default, given, test_utils=("test_schema", "test_faketensor")
        )


def test_the_export_operators_are_registered_as_pytorch_wants():
    x, weights = torch.randn(2, 2, 3, 6, 8), torch.randn(2, 2, 9, 4, 6, 8)
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.a2u.sums.default, (x, weights, 3, 1, 1), test_utils=tests)
    query, key = torch.randn(2, 3, 4, 6, 8), torch.randn(2, 3, 6, 8)
    torch.library.opcheck(torch.ops.a2u.similarity.default, (query, key, 3), test_utils=tests)


@pytest.mark.parametrize("function", ["up", "down", "similarity"])
def test_second_derivatives(function):
    torch.manual_seed(0)
    sizes = {
        "up": ((1, 2, 2, 3), (1, 18, 4, 6)),
        "down": ((1, 2, 4, 6), (1, 8, 2, 3)),
        "similarity": ((1, 2, 4, 6), (1, 2, 2, 3)),
    }[function]
    given = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    call = {
        "up": lambda x, kernel: reassemble_up(x, kernel, 3, groups=2),
        "down": lambda x, kernel: reassemble_down(x, kernel, 2, groups=2),
        "similarity": lambda query, key: window_similarity(query, key, 3),
    }[function]
    assert torch.autograd.gradgradcheck(call, given)


def test_the_composition_equals_the_operators():
    """Under vmap and func.grad reassembly is composed of other operators."""
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 3, 4, 6, 8).double(), torch.randn(2, 3, 8, 3, 4).double()
    found = torch.func.vmap(lambda x, kernel: reassemble_down(x, kernel, 2, groups=2))(x, kernel)
    close(found, torch.stack([reassemble_down(one, own, 2, groups=2) for one, own in zip(x, kernel, strict=True)]))


@pytest.mark.parametrize("name", OPERATORS)
def test_odd_sides_as_a_pyramid_has_them(name):
    """As 17 x 21 over 9 x 11: the guide's last row and column are repeated, those of the result dropped."""
    operator = build(name).operator
    x, guide = torch.randn(2, CHANNELS, 5, 6), torch.randn(2, CHANNELS, 9, 11)
    even = nn.functional.pad(guide, [0, 1, 0, 1], mode="replicate")
    given = operator.downsample(even)[1] if operator.paired else guide
    y = operator(x, given, size=(9, 11))
    assert y.shape == (2, CHANNELS, 9, 11)
    close(y, operator(x, given if operator.paired else even)[..., :9, :11])
    with pytest.raises(ValueError, match="no map whose upsampling has the size"):
        operator(x, given, size=(8, 11))


if __name__ == "__main__":
    PAGE.write_text(page_with_the_table())
