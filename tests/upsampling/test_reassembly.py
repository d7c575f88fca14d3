"""Reassembly, by each of its back ends, against the released program's values, a loop, and finite differences."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.memory import peak_mb
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from a2u.upsampling.ops import c_backend, reassemble_down, reassemble_up, reassembly, torch_backend

HAS_TRITON = importlib.util.find_spec("triton") is not None


@pytest.fixture(scope="session")
def needs_compiler():
    if reassembly._compiled() is None:
        pytest.skip("there is no C compiler")


@pytest.fixture(params=["torch_backend", "c_backend"])
def back_end(request, monkeypatch):
    """Each back end in turn, whatever suits the device and the type best."""
    if request.param == "c_backend":
        request.getfixturevalue("needs_compiler")
    chosen = {"torch_backend": torch_backend, "c_backend": c_backend}[request.param]
    monkeypatch.setattr(reassembly, "_back_end", lambda x: chosen)


def slow_up(x, kernel, k, groups=1, ratio=2):
    """Eq. 1, position by position."""
    n, c, h, w = x.shape
    y = torch.zeros(n, c, ratio * h, ratio * w, dtype=x.dtype)
    for b, ch, i, j in np.ndindex(*y.shape):
        group = ch // (c // groups)
        for row, column in np.ndindex(k, k):
            si, sj = i // ratio + row - k // 2, j // ratio + column - k // 2
            if 0 <= si < h and 0 <= sj < w:
                y[b, ch, i, j] += kernel[b, (group * k + row) * k + column, i, j] * x[b, ch, si, sj]
    return y


def slow_down(x, kernel, k, groups=1, ratio=2):
    n, c, height, width = x.shape
    y = torch.zeros(n, c, height // ratio, width // ratio, dtype=x.dtype)
    for b, ch, i, j in np.ndindex(*y.shape):
        group = ch // (c // groups)
        for row, column in np.ndindex(k, k):
            si, sj = ratio * i + row - (k - ratio) // 2, ratio * j + column - (k - ratio) // 2
            if 0 <= si < height and 0 <= sj < width:
                y[b, ch, i, j] += kernel[b, (group * k + row) * k + column, i, j] * x[b, ch, si, sj]
    return y


def relative_error(found, expected):
    expected = torch.as_tensor(expected)
    return float((found - expected).abs().max() / expected.abs().max())


CASES = [
    ("upsample", reassemble_up, 1, 1),
    ("upsample", reassemble_up, 3, 1),
    ("upsample", reassemble_up, 5, 2),
    ("downsample", reassemble_down, 2, 1),
    ("downsample", reassemble_down, 6, 1),
    ("downsample", reassemble_down, 10, 2),
]


@pytest.mark.parametrize(("direction", "function", "k", "groups"), CASES)
def test_equals_the_released_program(back_end, reference, direction, function, k, groups):
    data = np.load(reference / "ops" / f"{direction}_k{k}_g{groups}.npz")
    x = torch.tensor(data["x"], requires_grad=True)
    kernel = torch.tensor(data["kernel"], requires_grad=True)
    y = function(x, kernel, k, groups)
    y.backward(torch.tensor(data["grad_y"]))
    assert relative_error(y.detach(), data["y"]) < 1e-10
    assert relative_error(x.grad, data["grad_x"]) < 1e-10
    assert relative_error(kernel.grad, data["grad_kernel"]) < 1e-10


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize(("k", "groups", "ratio"), [(1, 1, 2), (3, 2, 2), (5, 1, 2), (3, 1, 3), (3, 1, 1)])
def test_up_equals_a_loop(back_end, size, k, groups, ratio):
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    kernel = torch.randn(2, groups * k * k, ratio * size[0], ratio * size[1], dtype=torch.float64)
    torch.testing.assert_close(
        reassemble_up(x, kernel, k, groups, ratio),
        slow_up(x, kernel, k, groups, ratio),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize(("k", "groups", "ratio"), [(2, 1, 2), (6, 2, 2), (9, 1, 3), (3, 1, 1)])
def test_down_equals_a_loop(back_end, size, k, groups, ratio):
    x = torch.randn(2, 4, ratio * size[0], ratio * size[1], dtype=torch.float64)
    kernel = torch.randn(2, groups * k * k, *size, dtype=torch.float64)
    torch.testing.assert_close(
        reassemble_down(x, kernel, k, groups, ratio),
        slow_down(x, kernel, k, groups, ratio),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize(("k", "groups", "ratio"), [(1, 1, 2), (3, 2, 2), (3, 1, 3), (3, 1, 1)])
@pytest.mark.parametrize("last", [False, True])
def test_a_kernel_by_sub_position_is_one_before_its_pixel_shuffle(back_end, size, k, groups, ratio, last):
    """Values and gradients; also where window positions lie innermost in memory, as a convolution leaves them."""
    x = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    flat = torch.randn(2, groups * k * k * ratio**2, *size, dtype=torch.float64)
    flat = flat.to(memory_format=torch.channels_last if last else torch.contiguous_format).requires_grad_()
    grad = torch.randn(2, 4, ratio * size[0], ratio * size[1], dtype=torch.float64)
    shuffled = reassemble_up(x, pixel_shuffle(flat, ratio), k, groups, ratio)
    by_sub_position = reassemble_up(x, flat.unflatten(1, (-1, ratio**2)), k, groups, ratio)
    found, expected = (
        (y, *torch.autograd.grad(y, (x, flat), grad, retain_graph=True)) for y in (by_sub_position, shuffled)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def slow(x, kernel, grad, k, groups, ratio, up):
    """y, dL/dx and dL/dkernel of both directions, in float64: each product of Eq. 1 counts in all three."""
    x, kernel, grad = (tensor.double().numpy() for tensor in (x, kernel, grad))
    y, grad_x, grad_kernel = np.zeros_like(grad), np.zeros_like(x), np.zeros_like(kernel)
    width = x.shape[1] // groups
    for group, i, j, row, column in np.ndindex(groups, *grad.shape[2:], k, k):
        corner = (i // ratio - k // 2, j // ratio - k // 2)
        if not up:
            corner = (ratio * i - (k - ratio) // 2, ratio * j - (k - ratio) // 2)
        si, sj = corner[0] + row, corner[1] + column
        if 0 <= si < x.shape[2] and 0 <= sj < x.shape[3]:
            channels, tap = slice(group * width, (group + 1) * width), (group * k + row) * k + column
            weight, seen, flows = kernel[:, tap, i, j, None], x[:, channels, si, sj], grad[:, channels, i, j]
            y[:, channels, i, j] += weight * seen
            grad_x[:, channels, si, sj] += weight * flows
            grad_kernel[:, tap, i, j] += (seen * flows).sum(axis=1)
    return y, grad_x, grad_kernel


@st.composite
def reassemblies(draw):
    """k, groups, ratio, whether up; x, kernel and a gradient of the result, of any size and memory layout."""
    up, ratio, groups = draw(st.booleans()), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    k = 2 * draw(st.integers(0, 2)) + (1 if up else ratio)
    n, per_group, h, w = (draw(st.integers(1, most)) for most in (2, 3, 4, 4))
    large, small = (ratio * h, ratio * w), (h, w)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def tensor(channels, size):
        values = torch.randn(n, channels, *size, generator=generator, dtype=dtype)
        return values.contiguous(memory_format=draw(st.sampled_from([torch.contiguous_format, torch.channels_last])))

    x = tensor(groups * per_group, small if up else large)
    kernel, grad = (tensor(channels, large if up else small) for channels in (groups * k * k, groups * per_group))
    return (k, groups, ratio), up, (x, kernel, grad)


@pytest.mark.parametrize("name", ["torch_backend", "c_backend"])
@given(case=reassemblies(), by_sub_position=st.booleans())
def test_equals_a_loop_with_its_gradients(needs_compiler, name, case, by_sub_position):
    sizes, up, (x, kernel, grad) = case
    inputs = x.clone().requires_grad_(), kernel.clone().requires_grad_()
    given_kernel = inputs[1]
    if up and by_sub_position:
        given_kernel = pixel_unshuffle(given_kernel, sizes[-1]).unflatten(1, (-1, sizes[-1] ** 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reassembly, "_back_end", lambda x: {"torch_backend": torch_backend, "c_backend": c_backend}[name])
        y = (reassemble_up if up else reassemble_down)(inputs[0], given_kernel, *sizes)
        found = y, *torch.autograd.grad(y, inputs, grad)
    tolerance = 1e-12 if x.dtype == torch.float64 else 1e-4
    for one, expected in zip(found, slow(x, kernel, grad, *sizes, up), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("k", "groups"), [(1, 1), (3, 2)])
def test_up_gradients(back_end, k, groups):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, groups * k * k, 6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: reassemble_up(a, b, k, groups), (x, kernel))


@pytest.mark.parametrize(("k", "groups"), [(2, 1), (6, 2)])
def test_down_gradients(back_end, k, groups):
    x = torch.randn(2, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, groups * k * k, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: reassemble_down(a, b, k, groups), (x, kernel))


def test_gradient_of_one_input_alone(back_end):
    x, kernel = torch.randn(1, 2, 2, 2), torch.randn(1, 9, 4, 4, requires_grad=True)
    reassemble_up(x, kernel, 3).sum().backward()
    assert kernel.grad is not None
    x.requires_grad_()
    reassemble_up(x, kernel.detach(), 3).sum().backward()
    assert x.grad is not None


def test_memory_format_does_not_change_the_result(back_end):
    x, kernel = torch.randn(2, 4, 5, 3), torch.randn(2, 9, 10, 6)
    expected = reassemble_up(x, kernel, 3)
    last = torch.channels_last
    found = reassemble_up(x.to(memory_format=last), kernel.to(memory_format=last), 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 7, 8, 45])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_of_channels_and_threads(needs_compiler, channels, dtype):
    """Vectors and what is left over; rows shared by threads."""
    x = torch.randn(2, channels, 19, 7, dtype=dtype, requires_grad=True)
    kernel = torch.randn(2, 9, 38, 14, dtype=dtype, requires_grad=True)
    grad = torch.randn(2, channels, 38, 14, dtype=dtype)
    threads = torch.get_num_threads()

    def results(chosen, count):
        torch.set_num_threads(count)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reassembly, "_back_end", lambda x: chosen)
            y = reassemble_up(x, kernel, 3)
            return y, *torch.autograd.grad(y, (x, kernel), grad)

    try:
        one, three, expected = results(c_backend, 1), results(c_backend, 3), results(torch_backend, 1)
    finally:
        torch.set_num_threads(threads)
    for found, same, slow in zip(one, three, expected, strict=True):
        assert torch.equal(found, same)
        tolerance = 1e-12 if dtype == torch.float64 else 2e-5
        torch.testing.assert_close(found, slow, rtol=tolerance, atol=tolerance)


@pytest.fixture
def forget_compiled():
    def forget():
        c_backend.load.cache_clear()
        reassembly._compiled.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.parametrize("command", ["/nowhere/cc -O1", 'gcc "'])
def test_without_a_compiler_it_runs_all_the_same(monkeypatch, tmp_path, forget_compiled, command):
    monkeypatch.setenv("CC", command)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # what was compiled before is not found
    x, kernel = torch.randn(1, 2, 3, 4), torch.randn(1, 9, 6, 8)
    with pytest.warns(UserWarning, match="Install a C compiler"):
        found = reassemble_up(x, kernel, 3)
    torch.testing.assert_close(found, slow_up(x, kernel, 3))


def test_a_system_without_user_ids_compiles_too(needs_compiler, monkeypatch, tmp_path, forget_compiled):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delattr(os, "getuid")
    assert c_backend.load("float").forward


def test_a_damaged_compiled_file_is_made_again(needs_compiler, monkeypatch, tmp_path, forget_compiled):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    c_backend.load("float")
    (made,) = (tmp_path / "a2u").iterdir()
    c_backend.load.cache_clear()
    made.unlink()
    made.write_bytes(b"no code")
    x, kernel = torch.randn(1, 2, 3, 4), torch.randn(1, 9, 6, 8)
    torch.testing.assert_close(reassemble_up(x, kernel, 3), slow_up(x, kernel, 3))


def test_a_folder_that_others_may_write_to_is_not_used(needs_compiler, monkeypatch, tmp_path, forget_compiled):
    """What lies there would be run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "a2u").mkdir()
    (tmp_path / "a2u").chmod(0o777)
    c_backend.load("float")
    assert not list((tmp_path / "a2u").iterdir())


def test_nothing_is_made_of_a_value_that_is_no_number(back_end):
    x = torch.ones(1, 8, 4, 4)
    x[0, 3, 1, 1] = float("nan")
    y = reassemble_up(x, torch.ones(1, 9, 8, 8), 3)
    assert y[0, 3, 2, 2].isnan()
    assert y[0, :3].isfinite().all()


def test_sixteen_bits_are_rounded_once():
    x, kernel = torch.randn(1, 4, 6, 5), torch.randn(1, 25, 12, 10)
    x, kernel = x.bfloat16(), kernel.bfloat16()
    exact = reassemble_up(x.double(), kernel.double(), 5)
    found = reassemble_up(x, kernel, 5)
    assert found.dtype == torch.bfloat16
    # half a unit in the last place of eight bits, and what float32 adds where terms cancel
    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=1e-5)


@pytest.mark.triton
@pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
@pytest.mark.parametrize(
    ("function", "shape", "k", "groups", "ratio", "by_sub_position"),
    [
        (reassemble_up, (2, 6, 5, 7), 3, 2, 2, False),
        (reassemble_up, (2, 6, 5, 7), 3, 2, 2, True),
        (reassemble_up, (1, 20, 9, 13), 5, 1, 2, True),  # more than a program's channels and positions
        (reassemble_up, (1, 3, 3, 2), 3, 1, 3, False),
        (reassemble_up, (1, 3, 3, 2), 3, 1, 3, True),
        (reassemble_down, (2, 6, 6, 8), 6, 2, 2, False),
        (reassemble_down, (1, 3, 6, 9), 9, 1, 3, False),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_triton_kernels_equal_the_taps(function, shape, k, groups, ratio, by_sub_position, last):
    from a2u.upsampling.ops import triton_reassembly

    device = "cuda" if torch.cuda.is_available() else "cpu"
    n, c, h, w = shape
    size = (h * ratio, w * ratio) if function is reassemble_up else (h // ratio, w // ratio)
    x = torch.randn(shape, device=device)
    inner = (ratio**2, h, w) if by_sub_position else size
    kernel = torch.randn(n, groups * k * k, *inner, device=device)
    grad = torch.randn(n, c, *size, device=device)
    if last:
        x, grad = (each.contiguous(memory_format=torch.channels_last) for each in (x, grad))

    def results(chosen):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reassembly, "_back_end", lambda x: chosen)
            inputs = x.clone().requires_grad_(), kernel.clone().requires_grad_()
            y = function(*inputs, k, groups, ratio)
            return y, *torch.autograd.grad(y, inputs, grad)

    for found, expected in zip(results(triton_reassembly), results(torch_backend), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.triton
@pytest.mark.skipif(not HAS_TRITON or torch.cuda.is_available(), reason="Triton is not installed, or a GPU is there")
@pytest.mark.parametrize("kind", ["*fp32", "*bf16"])
def test_triton_kernels_compile_for_a_gpu(kind, tmp_path):
    """Down to machine code of an H100, which needs none; what the interpreter accepts need not compile."""
    script = f"""
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from a2u.upsampling.ops import triton_reassembly
from a2u.upsampling.ops import triton_encoding
tile = dict(POSITIONS=32, CHANNELS=64)
reassembly = tile | dict(size=3, up=2, step=1, padding=1)
encoding = tile | dict(size=6, step=2, padding=2, outputs=2)
kernels = [(getattr(triton_reassembly, name), reassembly) for name in ("_forward", "_backward_x", "_backward_kernel")]
kernels += [(getattr(triton_encoding, name), encoding) for name in ("_forward", "_backward_x", "_backward_weights")]
for kernel, constants in kernels:
    names = kernel.arg_names
    maps = ("x", "y", "kernel", "weights", "partial", "grad", "grad_x", "grad_kernel")
    kinds = {{n: "constexpr" if n in constants else {kind!r} if n in maps else "i32" for n in names}}
    source = ASTSource(kernel, kinds, {{(names.index(n),): value for n, value in constants.items()}})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
"""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest storage made inside."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


def test_never_stores_an_unfold(back_end):
    n, c, h, w, k = 1, 16, 12, 10, 5
    x = torch.randn(n, c, h, w, requires_grad=True)
    kernel = torch.randn(n, k * k, 2 * h, 2 * w, requires_grad=True)
    enlarged_map = n * c * 2 * h * 2 * w
    with LargestTensor() as largest:
        reassemble_up(x, kernel, k).sum().backward()
    assert largest.elements <= max(enlarged_map, kernel.numel())
    assert largest.elements < k * k * n * c * h * w  # not even of the small map


@pytest.mark.parametrize("last", [False, True])
def test_memory_of_a_step_stays_far_below_an_unfold(back_end, last):
    """What a training step holds: y, both gradients, copies in another layout."""
    n, c, h, w, k = 1, 64, 96, 96, 3
    x, kernel = torch.randn(n, c, h, w), torch.randn(n, k * k, 2 * h, 2 * w, requires_grad=True)
    grad = torch.randn(n, c, 2 * h, 2 * w)
    if last:
        x, grad = (each.contiguous(memory_format=torch.channels_last) for each in (x, grad))
    x.requires_grad_()
    enlarged_mb = grad.numel() * grad.element_size() / 2**20

    def step():
        x.grad = kernel.grad = None
        reassemble_up(x, kernel, k).backward(grad)

    # the plain formulation holds two unfolds of k * k such maps, 18; the one of the enlarged map alone is 9
    assert peak_mb(step) < 6 * enlarged_mb


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reassemble_up(torch.zeros(1, 2, 3, 3), torch.zeros(1, 4, 6, 6), 2), "odd"),
        (
            lambda: reassemble_up(torch.zeros(1, 2, 3, 3), torch.zeros(1, 9, 6, 5), 3),
            r"must be \(1, 9, 6, 6\)",
        ),
        (
            lambda: reassemble_up(torch.zeros(1, 3, 3, 3), torch.zeros(1, 18, 6, 6), 3, 2),
            "divide the channels",
        ),
        (
            lambda: reassemble_up(torch.zeros(2, 3, 3), torch.zeros(1, 9, 6, 6), 3),
            "reassembly takes x",
        ),
        (
            lambda: reassemble_up(torch.zeros(1, 2, 3, 3), torch.zeros(1, 9, 2, 3, 3), 3),
            r"must be \(1, 9, 4, 3, 3\)",
        ),
        (lambda: reassemble_down(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 1, 2, 2), 2), r"must be \(1, 4, 2, 2\)"),
        (lambda: reassemble_down(torch.zeros(1, 2, 4, 4), torch.zeros(1, 9, 2, 2), 3), "even"),
        (
            lambda: reassemble_down(torch.zeros(1, 2, 5, 4), torch.zeros(1, 4, 2, 2), 2),
            "5 x 4: pad it first",
        ),
        (
            lambda: reassemble_down(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, 4), 2),
            r"must be \(1, 4, 2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
